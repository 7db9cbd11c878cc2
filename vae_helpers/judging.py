"""Reads what a probe recorded, and gives the verdict: right, or wrong under a name of the bug zoo, or not attempted.

The judge runs none of the learner's code. It makes the inputs again from the seed, computes in float64 what a
right answer gives on them, and what each known wrong one gives. Where chance plays a part, a right answer stays
within 8 standard errors, so that it is turned away less than once in 10¹² calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from . import probing
from .models import PIXELS
from .probing import (
    BIAS,
    DRAWS,
    GRID_SIDES,
    LOSS_CALLS,
    LOSS_GROUPS,
    RECON_BATCHES,
    WALK_STEPS,
    Record,
)
from .zoo import CLASSIC, ZOO

Array = np.ndarray
RTOL = 2e-4  # float32 sums of some thousand terms agree far better


@dataclass(frozen=True)
class Verdict:
    """What a check says: `diagnosis` is a name of the bug zoo, or None."""

    passed: bool
    attempted: bool
    diagnosis: str | None
    message: str

    @property
    def status(self) -> str:
        """'right', 'wrong' or 'not attempted'."""
        if self.passed:
            return "right"
        return "wrong" if self.attempted else "not attempted"


class _Stop(Exception):  # noqa: N818 - no error: it carries a verdict
    """The judge has seen enough."""

    def __init__(self, message: str, bug: str | None = None, *, attempted: bool = True) -> None:
        self.verdict = Verdict(False, attempted, bug, message)
        super().__init__(message)


def _wrong(bug: str, seen: str) -> _Stop:
    """A bug of the zoo: what was seen, why it is wrong, what to change."""
    return _Stop(f"{seen} {ZOO[bug].why} {ZOO[bug].change}", bug)


NOT_ATTEMPTED = "Not attempted yet."


def _not_attempted(record: Record, key: str) -> _Stop:
    """Say whose blank it was that stopped the call."""
    where = record.get(f"{key}.blank")
    text = (
        f"Not attempted yet: {where} is blank, or its `raise` is still there."
        if where
        else NOT_ATTEMPTED
    )
    return _Stop(text, attempted=False)


def judge(
    name: str, record: Record, *, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Verdict:
    """The verdict on a record of `probing.probe`, which was made with the same name, seed and dtype.

    Raises:
        ValueError: there is no check of that name.
    """
    if name not in _JUDGES:
        raise ValueError(f"There is no check {name!r}: the checks are {', '.join(_JUDGES)}.")
    given = {
        key: value.to(torch.float64).numpy()
        for key, value in probing.inputs(name, seed, dtype).items()
    }
    try:
        with np.errstate(all="ignore"):  # wrong formulas take logarithms of negative numbers
            note = _JUDGES[name](record, given)
    except _Stop as stop:
        return stop.verdict
    except (KeyError, ValueError, IndexError, TypeError) as error:
        return Verdict(False, True, None, f"The record cannot be read ({error}).")
    return Verdict(True, True, None, f"Right. {note}".strip())


# --- what every record is looked at for -----------------------------------------------------------


def _usable(record: Record, key: str, call: str, *, number: bool = False) -> None:
    """Stop unless the call under `key` gave a tensor (or, where allowed, a number)."""
    kind = str(record.get(f"{key}.kind", "not attempted"))
    if kind == "not attempted":
        raise _not_attempted(record, key)
    if kind == "error":
        raise _error(record, key, call)
    if kind.startswith("no method"):
        raise _Stop(f"The model has {kind}.")
    if kind == "None":
        raise _wrong("nothing-returned", f"{call} gave back None.")
    if kind != "tensor" and not (number and kind == "number"):
        raise _wrong("wrong-shape", f"{call} gave back {kind}; it must be one tensor.")


def _error(record: Record, key: str, call: str) -> _Stop:
    text = str(record.get(f"{key}.error", ""))
    where = record.get(f"{key}.line")
    message = f"{call} raised an exception in your code: {text}."
    if where:
        message += f" It came from {where}."
    if record.get("other size.kind") == "works" or "invalid for input of size" in text:
        return _wrong("fixed-batch", message)
    known = next((meaning for parts, meaning in CLASSIC if any(part in text for part in parts)), "")
    return _Stop(f"{message} {known}".strip())


def _check_graph(record: Record, keys: list[str]) -> None:
    if not all(record.get(f"{key}.graph") for key in keys):
        raise _wrong("loss-without-gradient", "No gradient can pass through the result.")


def _check_finite(record: Record, call: str) -> None:
    """A comparison with NaN is false, so that NaN would pass the bounds that are looked at after this."""
    values = map(np.asarray, record.values())  # its texts too come back from a file as arrays
    if not all(_finite(value) for value in values if value.dtype.kind in "biufc"):
        raise _wrong("not-finite", f"{call} gave numbers that are not finite.")


def _check_inputs_kept(record: Record) -> None:
    if record.get("inputs changed"):
        raise _wrong("inputs-changed", "After the call its inputs hold other numbers than before.")


def _finite(value: Array) -> bool:
    return bool(np.isfinite(value).all())


def _close(a: Array | float, b: Array | float, rtol: float = RTOL) -> bool:
    """Equal to a share of the largest number in `b`."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or not _finite(a):
        return False
    return bool(np.abs(a - b).max() <= rtol * max(np.abs(b).max(), 1e-3))


def _tuple(shape: tuple[int, ...]) -> str:
    return str(tuple(int(n) for n in shape))


# --- the KL divergence ----------------------------------------------------------------------------


def _kl_terms(mu: Array, v: Array) -> Array:
    terms: Array = 0.5 * (mu**2 + np.exp(v) - 1 - v)
    return terms


def _kl_mistakes(mu: Array, v: Array) -> dict[str, list[Array]]:
    """What wrong formulas give for each latent: the arguments are μ and log σ², of shape (B, D)."""
    s2, s = np.exp(v), np.exp(0.5 * v)
    log_v, log_v2 = np.log(v), np.log(v**2)
    mistakes = {
        "kl-mu-not-squared": [0.5 * (mu + s2 - 1 - v)],
        "kl-sigma-for-variance": [0.5 * (mu**2 + s - 1 - v)],
        "kl-sigma-cancels": [0.5 * (mu**2 - 1)],
        "kl-exponential-misplaced": [0.5 * (mu**2 + v - 1 - s2)],
        "kl-log-sigma": [0.5 * (mu**2 + s2 - 1 - 0.5 * v)],
        "kl-variance-squared": [0.5 * (mu**2 + s2**2 - 1 - v)],
        "kl-logvar-is-log-sigma": [0.5 * (mu**2 + s2**2 - 1 - 2 * v)],
        "kl-logvar-is-std": [
            0.5 * (mu**2 + v**2 - 1 - log_v2),
            0.5 * (mu**2 + v**2 - 1 - 2 * log_v),
            0.5 * (mu**2 + v**2 - 1 - log_v),
        ],
        "kl-logvar-is-variance": [0.5 * (mu**2 + v - 1 - log_v)],
        "kl-swapped-arguments": [0.5 * (v**2 + np.exp(mu) - 1 - mu)],
        "kl-reversed": [0.5 * (v - 1 + (1 + mu**2) / s2)],
        "kl-mu-missing": [0.5 * (s2 - 1 - v)],
        "kl-variance-missing": [0.5 * (mu**2 - 1 - v)],
        "kl-logvar-missing": [0.5 * (mu**2 + s2 - 1)],
    }
    signs = [(a, b, c) for a in (1, -1) for b in (1, -1) for c in (1, -1)]
    mistakes["kl-term-sign"] = [  # with −1 they are the same but for the sign of the whole
        0.5 * (a * mu**2 + b * s2 + 1 - c * v) for a, b, c in signs if not a == b == c
    ]
    return mistakes


def _judge_kl(record: Record, given: Mapping[str, Array]) -> str:
    batches = ("mixed", "wide", "positive")
    for batch in batches:
        _usable(record, batch, "kl_divergence(mu, logvar)")
    _check_inputs_kept(record)
    right = {b: _kl_terms(given[f"mu.{b}"], given[f"logvar.{b}"]) for b in batches}
    got = {b: np.asarray(record[b]) for b in batches}
    _check_kl_shapes(got, right)
    expected = {b: right[b].sum(axis=1) for b in batches}
    if all(_close(got[b], expected[b]) for b in batches):
        _check_graph(record, list(batches))
        return ""
    first = got["mixed"].ravel()[0]
    seen = (
        f"For one image with three latents at μ = 1 and log σ² = 0 you give {first:.3g} nats, "
        f"and for the whole batch {_list(got['mixed'])}."
    )
    offsets = {b: got[b] - expected[b] for b in batches}
    if all(_finite(got[b]) and _close(o, np.full_like(o, o[0]), 1e-3) for b, o in offsets.items()):
        steps = {b: offsets[b][0] / right[b].shape[1] for b in batches}
        if max(steps.values()) - min(steps.values()) < 1e-3:
            _check_graph(record, list(batches))
            return (
                f"Different from this course in a constant of {steps['mixed']:.2g} for each latent, without gradient. "
                "Training is the same; but as a number it is no KL divergence, which is 0 where q(z|x) is the prior."
            )
    _name_kl_factor(got, expected, right, seen)
    mistakes = {b: _kl_mistakes(given[f"mu.{b}"], given[f"logvar.{b}"]) for b in batches}
    for name in mistakes["mixed"]:
        if _matches_mistake(got, {b: mistakes[b][name] for b in batches}):
            raise _wrong(name, seen)
    if not all(_finite(value) for value in got.values()):
        raise _wrong("not-finite", seen)
    raise _Stop(
        f"{seen} Right would be {expected['mixed'][0]:.3g} for that image, and {_list(expected['mixed'])}. "
        "This is none of the mistakes that the course knows: compare each term with the formula."
    )


def _list(values: Array) -> str:
    return ", ".join(f"{v:.3g}" for v in values.ravel()[:5])


def _check_kl_shapes(got: dict[str, Array], right: dict[str, Array]) -> None:
    for batch, value in got.items():
        images, latents = right[batch].shape
        if value.shape == (images,):
            continue
        seen = f"For {images} images with {latents} latents the result has the shape {_tuple(value.shape)}."
        if value.shape == (latents,) or value.shape == (1, latents):
            raise _wrong("kl-wrong-axis", seen)
        if value.size == 1:
            raise _wrong("kl-over-batch", seen)
        if value.shape == (images, latents):
            raise _wrong("kl-not-summed", seen)
        raise _wrong("wrong-shape", f"{seen} It must be ({images},).")


def _name_kl_factor(
    got: dict[str, Array], expected: dict[str, Array], right: dict[str, Array], seen: str
) -> None:
    """Stop where the result is the right one times a number."""
    if not all(_finite(value) for value in got.values()):
        return
    factors = {b: float(got[b] @ expected[b] / (expected[b] @ expected[b])) for b in got}
    if not all(_close(got[b], factors[b] * expected[b]) for b in got):
        return
    latents = {b: right[b].shape[1] for b in got}
    if all(_near(abs(factors[b]), 1 / latents[b]) for b in got):
        raise _wrong("kl-mean-over-latents", seen)
    same = max(factors.values()) - min(factors.values()) < 1e-3 * abs(factors["mixed"])
    if all(factor < 0 for factor in factors.values()):
        raise _wrong("kl-sign", seen)
    if same and _near(factors["mixed"], 2):
        raise _wrong("kl-half-missing", seen)
    if abs(factors["mixed"]) > 1e-6:
        raise _wrong("kl-scaled", seen)


def _near(a: float, b: float, rtol: float = 2e-3) -> bool:
    return abs(a - b) <= rtol * abs(b)


def _matches_mistake(got: dict[str, Array], wrong: dict[str, list[Array]]) -> bool:
    """Whether the results are those of a wrong formula, also with the ½ missing, the sign turned, or averaged."""
    for variant in range(len(wrong["mixed"])):
        summed = {b: formulas[variant].sum(axis=1) for b, formulas in wrong.items()}
        averaged = {b: formulas[variant].mean(axis=1) for b, formulas in wrong.items()}
        if any(all(_same(got[b], f * summed[b]) for b in got) for f in (1.0, 2.0, -1.0, -2.0)):
            return True
        if all(_same(got[b], averaged[b]) for b in got):
            return True
    return False


def _same(a: Array, b: Array) -> bool:
    """Equal, and not finite in the same places; two results with nothing finite do not count as evidence."""
    finite = np.isfinite(b)
    if a.shape != b.shape or not np.array_equal(np.isfinite(a), finite):
        return False
    return not finite.any() or _close(a[finite], b[finite])


# --- the reconstruction ---------------------------------------------------------------------------


def _cross_entropy(p: Array, x: Array) -> Array:
    terms: Array = -(x * np.log(p) + (1 - x) * np.log1p(-p))
    return terms


def _recon_mistakes(p: Array, x: Array) -> dict[str, list[Array]]:
    """What wrong formulas give for each pixel: the arguments are recon_x and x, of shape (B, 784)."""
    clamped = np.clip(x, 1e-12, 1 - 1e-12)
    logits = 1 / (1 + np.exp(-p))
    return {
        "recon-swapped": [_cross_entropy(clamped, p)],
        "recon-half-missing": [-x * np.log(p), -(1 - x) * np.log1p(-p)],
        "two-sigmoids": [_cross_entropy(logits, x)],
        "targets-rescaled": [
            _cross_entropy(p, 2 * x - 1),
            _cross_entropy(p, (x - 0.1307) / 0.3081),
            _cross_entropy(p, 255 * x),
            _cross_entropy(p, x / 255),
        ],
    }


def _judge_reconstruction(record: Record, given: Mapping[str, Array]) -> str:
    batches = [str(number) for number in range(len(RECON_BATCHES))]
    call = "reconstruction_loss(recon_x, x)"
    for batch in [*batches, "binary"]:
        _usable(record, batch, call, number=True)
        value = np.asarray(record[batch])
        images = given[f"x.{batch}"].shape[0]
        seen = f"For {images} images of {PIXELS} pixels the result has the shape {_tuple(value.shape)}."
        if value.size == 1:
            continue
        if value.shape == (images,):
            raise _wrong("recon-per-image", seen)
        if value.shape == (images, PIXELS):
            raise _wrong("recon-not-reduced", seen)
        raise _wrong("wrong-shape", f"{seen} It must be one number.")
    _check_inputs_kept(record)
    got = np.array([float(np.asarray(record[batch]).ravel()[0]) for batch in batches])
    pairs = [(given[f"recon_x.{batch}"], given[f"x.{batch}"]) for batch in batches]
    images = np.array([len(x) for _, x in pairs], dtype=float)
    right = np.array([_cross_entropy(p, x).sum() for p, x in pairs])
    seen = f"For {len(pairs[0][1])} images you give {got[0]:.4g}; their summed cross-entropy is {right[0]:.4g} nats."
    if not _finite(got):
        raise _wrong("not-finite", seen)
    if _close(got, right, 1e-4):
        if not _finite(np.asarray(record["binary"])):
            raise _wrong(
                "not-finite", "Where a pixel is exactly 0 or 1 your loss is no finite number."
            )
        _check_graph(record, batches)
        return ""
    if np.ptp(got) < 1e-9 * np.abs(got).max():
        raise _wrong("input-ignored", seen)
    _name_recon_factor(got, right, images, seen)
    mistakes = [_recon_mistakes(p, x) for p, x in pairs]
    for name, formulas in mistakes[0].items():
        for variant in range(len(formulas)):
            wrong = np.array([of_pair[name][variant].sum() for of_pair in mistakes])
            for scale in (1.0, -1.0, 1 / PIXELS, 1 / images, 1 / (PIXELS * images)):
                if _close(got, wrong * scale, 1e-4):
                    raise _wrong(name, seen)
    return _other_likelihood(record, got, pairs, images, seen)


def _name_recon_factor(got: Array, right: Array, images: Array, seen: str) -> None:
    factors = got / right
    if _close(factors, 1 / (PIXELS * images)) or _close(factors, np.full_like(factors, 1 / PIXELS)):
        raise _wrong("recon-averaged", seen)
    if _close(factors, 1 / images):
        raise _wrong("recon-averaged-over-batch", seen)
    if _close(factors, np.full_like(factors, factors[0]), 1e-4):
        if factors[0] < 0:
            raise _wrong("recon-sign", seen)
        if abs(factors[0] - 1) > 0.02:
            raise _wrong("recon-scaled", seen)


def _other_likelihood(
    record: Record, got: Array, pairs: list[tuple[Array, Array]], images: Array, seen: str
) -> str:
    """The note for a squared or an absolute error, up to a constant for each pixel; else a stop."""
    for power in (2, 1):
        errors = np.array([(np.abs(p - x) ** power).sum() for p, x in pairs])
        for scale, averaged in ((images, False), (np.ones_like(images), True)):
            columns = np.stack([errors * scale / images, scale * PIXELS], axis=1)
            solution = np.linalg.lstsq(columns, got, rcond=None)[0]
            weight = float(solution[0])
            if weight <= 0 or not _close(columns @ solution, got, 1e-4):
                continue
            if averaged and weight < 0.01:
                raise _wrong("recon-averaged", seen)
            if averaged:
                raise _wrong("recon-averaged-over-batch", seen)
            if weight < 0.1:
                raise _wrong("recon-averaged", seen)
            _check_graph(record, [str(number) for number in range(len(pairs))])
            return _likelihood_note(power, weight)
    raise _Stop(
        f"{seen} It is neither the cross-entropy nor a mistake that the course knows. Compute one pixel by hand."
    )


def _likelihood_note(power: int, weight: float) -> str:
    if power == 2:
        return (
            "Different from this course in the likelihood: a squared error states Gaussian pixels, here with "
            f"σ² = {1 / (2 * weight):.3g}. Say so beside each number you report. The course uses Bernoulli "
            "pixels, whose loss is the cross-entropy."
        )
    return (
        "Different from this course in the likelihood: an absolute error states Laplace pixels. The course uses "
        "Bernoulli pixels, whose loss is the cross-entropy."
    )


# --- the whole loss -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fit:
    """loss = a · reconstruction + b · KL + c, fitted to the calls of one group."""

    a: float
    b: float
    residual: float


def _fit_terms(loss: Array, recon: Array, kl: Array) -> _Fit:
    columns = np.stack([recon, kl, np.ones_like(kl)], axis=1)
    scale = np.abs(columns).max(axis=0)
    solution, *_ = np.linalg.lstsq(columns / scale, loss, rcond=None)
    residual = np.abs(columns / scale @ solution - loss).max()
    spread = max(float(np.ptp(loss)), 1e-6 * float(np.abs(loss).max()), 1e-12)
    a, b, _ = solution / scale
    return _Fit(float(a), float(b), float(residual) / spread)


FITS = 1e-4  # the residual's share of the losses' spread


def _judge_loss(record: Record, given: Mapping[str, Array]) -> str:
    call = "loss_function(recon_x, x, mu, logvar)"
    keys = {group: [f"{group}{n}" for n in range(LOSS_CALLS)] for group in LOSS_GROUPS}
    for key in (key for group in keys.values() for key in group):
        _usable(record, key, call, number=True)
        shape = np.asarray(record[key]).shape
        if np.asarray(record[key]).size != 1:
            raise _wrong("loss-not-one-number", f"The loss has the shape {_tuple(shape)}.")
    _check_inputs_kept(record)
    got = {
        group: np.array([float(np.asarray(record[key]).ravel()[0]) for key in names])
        for group, names in keys.items()
    }
    if not all(_finite(values) for values in got.values()):
        raise _wrong("not-finite", f"The loss is {got['a'][0]}.")
    recon, kl = _parts(given, keys)
    expected = {group: recon["cross-entropy"][group] + kl["right"][group] for group in keys}
    seen = (
        f"For one batch of {LOSS_GROUPS['a'][0]} images you give {got['a'][0]:.5g}; its cross-entropy is "
        f"{recon['cross-entropy']['a'][0]:.5g} and its KL divergence {kl['right']['a'][0]:.4g} nats, both summed."
    )
    every = [key for names in keys.values() for key in names]
    if all(_close(got[group], expected[group], 1e-5) for group in keys):
        _check_graph(record, every)
        return ""
    for r_name, r in recon.items():
        if r_name in ("cross-entropy", "squared", "absolute"):
            fits = {group: _fit_terms(got[group], r[group], kl["right"][group]) for group in keys}
            if all(fit.residual < FITS for fit in fits.values()):
                note = _weigh(fits, r_name, seen)
                _check_graph(record, every)
                return note
    for r_name, r in recon.items():
        for k_name, k in kl.items():
            fits = {group: _fit_terms(got[group], r[group], k[group]) for group in keys}
            if all(fit.residual < FITS for fit in fits.values()):
                raise _wrong((r_name if k_name == "right" else k_name).split("/")[0], seen)
    products = {g: recon["cross-entropy"][g] * kl["right"][g] for g in keys}
    fits = {group: _fit_terms(got[group], products[group], kl["right"][group]) for group in keys}
    if all(fit.residual < FITS for fit in fits.values()):
        raise _wrong("terms-multiplied", seen)
    raise _Stop(
        f"{seen} The loss must be their sum, {expected['a'][0]:.5g}. This is none of the mistakes that the "
        "course knows."
    )


def _parts(
    given: Mapping[str, Array], keys: dict[str, list[str]]
) -> tuple[dict[str, dict[str, Array]], dict[str, dict[str, Array]]]:
    """Both terms of each call, summed over its batch: the right ones first, then the wrong ones by name."""
    recon: dict[str, dict[str, list[float]]] = {}
    kl: dict[str, dict[str, list[float]]] = {}

    def add(parts: dict[str, dict[str, list[float]]], name: str, group: str, value: Array) -> None:
        parts.setdefault(name, {}).setdefault(group, []).append(float(value.sum()))

    for group, names in keys.items():
        for key in names:
            p, x = given[f"recon_x.{key}"], given[f"x.{key}"]
            mu, v = given[f"mu.{key}"], given[f"logvar.{key}"]
            add(recon, "cross-entropy", group, _cross_entropy(p, x))
            add(recon, "squared", group, (p - x) ** 2)
            add(recon, "absolute", group, np.abs(p - x))
            add(kl, "right", group, _kl_terms(mu, v))
            for parts, mistakes in ((recon, _recon_mistakes(p, x)), (kl, _kl_mistakes(mu, v))):
                for name, variants in mistakes.items():
                    for number, value in enumerate(variants):
                        add(parts, f"{name}/{number}", group, value)

    def arrays(parts: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, Array]]:
        made = {name: {g: np.array(v) for g, v in groups.items()} for name, groups in parts.items()}
        return {n: g for n, g in made.items() if all(_finite(values) for values in g.values())}

    return arrays(recon), arrays(kl)


def _weigh(fits: dict[str, _Fit], likelihood: str, seen: str) -> str:
    """Both terms are right but for their weights: name the mistake, or say in what the loss differs."""
    a, b = (np.array([getattr(fits[g], part) for g in fits]) for part in "ab")
    images, latents = (np.array([LOSS_GROUPS[g][i] for g in fits], dtype=float) for i in (0, 1))
    top = max(np.abs(a).max(), np.abs(b).max())
    if np.abs(a).max() < 1e-6 * top:
        raise _wrong("recon-missing", seen)
    if np.abs(b).max() < 1e-4 * top:
        raise _wrong("kl-missing", seen)
    if (a < 0).all():
        raise _wrong("loss-sign" if (b < 0).all() else "recon-sign", seen)
    if (b < 0).all():
        raise _wrong("kl-sign", seen)
    beta = b / a
    for factor in (1, images, 1 / latents):
        if _close(beta, PIXELS * factor * np.ones(2), 5e-3):
            raise _wrong("recon-averaged", seen)
    if _close(beta, images, 5e-3):
        raise _wrong("recon-averaged-over-batch", seen)
    if _close(beta, 1 / latents, 5e-3):
        raise _wrong("kl-mean-over-latents", seen)
    if likelihood == "cross-entropy" and not _close(beta, np.ones(2), 1e-3):
        _name_weight(a, b, beta, images, seen)
    if likelihood != "cross-entropy":
        if (beta > 2.5).any():
            raise _wrong("kl-too-strong", seen)
        if not _close(beta, np.full(2, beta[0]), 1e-3):  # it stands for no σ
            raise _wrong("kl-too-weak", seen)
        return _likelihood_note(2 if likelihood == "squared" else 1, float(1 / beta[0]))
    if _close(a, 1 / images, 1e-3):
        return (
            "Different from this course in the average over the batch: both terms are divided by the number of images. "
            "That changes the learning rate that fits, and not the model."
        )
    if _close(a, np.ones(2), 1e-3):
        return "It differs from this course by a constant, which has no gradient."
    return (
        f"Different from this course in a factor of {a[0]:.3g} on both terms, which changes the learning rate that "
        "fits. Losses are then no nats per image."
    )


def _name_weight(a: Array, b: Array, beta: Array, images: Array, seen: str) -> None:
    if _close(b, np.ones(2), 1e-3) and _close(a, images, 1e-3):
        raise _wrong(
            "weight-on-reconstruction",
            f"{seen} The reconstruction counts once for each image: one number was added to a tensor of one number an "
            "image, and the result summed.",
        )
    if _close(b, np.ones(2), 1e-3) and (a > 1).all():
        raise _wrong("weight-on-reconstruction", seen)
    if _close(beta, np.full(2, 2.0), 1e-3):
        raise _wrong("kl-half-missing", seen)
    raise _wrong("kl-too-weak" if (beta < 1).all() else "kl-too-strong", seen)


# --- reparameterize -------------------------------------------------------------------------------


def _judge_reparameterize(record: Record, given: Mapping[str, Array]) -> str:
    _check_made(record)
    call = "reparameterize(mu, logvar)"
    _usable(record, "small", call)
    mu = given["mu.small"]
    z = np.asarray(record["small"])
    if z.shape != mu.shape:
        raise _wrong(
            "wrong-shape",
            f"For inputs of shape {_tuple(mu.shape)} z has the shape {_tuple(z.shape)}.",
        )
    _check_inputs_kept(record)
    for key in ("again", "many"):
        _usable(record, key, call)
    again, many = np.asarray(record["again"]), np.asarray(record["many"])
    row_mu, row_v = given["mu.row"], given["logvar.row"]
    if again.shape != mu.shape or many.shape != (DRAWS, len(row_mu)):
        raise _wrong("wrong-shape", f"For {DRAWS} images z has the shape {_tuple(many.shape)}.")
    if not _finite(many):
        positive = row_v > 0
        rooted = _finite(many[:, positive]) and _spread_is(
            many[:, positive].std(axis=0), np.sqrt(row_v[positive]), DRAWS
        )
        raise _wrong("std-is-sqrt" if rooted else "not-finite", "Some z are not finite.")
    if _close(z, mu, 1e-6):
        raise _wrong("noise-forgotten", "Every z equals its μ.")
    if np.array_equal(z, again) and many.std(axis=0).max() < 1e-6:
        raise _wrong(
            "noise-forgotten", "z is the same for every draw: it follows from μ and log σ² alone."
        )
    if np.array_equal(z, again):
        raise _wrong("noise-repeats", "Two calls with the same μ and log σ² gave the same z.")
    _judge_noise(many, row_mu, np.exp(0.5 * row_v), row_v)
    return _judge_gradients(record, given, z)


def _judge_noise(z: Array, mu: Array, sigma: Array, v: Array) -> None:
    """Look at 100,000 draws: dependence between images and latents, shape, spread, mean, in this order."""
    n = len(z)
    mean, std = z.mean(axis=0), z.std(axis=0)
    if std.max() < 1e-6:
        raise _wrong("noise-one-for-batch", "All images of a batch got the same ε.")
    eps = (z - mean) / np.maximum(std, 1e-12)
    pairs = eps.T @ eps / n
    between = np.abs(pairs[np.triu_indices(len(mu), 1)])
    if between.min() > 0.999:
        raise _wrong("noise-one-for-latents", "All latents of an image got the same ε.")
    if np.abs((eps[1:] * eps[:-1]).mean(axis=0)).max() > 8 / math.sqrt(n):
        raise _wrong("noise-one-for-batch", "The ε of neighbouring images depend on each other.")
    if between.max() > 8 / math.sqrt(n):
        raise _wrong("noise-one-for-latents", "The ε of different latents depend on each other.")
    skew, kurtosis = (eps**3).mean(), (eps**4).mean()
    draws = eps.size
    seen = "Over 100,000 draws z has the mean " + _beside(mean, mu)
    seen += " and the standard deviation " + _beside(std, sigma) + "."
    if abs(kurtosis - 3) > 8 * math.sqrt(96 / draws) or abs(skew) > 8 * math.sqrt(15 / draws):
        if abs(kurtosis - 1.8) < 0.03 and abs(skew) < 0.1:
            raise _wrong(
                "noise-uniform", f"ε has the fourth moment {kurtosis:.2f}; a normal ε has 3."
            )
        raise _wrong(
            "noise-not-normal", f"ε has the fourth moment {kurtosis:.2f}; a normal ε has 3."
        )
    right_mean = (np.abs(mean - mu) < 8 * std / math.sqrt(n)).all()
    if right_mean and _spread_is(std, sigma, n):
        return
    if _spread_is(std, np.abs(mu), n) and (np.abs(mean - sigma) < 8 * std / math.sqrt(n)).all():
        raise _wrong("mu-sigma-exchanged", seen)
    _name_spread(std, v, sigma, n, seen)
    if (np.abs(mean) < 8 * std / math.sqrt(n)).all():
        raise _wrong("mu-ignored", seen)
    shift = (mean - mu) / sigma
    if np.abs(shift).max() > 0.05:
        raise _wrong("noise-shifted", seen)
    raise _Stop(f"{seen} This is none of the mistakes that the course knows.")


def _beside(got: Array, expected: Array) -> str:
    return ", ".join(f"{g:.2f} (should be {e:.2f})" for g, e in zip(got, expected, strict=True))


def _spread_is(std: Array, expected: Array, n: int) -> bool:
    return bool((np.abs(std - expected) < 8 * expected / math.sqrt(2 * n)).all())


def _name_spread(std: Array, v: Array, sigma: Array, n: int, seen: str) -> None:
    if _spread_is(std, sigma, n):
        return
    spreads = {
        "std-is-exp-logvar": [np.exp(v)],
        "std-is-logvar": [np.abs(v)],
        "std-is-softplus": [np.log1p(np.exp(v)), np.sqrt(np.log1p(np.exp(v)))],
        "std-is-sqrt": [np.sqrt(np.abs(v))],
        "std-ignored": [np.full_like(v, std[0])],
        "std-sign": [np.exp(-0.5 * v), np.exp(-v)],
    }
    for name, variants in spreads.items():
        if any(_spread_is(std, spread, n) for spread in variants):
            raise _wrong(name, seen)
    if _spread_is(std, std[0] / sigma[0] * sigma, n):
        raise _wrong("noise-scale", seen)


def _judge_gradients(record: Record, given: Mapping[str, Array], z: Array) -> str:
    mu, logvar = given["mu.small"], given["logvar.small"]
    weights = given["weights"]
    expected = {"mu": weights, "logvar": weights * 0.5 * (z - mu)}
    lost = []
    for name in ("mu", "logvar"):
        gradient = np.asarray(record.get(f"grad.{name}", np.zeros_like(mu)))
        if not np.abs(gradient).any():
            lost.append(name)
    if len(lost) == 2:
        raise _wrong("gradient-lost", "From z no gradient reaches μ or log σ².")
    if lost:
        bug = "gradient-to-mu-lost" if lost == ["mu"] else "gradient-to-sigma-lost"
        raise _wrong(bug, f"From z a gradient reaches only {'log σ²' if lost == ['mu'] else 'μ'}.")
    sigma = np.exp(0.5 * logvar)
    for name in ("mu", "logvar"):
        scale = 1.0 if name == "mu" else float(sigma.max())
        off = np.abs(np.asarray(record[f"grad.{name}"]) - expected[name]).max()
        if not off <= 1e-3 * scale:  # it may be NaN
            raise _Stop(
                f"z has the right distribution, but its gradient with respect to {name} is off by {off:.2g}."
            )
    return ""


# --- the encoder, the decoder, the class ----------------------------------------------------------


def _check_made(record: Record) -> None:
    """Where a class was handed over: whether a model could be made from it."""
    kind = str(record.get("init.kind", "tensor"))
    if kind == "not attempted":
        raise _not_attempted(record, "init")
    if kind == "error":
        raise _error(record, "init", "Making the model")
    if kind != "tensor":
        raise _Stop("This check takes a torch.nn.Module, or a class of it, such as `VAE`.")


def _two(record: Record, key: str) -> tuple[Array, Array]:
    """The two tensors of encode, of shape (B, D)."""
    kind = str(record.get(f"{key}.kind", "not attempted"))
    if kind in ("not attempted", "error", "None") or kind.startswith("no method"):
        _usable(record, key, "encode(x)")
    if kind != "2 values":
        what = {"tensor": "one tensor", "1 values": "a tuple of one value"}.get(kind, kind)
        raise _wrong("one-output", f"encode(x) gave back {what}.")
    for part in (0, 1):
        _usable(record, f"{key}.{part}", "encode(x)")
    mu, logvar = np.asarray(record[f"{key}.0"]), np.asarray(record[f"{key}.1"])
    return mu, logvar


def _judge_encode(record: Record, given: Mapping[str, Array]) -> str:
    _check_made(record)
    mu, logvar = _two(record, "seven")
    if mu.ndim != 2 or len(mu) != 7 or mu.shape != logvar.shape:
        shapes = f"{_tuple(mu.shape)} and {_tuple(logvar.shape)}"
        raise _wrong("wrong-shape", f"For seven images encode(x) gave the shapes {shapes}.")
    _check_finite(record, "encode(x)")
    for part, output in ((0, mu), (1, logvar)):
        if f"again.{part}" in record and not _close(
            np.asarray(record[f"again.{part}"]), output, 1e-4
        ):
            raise _wrong("encode-random", "Two calls on the same images gave different numbers.")
    for part, name in ((0, "mu"), (1, "logvar")):
        _check_batches(record, f".{part}", name, "encode(x)")
    if _close(mu, logvar, 1e-6):
        raise _wrong("one-layer-for-both", "mu and logvar are the same numbers.")
    _check_layers(record, mu, logvar)
    for part, name in ((0, "mu"), (1, "logvar")):
        if f"low.{part}" in record and f"high.{part}" in record:
            low, high = (np.asarray(record[f"{key}.{part}"]) for key in ("low", "high"))
            reach = min(low.min(), high.min()), max(low.max(), high.max())
            if reach[0] > -1.5 or reach[1] < 1.5:
                raise _wrong(
                    f"activation-on-{name}",
                    f"With a last layer that gives −{BIAS:g} and {BIAS:g}, {name} is {reach[0]:.2f} "
                    f"and {reach[1]:.2f}.",
                )
    return ""


def _check_batches(record: Record, part: str, name: str, call: str) -> None:
    """Each image must get the same, whatever stands beside it."""
    seven = np.asarray(record[f"seven{part}"])
    if str(record.get("three.kind")) == "error":
        raise _wrong(
            "fixed-batch",
            f"{call} works for seven rows, and for three it raises {record['three.error']}.",
        )
    three, reversed_ = np.asarray(record[f"three{part}"]), np.asarray(record[f"reversed{part}"])
    scale = max(float(np.abs(seven).max()), 1e-6)
    if three.shape != (3, *seven.shape[1:]):
        raise _wrong("fixed-batch", f"For three rows {name} has the shape {_tuple(three.shape)}.")
    if np.abs(seven - seven[0]).max() < 1e-6 * scale:
        raise _wrong("input-ignored", f"{name} is the same for all rows.")
    if max(np.abs(three - seven[:3]).max(), np.abs(reversed_ - seven[::-1]).max()) > 1e-3 * scale:
        raise _wrong("layout-mixed-up", f"{name} of a row depends on the rows beside it.")


def _check_layers(record: Record, mu: Array, logvar: Array) -> None:
    """Where the layers have their names: moving the bias of one must move its own output only."""
    moved = {}
    for name in ("fc_mu", "fc_logvar"):
        if f"moved {name}.0" in record:
            moved[name] = tuple(
                bool(np.abs(np.asarray(record[f"moved {name}.{part}"]) - before).max() > 1e-4)
                for part, before in enumerate((mu, logvar))
            )
    if moved.get("fc_mu") == (False, True) and moved.get("fc_logvar") == (True, False):
        raise _wrong("mu-logvar-exchanged", "Moving fc_mu moves the second output.")
    for name, outputs in moved.items():
        if outputs == (True, True):
            raise _wrong("one-layer-for-both", f"Moving {name} moves both outputs.")


def _judge_decode(record: Record, given: Mapping[str, Array]) -> str:
    _check_made(record)
    _usable(record, "seven", "decode(z)")
    seven = np.asarray(record["seven"])
    if seven.shape != (7, PIXELS):
        raise _wrong(
            "wrong-shape",
            f"For seven codes decode(z) has the shape {_tuple(seven.shape)}, not (7, 784).",
        )
    _check_finite(record, "decode(z)")
    again, far = np.asarray(record["again"]), np.asarray(record["far"])
    if np.abs(again - seven).max() > 1e-6:
        raise _wrong("decode-random", "Two calls with the same z gave different images.")
    _check_batches(record, "", "the image", "decode(z)")
    both = np.concatenate([seven, far])
    reach = f"The outputs lie between {both.min():.2f} and {both.max():.2f}"
    if np.abs(seven.sum(axis=1) - 1).max() < 1e-3:
        raise _wrong("softmax-over-pixels", "The outputs of each image add up to 1.")
    if both.min() < -1e-6 or both.max() > 1 + 1e-6:
        raise _wrong("no-sigmoid", f"{reach}.")
    if both.min() > 0.499 and both.max() < 0.7312:
        raise _wrong("two-sigmoids", f"{reach}, also for codes far from 0.")
    if str(record["gradient"]) == "no":
        raise _wrong("decode-without-gradient", "No gradient passes from the image to z.")
    return ""


def _judge_vae(record: Record, given: Mapping[str, Array]) -> str:
    _check_made(record)
    notes, missing = [], []
    for name in ("encode", "reparameterize", "decode"):
        prefix = f"{name}/"
        part = {k.removeprefix(prefix): v for k, v in record.items() if k.startswith(prefix)}
        try:
            notes.append(_JUDGES[name](part, given))
        except _Stop as stop:
            if stop.verdict.attempted:
                raise _Stop(f"{name}: {stop.verdict.message}", stop.verdict.diagnosis) from None
            missing.append(name)
    if str(record.get("forward.kind", "not attempted")) == "not attempted":
        missing.append("forward")
    if missing:
        written = bool(notes)
        text = f"Not written yet: {', '.join(missing)}." if written else NOT_ATTEMPTED
        raise _Stop(text, attempted=written)
    notes.append(_judge_forward(record))
    return " ".join(note for note in notes if note)


def _judge_forward(record: Record) -> str:
    key = "forward"
    if str(record.get("forward flat.kind")) == "3 values":
        seen = "forward: model(x) works for images (B, 784), and not for (B, 1, 28, 28)."
        raise _wrong("images-not-flattened", seen)
    kind = str(record[f"{key}.kind"])
    if kind == "error":
        raise _error(record, key, "forward: model(x)")
    if kind == "None":
        raise _wrong("nothing-returned", "forward: model(x) gave back None.")
    if kind != "3 values":
        raise _wrong(
            "forward-wrong",
            f"forward: model(x) gave back {'one tensor' if kind == 'tensor' else kind}.",
        )
    outputs = [np.asarray(record.get(f"{key}.{part}", np.zeros(0))) for part in range(3)]
    if outputs[0].shape != (7, PIXELS):
        raise _wrong(
            "forward-wrong",
            f"forward: the first output has the shape {_tuple(outputs[0].shape)}, not (7, 784).",
        )
    for part, name in ((1, "mu"), (2, "logvar")):
        if f"forward evaluating.{part}" in record:
            output = np.asarray(record[f"forward evaluating.{part}"])
            if not _close(output, np.asarray(record[f"encode/seven.{part - 1}"]), 1e-3):
                raise _wrong(
                    "forward-wrong", f"forward: in place of {name} model(x) gave something else."
                )
    made = {key: value for key, value in record.items() if key.startswith("forward")}
    _check_finite(made, "forward: model(x)")
    again = np.asarray(record.get("forward again.0", outputs[0]))
    if np.abs(again - outputs[0]).max() < 1e-9:
        raise _wrong(
            "noise-forgotten", "forward: two calls in training gave the same reconstruction."
        )
    for part, name in ((0, "mu"), (1, "logvar")):
        if f"handed {name}" in record:
            handed = np.asarray(record[f"handed {name}"])
            if not _close(handed, np.asarray(record[f"encode/seven.{part}"]), 1e-3):
                raise _wrong(
                    "code-from-other-arguments",
                    f"forward: reparameterize got something else for {name}.",
                )
    return ""


# --- the training step ----------------------------------------------------------------------------


def _judge_step(record: Record, given: Mapping[str, Array]) -> str:
    kind = str(record.get("first.kind", "not attempted"))
    if kind == "not attempted":
        raise _not_attempted(record, "first")
    if kind == "error":
        raise _error(record, "first", "training_step(model, optimizer, x)")
    if record.get("flat only"):
        raise _wrong(
            "images-not-flattened",
            "The step works for images (B, 784), and not for (B, 1, 28, 28).",
        )
    events = [str(record[f"{key}.events"]).split() for key in ("first", "second")]
    if not int(record["second.calls"]):
        raise _wrong("model-ignored", "The step did not use the model it was given.")
    stepped = all("step" in happened for happened in events)
    if not stepped and np.abs(np.asarray(record["first.moved"])).max() > 0:
        seen = "The weights moved, and the optimizer that was handed over took no step."
        raise _wrong("optimizer-ignored", seen)
    for happened in events:
        _check_events(happened)
    moved = (
        np.abs(np.asarray(record["first.moved"])).max(),
        np.abs(np.asarray(record["second.moved"])).max(),
    )
    if min(moved) == 0:
        raise _wrong("gradients-cleared-too-late", "A step was taken, and no weight moved.")
    _check_accumulation(record)
    return _check_returned(record, given)


def _check_events(events: list[str]) -> None:
    if "backward" not in events:
        raise _wrong("backward-missing", "No gradient was computed.")
    if "step" not in events:
        raise _wrong("step-missing", "The optimizer took no step.")
    if events.index("step") < events.index("backward"):
        raise _wrong(
            "step-before-backward",
            "The optimizer took its step before the gradients were computed.",
        )
    if events.count("step") > 1:
        raise _wrong(
            "steps-too-many", f"The optimizer took {events.count('step')} steps in one call."
        )


def _check_accumulation(record: Record) -> None:
    """The gradients of the second step must not depend on the first one."""
    second, alone = (np.asarray(record[f"{key}.gradients"]) for key in ("second", "second alone"))
    if not _close(second, alone, 1e-3):
        raise _wrong(
            "zero-grad-forgotten",
            "The gradients of the second step hold those of the first one too.",
        )


def _check_returned(record: Record, given: Mapping[str, Array]) -> str:
    kinds = {key: str(record[f"{key}.kind"]) for key in ("first", "second", "other images")}
    if "None" in kinds.values():
        raise _wrong("nothing-returned", "The step gave back None.")
    if record.get("first.graph"):
        raise _wrong(
            "loss-keeps-graph", "The loss came back as a tensor that still needs a gradient."
        )
    if any(kind not in ("number", "tensor") for kind in kinds.values()):
        raise _wrong(
            "wrong-shape", f"The step gave back {kinds['first']}; it must be the loss, one number."
        )
    values = {key: np.asarray(record[key]) for key in kinds}
    if any(value.size != 1 for value in values.values()):
        raise _wrong(
            "wrong-shape", f"The step gave back a tensor of shape {_tuple(values['first'].shape)}."
        )
    first, other = float(values["first"].ravel()[0]), float(values["other images"].ravel()[0])
    if not math.isfinite(first):
        raise _wrong("not-finite", f"The loss came back as {first}.")
    if first == other:
        raise _wrong("batch-ignored", f"For two different batches the loss was {first:.5g}.")
    walk = [float(np.asarray(record[f"walk {number}"]).ravel()[0]) for number in range(5)]
    if walk[-1] - walk[0] > 1e-6 * abs(walk[0]):
        raise _wrong(
            "step-uphill",
            f"Over five steps on the same images the loss went from {walk[0]:.6g} to {walk[-1]:.6g}.",
        )
    notes = [_judge_returned_loss(record, given, first)]
    if kinds["first"] == "tensor":
        notes.append(
            "It gives back a tensor without its graph, where this course gives back a plain number."
        )
    return " ".join(note for note in notes if note)


def _judge_returned_loss(record: Record, given: Mapping[str, Array], loss: float) -> str:
    """Compare the loss that came back with the course's, and with what a slip in calling it gives."""
    p, mu, v = (np.asarray(record[f"first.{name}"]) for name in ("recon_x", "mu", "logvar"))
    x = given["x.0"]
    recon, kl = _cross_entropy(p, x).sum(), _kl_terms(mu, v).sum()
    swapped = _cross_entropy(np.clip(x, 1e-12, 1 - 1e-12), p).sum()
    slips = {
        "recon-swapped": swapped + kl,
        "kl-missing": recon,
        "recon-missing": kl,
        "kl-swapped-arguments": recon + _kl_terms(v, mu).sum(),
    }
    seen = f"For {len(x)} images the loss came back as {loss:.6g}; right is {recon + kl:.6g} nats."
    if _near(loss, recon + kl, 1e-5):
        return ""
    for name, value in slips.items():
        if _near(loss, value, 1e-5):
            raise _wrong(name, seen)
    if _near(loss * len(x), recon + kl, 1e-5):
        return "It gives back the mean over the images, where this course gives back the sum."
    return f"{seen} The step is right; is it another loss, or another unit, that you mean?"


# --- the mini project -----------------------------------------------------------------------------


def _judge_grid(record: Record, given: Mapping[str, Array]) -> str:
    for side in GRID_SIDES:
        _usable(record, str(side), "prior_grid(side)")
        grid = np.asarray(record[str(side)])
        if grid.shape != (side**2, 2):
            seen = f"For side = {side} the grid has the shape {_tuple(grid.shape)}, not ({side**2}, 2)."
            raise _wrong("wrong-shape", seen)
    side = GRID_SIDES[-1]
    grid = np.asarray(record[str(side)])
    places = np.unique(np.round(grid, 5))
    seen = f"For side = {side} the coordinates are {_list(places)}."
    if not _finite(grid):
        raise _wrong("grid-at-infinity", seen)
    if all(_close(np.asarray(record[str(n)]), _grid(n)) for n in GRID_SIDES):
        return ""
    right = _grid(side)
    if _close(np.sort(grid.ravel()), np.sort(right.ravel()), 1e-3):
        raise _wrong("grid-turned", seen)
    gaps = np.diff(places)
    if len(gaps) and np.ptp(gaps) < 1e-3 * gaps.max():
        raise _wrong("grid-evenly-spaced", seen)
    raise _Stop(
        f"{seen} They must be the normal quantiles of (i + ½) / side: {_list(np.unique(right.round(5)))}."
    )


def _grid(side: int) -> Array:
    shares = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    quantiles = torch.special.ndtri(shares).numpy()
    return np.array([(x, y) for y in quantiles[::-1] for x in quantiles])


def _judge_plane(record: Record, given: Mapping[str, Array]) -> str:
    kind = str(record.get("plane.kind", "not attempted"))
    if kind != "2 values":
        _usable(record, "plane", "principal_plane(codes)")
        raise _wrong(
            "wrong-shape",
            "principal_plane(codes) gave back one tensor; it must be two, centre and axes.",
        )
    _check_inputs_kept(record)
    codes = given["codes"]
    latents = codes.shape[1]
    for part in (0, 1):
        _usable(record, f"plane.{part}", "principal_plane(codes)")
    centre, axes = np.asarray(record["plane.0"]).ravel(), np.asarray(record["plane.1"])
    if centre.shape != (latents,) or axes.shape != (2, latents):
        shapes = f"{_tuple(centre.shape)} and {_tuple(axes.shape)}"
        seen = f"For codes of shape {_tuple(codes.shape)} the shapes are {shapes}."
        raise _wrong("wrong-shape", f"{seen} They must be ({latents},) and (2, {latents}).")
    _check_finite(record, "principal_plane(codes)")
    lengths = np.linalg.norm(axes, axis=1)
    seen = f"The axes have the lengths {_list(lengths)} and the product {axes[0] @ axes[1]:.2g}."
    if np.abs(axes @ axes.T - np.eye(2)).max() > 1e-3:
        raise _wrong("plane-not-orthonormal", seen)
    _, _, right = np.linalg.svd(codes - codes.mean(axis=0), full_matrices=False)
    _, _, raw = np.linalg.svd(codes, full_matrices=False)
    along = ((codes - codes.mean(axis=0)) @ axes.T).var(axis=0)
    seen = f"Along the two axes the codes have the variances {_list(along)}."
    if (
        np.abs(np.abs((axes * raw[:2]).sum(axis=1)) - 1).max() < 1e-3
        or np.abs(centre - codes.mean(axis=0)).max() > 1e-2
    ):
        raise _wrong("plane-not-centred", seen)
    if np.abs(np.abs((axes * right[:2]).sum(axis=1)) - 1).max() > 1e-3:
        raise _wrong("plane-weakest", seen)
    return ""


def _judge_walk(record: Record, given: Mapping[str, Array]) -> str:
    points = given["points"]
    for steps in WALK_STEPS:
        _usable(record, str(steps), "walk(points, steps)")
        path = np.asarray(record[str(steps)])
        if path.shape != (steps, points.shape[1]):
            seen = f"For {steps} steps in {points.shape[1]} dimensions the path has the shape {_tuple(path.shape)}."
            raise _wrong("wrong-shape", f"{seen} It must be ({steps}, {points.shape[1]}).")
    _check_inputs_kept(record)
    _check_finite(record, "walk(points, steps)")
    paths = {steps: np.asarray(record[str(steps)]) for steps in WALK_STEPS}
    if all(_close(path, _walk(points, steps)) for steps, path in paths.items()):
        return ""
    steps, path = next(iter(paths.items()))
    if _close(path, np.linspace(points[0], points[-1], steps), 1e-3):
        raise _wrong("walk-skips-points", f"All {steps} steps lie on one straight line.")
    ends = np.abs(path[0] - points[0]).max(), np.abs(path[-1] - points[-1]).max()
    if max(ends) > 1e-3:
        raise _wrong("walk-misses-the-end", f"The ends are off by {ends[0]:.2g} and {ends[1]:.2g}.")
    raise _Stop(
        "Both ends are right, and some steps between are not where they should be: equal steps from point 0 to 1, and "
        "so on."
    )


def _walk(points: Array, steps: int) -> Array:
    position = np.linspace(0, len(points) - 1, steps)
    numbers = np.arange(len(points))
    return np.stack([np.interp(position, numbers, column) for column in points.T], axis=1)


# --- the importance-weighted bound ----------------------------------------------------------------


def _judge_weights(record: Record, given: Mapping[str, Array]) -> str:
    got: dict[str, Array] = {}
    for batch in ("near", "far"):
        _usable(record, batch, "importance_weighted(log_w)")
        got[batch] = np.asarray(record[batch])
        codes, images = given[batch].shape
        seen = f"For {codes} codes and {images} images the result has the shape {_tuple(got[batch].shape)}."
        if got[batch].shape == (codes,):
            raise _wrong("bound-wrong-axis", seen)
        if got[batch].shape != (images,):
            raise _wrong("wrong-shape", f"{seen} It must be ({images},).")
    _check_inputs_kept(record)
    log_w = given["near"]
    summed = np.log(np.exp(log_w).sum(axis=0))
    right = summed - np.log(len(log_w))
    seen = f"For the log-weights {_list(log_w[:, 0])}, … you give {got['near'][0]:.3g}; the bound is {right[0]:.3g}."
    mistakes = {
        "bound-mean-of-logs": log_w.mean(axis=0),
        "bound-codes-not-counted": summed,
        "bound-best-code": log_w.max(axis=0),
        "bound-sign": -right,
        "bound-no-logarithm": np.exp(right),
    }
    for name, wrong in mistakes.items():
        if _close(got["near"], wrong):
            raise _wrong(name, seen)
    if not _close(got["near"], right):
        raise _Stop(
            f"{seen} This is none of the mistakes that the course knows: try it by hand for two codes."
        )
    far = given["far"]
    top = far.max(axis=0)
    if not _close(got["far"] - top, np.log(np.exp(far - top).mean(axis=0)), 1e-2):
        raise _wrong("bound-underflow", f"For log-weights near −900 you give {_list(got['far'])}.")
    _check_graph(record, ["near", "far"])
    return ""


_JUDGES: dict[str, Callable[[Record, Mapping[str, Array]], str]] = {
    "encode": _judge_encode,
    "decode": _judge_decode,
    "reparameterize": _judge_reparameterize,
    "kl_divergence": _judge_kl,
    "reconstruction_loss": _judge_reconstruction,
    "loss_function": _judge_loss,
    "training_step": _judge_step,
    "vae": _judge_vae,
    "prior_grid": _judge_grid,
    "principal_plane": _judge_plane,
    "walk": _judge_walk,
    "importance_weighted": _judge_weights,
}
