"""The whole loss: both terms, summed over the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ... import answers
from ..calls import Array, Calls, Inputs, Record, describe
from ..exercise import Exercise, Given
from ..formulas import (
    LIKELIHOODS,
    PIXELS,
    cross_entropy,
    kl_gradients,
    kl_mistakes,
    kl_terms,
    likelihood_note,
    recon_mistakes,
)  # fmt: skip
from ..inputs import rand, signed
from ..verdicts import (
    Mistake,
    Stop,
    close,
    finite,
    need,
    need_graph,
    need_inputs_kept,
    shape,
    wrong,
)

CALL = "loss_function(recon_x, x, mu, logvar)"
# images and latents of each group of calls: all different, so that a mean shows what it ran over
GROUPS = {"a": (4, 3), "b": (6, 5)}
CALLS = 6  # for each group
KEYS = {group: [f"{group}{number}" for number in range(CALLS)] for group in GROUPS}
EVERY = [key for keys in KEYS.values() for key in keys]
SAMPLES = 400  # calls on the same batch, where the loss is random
FITS = 1e-4  # the residual's share of the losses' spread
ARGUMENTS = ("recon_x", "x", "mu", "logvar")
Terms = dict[str, dict[str, Array]]
SLOPES = {name: slope for name, (_, slope, _) in LIKELIHOODS.items()}
SLOPES["best-sigma"] = lambda p, x: (p - x) / ((p - x) ** 2).mean()


def inputs(g: torch.Generator) -> Inputs:
    made = {}

    def add(key: str, batch: int, latents: int, brightest: float, low: float, high: float) -> None:
        made[f"recon_x.{key}"] = rand(g, batch, PIXELS, low=0.03, high=brightest)
        made[f"x.{key}"] = rand(g, batch, PIXELS, low=0.02, high=0.97)
        made[f"mu.{key}"] = signed(g, batch, latents, low=low, high=high)
        made[f"logvar.{key}"] = signed(g, batch, latents, low=low, high=min(high, 2))

    for group, (batch, latents) in GROUPS.items():
        for number in range(CALLS):
            add(f"{group}{number}", batch, latents, 0.45 + 0.08 * number, 0.3, 3)
    add("small", *GROUPS["a"], 0.6, 0.05, 0.3)  # KL divergences of some 0.1 nats
    add("sampled", *GROUPS["a"], 0.6, 0.3, 0.9)
    made |= {f"{part}.saturated": made[f"{part}.a0"].round() for part in ("recon_x", "x")}
    made |= {f"{part}.saturated": made[f"{part}.a0"] for part in ("mu", "logvar")}
    return made


def probe(calls: Calls, answer: Any, given: Inputs) -> None:
    for key in (*EVERY, "small"):
        calls.tracked(key, answer, given, *(f"{part}.{key}" for part in ARGUMENTS))
    for key, batch in (("again", "a0"), ("saturated", "saturated")):
        calls.call(key, answer, *(given[f"{part}.{batch}"].clone() for part in ARGUMENTS))
    if not np.array_equal(calls.record.get("again", 0), calls.record.get("a0", 0)):
        drawn = [_plain(answer, given) for _ in range(SAMPLES)]
        describe(calls.record, "samples", torch.tensor(drawn))


def _plain(answer: Any, given: Inputs) -> float:
    try:
        return float(answer(*(given[f"{part}.sampled"].clone() for part in ARGUMENTS)))
    except Exception:
        return float("nan")


@dataclass(frozen=True)
class Fit:
    """loss = a · reconstruction + b · KL + c, fitted to the calls of one group."""

    a: float
    b: float
    residual: float


def fit_terms(loss: Array, recon: Array, kl: Array) -> Fit:
    """The least squares fit of both terms and a constant; the residual is a share of the losses' spread."""
    columns = np.stack([recon, kl, np.ones_like(kl)], axis=1)
    scale = np.abs(columns).max(axis=0)
    solution, *_ = np.linalg.lstsq(columns / scale, loss, rcond=None)
    residual = np.abs(columns / scale @ solution - loss).max()
    spread = max(float(np.ptp(loss)), 1e-6 * float(np.abs(loss).max()), 1e-12)
    a, b, _ = solution / scale
    return Fit(float(a), float(b), float(residual) / spread)


def judge(record: Record, given: Given) -> str:
    for key in EVERY:
        value = need(record, key, CALL, number=True)
        if value.size != 1:
            raise wrong("loss-not-one-number", f"The loss has the shape {shape(value)}.")
    need_inputs_kept(record)
    got = {
        group: np.array([float(np.asarray(record[key]).ravel()[0]) for key in keys])
        for group, keys in KEYS.items()
    }
    if not all(finite(values) for values in got.values()):
        raise wrong("not-finite", f"The loss is {got['a'][0]}.")
    if "samples" in record and finite(np.asarray(record["samples"])):
        return _judge_sampled(record, given, got["a"][0])
    recon, kl = _parts(given)
    expected = {group: recon["cross-entropy"][group] + kl["right"][group] for group in KEYS}
    seen = (
        f"For one batch of {GROUPS['a'][0]} images you give {got['a'][0]:.5g}; its cross-entropy is "
        f"{recon['cross-entropy']['a'][0]:.5g} and its KL divergence {kl['right']['a'][0]:.4g} nats, both summed."
    )
    if all(close(got[group], expected[group], 1e-5) for group in KEYS):
        ones = dict.fromkeys(KEYS, Fit(1.0, 1.0, 0.0))
        _check_gradients(record, given, ones, "cross-entropy")
        return ""
    for name in (*LIKELIHOODS, "best-sigma"):
        fits = {g: fit_terms(got[g], recon[name][g], kl["right"][g]) for g in KEYS}
        if all(fit.residual < FITS for fit in fits.values()):
            note = _weigh(fits, name, seen)
            _check_gradients(record, given, fits, name)
            return note
    for r_name, r in recon.items():
        for k_name, k in kl.items():
            fits = {group: fit_terms(got[group], r[group], k[group]) for group in KEYS}
            if all(fit.residual < FITS for fit in fits.values()):
                if k_name == "right" and r_name in (*LIKELIHOODS, "best-sigma"):
                    continue
                raise wrong((r_name if k_name == "right" else k_name).split("/")[0], seen)
    products = {g: recon["cross-entropy"][g] * kl["right"][g] for g in KEYS}
    fits = {group: fit_terms(got[group], products[group], kl["right"][group]) for group in KEYS}
    if all(fit.residual < FITS for fit in fits.values()):
        raise wrong("terms-multiplied", seen)
    raise Stop(
        f"{seen} The loss must be their sum, {expected['a'][0]:.5g}. This is none of the mistakes that the "
        "course knows."
    )


def _judge_sampled(record: Record, given: Given, first: float) -> str:
    """A loss that is random: right where its mean is, as with a KL term that is sampled."""
    need_graph(record, EVERY)
    drawn = np.asarray(record["samples"])
    p, x, mu, v = (given[f"{part}.sampled"] for part in ARGUMENTS)
    right = cross_entropy(p, x).sum() + kl_terms(mu, v).sum()
    error = 8 * drawn.std() / np.sqrt(len(drawn))
    for name in ("recon_x", "mu", "logvar"):
        if not np.asarray(record[f"a0.grad.{name}"]).any():
            raise wrong("loss-without-gradient", f"No gradient of the loss reaches {name}.")
    scale = min(
        (1, 1 / len(x), 1 / PIXELS, 1 / x.size), key=lambda s: abs(drawn.mean() - s * right)
    )
    if abs(drawn.mean() - scale * right) > error or error > 0.5 * scale * kl_terms(mu, v).sum():
        raise Stop(
            f"Two calls on the same batch gave {first:.5g} and {float(np.asarray(record['again']).ravel()[0]):.5g}: "
            f"something is drawn at random, and on average the loss is {drawn.mean():.5g} where {right:.5g} is right."
        )
    return (
        "Different from this course in the KL term, which is estimated from a random code: right on average, but "
        "noisier. Between two Gaussians the KL divergence has a formula, which costs less and has no noise."
    )


def _check_gradients(record: Record, given: Given, fits: dict[str, Fit], likelihood: str) -> None:
    """Compare the gradients with those of the same two terms, so weighted; and look at very small KL divergences."""
    need_graph(record, EVERY)
    for key in (*EVERY, "small"):
        fit = fits["a" if key == "small" else key[0]]
        p, x, mu, v = (given[f"{part}.{key}"] for part in ARGUMENTS)
        slope = SLOPES[likelihood](p, x)
        expected = {"recon_x": fit.a * slope} | {
            n: fit.b * g for n, g in kl_gradients(mu, v).items()
        }
        for name, right in expected.items():
            gradient = np.asarray(record[f"{key}.grad.{name}"])
            if close(gradient, right, 5e-3):
                continue
            if key == "small":
                raise Stop(
                    f"Where the KL divergence is small, its gradient with respect to {name} is not what it is "
                    "elsewhere. Is there a clamp, a floor or a rounding in the KL term?"
                )
            if not gradient.any():
                raise wrong(
                    "loss-without-gradient",
                    f"The number is right, but no gradient of it reaches {name}.",
                )
            raise Stop(
                f"The number is right, but its gradient with respect to {name} isn't: a part of the loss was "
                "computed without a graph. Look for `.detach()`, `.data`, `.item()` or `no_grad`."
            )
    if not finite(np.asarray(record.get("saturated", np.nan))):
        raise wrong("not-finite", "Where recon_x is exactly 0 or 1 your loss isn't finite.")


def _parts(given: Given) -> tuple[Terms, Terms]:
    """Both terms of each call, summed over its batch: the right ones first, then the wrong ones by name."""
    recon: dict[str, dict[str, list[float]]] = {}
    kl: dict[str, dict[str, list[float]]] = {}

    def add(parts: dict[str, dict[str, list[float]]], name: str, group: str, value: Any) -> None:
        parts.setdefault(name, {}).setdefault(group, []).append(float(value.sum()))

    for group, keys in KEYS.items():
        for key in keys:
            p, x, mu, v = (given[f"{part}.{key}"] for part in ARGUMENTS)
            for name, (formula, _, _) in LIKELIHOODS.items():
                add(recon, name, group, formula(p, x))
            add(recon, "best-sigma", group, 0.5 * x.size * np.log(((p - x) ** 2).mean()))
            add(kl, "right", group, kl_terms(mu, v))
            for parts, mistakes in ((recon, recon_mistakes(p, x)), (kl, kl_mistakes(mu, v))):
                for name, variants in mistakes.items():
                    for number, value in enumerate(variants):
                        add(parts, f"{name}/{number}", group, value)

    def arrays(parts: dict[str, dict[str, list[float]]]) -> Terms:
        made = {name: {g: np.array(v) for g, v in groups.items()} for name, groups in parts.items()}
        return {n: g for n, g in made.items() if all(finite(values) for values in g.values())}

    return arrays(recon), arrays(kl)


def _weigh(fits: dict[str, Fit], likelihood: str, seen: str) -> str:
    """Both terms are right but for their weights: name the mistake, or say in what the loss differs."""
    a, b = (np.array([getattr(fits[g], part) for g in fits]) for part in "ab")
    images, latents = (np.array([GROUPS[g][i] for g in fits], dtype=float) for i in (0, 1))
    top = max(np.abs(a).max(), np.abs(b).max())
    if np.abs(a).max() < 1e-6 * top:
        raise wrong("recon-missing", seen)
    if np.abs(b).max() < 1e-4 * top:
        raise wrong("kl-missing", seen)
    if (a < 0).all():
        raise wrong("loss-sign" if (b < 0).all() else "recon-sign", seen)
    if (b < 0).all():
        raise wrong("kl-sign", seen)
    beta = b / a
    if any(close(beta, PIXELS * f * np.ones(2), 5e-3) for f in (1, images, 1 / latents)):
        raise wrong("recon-averaged", seen)
    if close(beta, images, 5e-3):
        raise wrong("recon-averaged-over-batch", seen)
    if close(beta, 1 / latents, 5e-3):
        raise wrong("kl-mean-over-latents", seen)
    if likelihood in ("squared", "absolute"):
        if (beta > 2.5).any():
            raise wrong("kl-too-strong", seen)
        if not close(beta, np.full(2, beta[0]), 1e-3) or beta[0] < 1e-4:  # it stands for no σ
            raise wrong("kl-too-weak", seen)
        return likelihood_note(likelihood, float(1 / beta[0]))
    if not close(beta, np.ones(2), 1e-3 if likelihood == "cross-entropy" else 2e-2):
        _name_weight(a, b, beta, images, seen)
    if likelihood != "cross-entropy":
        return likelihood_note(likelihood, 1.0)
    if close(a, 1 / images, 1e-3):
        return (
            "Different from this course in the average over the batch: both terms are divided by the number of "
            "images. That changes the learning rate that fits, but not the model."
        )
    if close(a, np.ones(2), 1e-3):
        return "It differs from this course by a constant, which has no gradient."
    return (
        f"Different from this course in a factor of {a[0]:.3g} on both terms, which changes the learning rate "
        "that fits. Losses then aren't nats per image."
    )


def _name_weight(a: Array, b: Array, beta: Array, images: Array, seen: str) -> None:
    if close(b, np.ones(2), 1e-3) and close(a, images, 1e-3):
        raise wrong(
            "weight-on-reconstruction",
            f"{seen} The reconstruction counts once for each image: one number was added to a tensor of one number an "
            "image, and the result summed.",
        )
    if close(b, np.ones(2), 1e-3) and (a > 1).all():
        raise wrong("weight-on-reconstruction", seen)
    if close(beta, np.full(2, 2.0), 1e-3):
        raise wrong("kl-half-missing", seen)
    raise wrong("kl-too-weak" if (beta < 1).all() else "kl-too-strong", seen)


MISTAKES = {
    "loss-not-one-number": Mistake(
        "`backward` starts from one number, summed over the batch.", "Add the images' losses up."
    ),
    "loss-sign": Mistake(
        "This is the ELBO, which should grow. A loss should get smaller.",
        "Turn the sign of the whole.",
    ),
    "kl-too-weak": Mistake(
        "The price of z is too low. The lower it is, the sharper the reconstructions, and the more codes from the "
        "prior decode to junk. Likely "
        "causes: a mean over the batch in the KL term alone, or a small factor in front of it.",
        "Sum both terms over the batch in the same way, and weight the KL term with 1.",
    ),
    "kl-too-strong": Mistake(
        "The price of z is too high. The higher it is, the less the decoder reads of z, and the more "
        "reconstructions blur.",
        "Weight the KL term with 1, and look for a mean in the reconstruction.",
    ),
    "kl-missing": Mistake(
        "Without it the VAE is an autoencoder: nothing ties the codes to the prior, and samples are junk.",
        "Add the KL term.",
    ),
    "recon-missing": Mistake(
        "Without it nothing asks z to know the image.", "Add the reconstruction term."
    ),
    "weight-on-reconstruction": Mistake(
        "The weight is on the reconstruction, where it acts as a β below 1, since only the ratio of the two terms "
        "counts.",
        "Put a weight on the KL term; in this exercise it is 1.",
    ),
    "terms-multiplied": Mistake(
        "The two terms are not added: how much the KL counts depends on the reconstruction.",
        "Add the two terms.",
    ),
}
HINTS = (
    "It is the sum of two terms that you have already written.",
    "Both must be summed over the batch in the same way, or a hidden weight stands between them.",
    "What does kl_divergence give for a batch of seven images, and what does reconstruction_loss give? Only one "
    "of them has been added up yet.",
)

EXERCISE = Exercise(
    name="loss_function",
    lesson="06",
    step=7,
    answer=answers.loss_function,
    inputs=inputs,
    probe=probe,
    judge=judge,
    mistakes=MISTAKES,
    hints=HINTS,
)
