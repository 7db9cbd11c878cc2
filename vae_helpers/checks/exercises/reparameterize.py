"""Draw z from q(z|x), so that a gradient passes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from ... import answers
from ..calls import Array, Calls, Inputs, Record, in_mode
from ..exercise import Exercise, Given
from ..inputs import rand, signed
from ..models import need_model
from ..verdicts import Mistake, Stop, close, finite, need, need_inputs_kept, shape, wrong

CALL = "reparameterize(mu, logvar)"
DRAWS = 100_000  # codes drawn for each of the latents below, to measure a distribution
MU_ROW, LOGVAR_ROW = (-1.5, 0.5, 2.0, 0.8, -0.6), (-2.0, 0.7, 2.0, -1.0, 3.5)


def inputs(g: torch.Generator) -> Inputs:
    jitter = rand(g, 2, len(MU_ROW), low=-0.1, high=0.1)
    return {
        "mu.row": torch.tensor(MU_ROW, dtype=torch.float64) + jitter[0],
        "logvar.row": torch.tensor(LOGVAR_ROW, dtype=torch.float64) + jitter[1],
        "mu.small": signed(g, 7, 3, low=0.3, high=2),
        "logvar.small": signed(g, 7, 3, low=0.3, high=2),
        "weights": signed(g, 7, 3, low=0.5, high=2),
    }


def probe(calls: Calls, answer: Any, given: Inputs) -> None:
    model = None
    if isinstance(answer, type) or hasattr(answer, "reparameterize"):
        model = calls.model(answer)
        if model is None:
            return
        answer = getattr(model, "reparameterize", None)
        if answer is None:
            calls.record["small.kind"] = "no method reparameterize"
            return
    elif isinstance(answer, nn.Module):
        model = answer
    model = model if model is not None else getattr(answer, "__self__", None)
    with in_mode(model, True):
        _draw(calls, answer, given)
        with in_mode(model, False), torch.no_grad():
            for key in ("evaluating", "evaluating again"):
                calls.call(key, answer, given["mu.small"].clone(), given["logvar.small"].clone())


def _draw(calls: Calls, answer: Any, given: Inputs) -> None:
    mu, logvar = (given[f"{name}.small"].clone().requires_grad_() for name in ("mu", "logvar"))
    handed = mu * 1.0, logvar * 1.0  # no leaves, so that writing into them shows here
    z = calls.call("small", answer, *handed)
    if not isinstance(z, torch.Tensor):
        calls.other_size(answer, given["mu.small"], given["logvar.small"])
        return
    for tensor, before in zip(handed, (mu, logvar), strict=True):
        calls.note_change(tensor.detach(), before.detach())
    if z.requires_grad and z.shape == mu.shape:
        calls.gradients("small", z, {"mu": mu, "logvar": logvar}, given["weights"])
    with torch.no_grad():
        plain = given["mu.small"], given["logvar.small"]
        calls.call("again", answer, *(tensor.clone() for tensor in plain))
        calls.call("one", answer, *(tensor[:1].clone() for tensor in plain))
        calls.call("many", answer, *(given[n].repeat(DRAWS, 1) for n in ("mu.row", "logvar.row")))


def judge(record: Record, given: Given) -> str:
    need_model(record)
    mu, z = given["mu.small"], need(record, "small", CALL)
    if z.shape != mu.shape:
        raise wrong("wrong-shape", f"For inputs of shape {shape(mu)} z has the shape {shape(z)}.")
    need_inputs_kept(record)
    again, many, one = (need(record, key, CALL) for key in ("again", "many", "one"))
    row_mu, row_v = given["mu.row"], given["logvar.row"]
    if again.shape != mu.shape or many.shape != (DRAWS, len(row_mu)):
        raise wrong("wrong-shape", f"For {DRAWS} images z has the shape {shape(many)}.")
    if one.shape != (1, mu.shape[1]):
        raise wrong("fixed-batch", f"For a single image z has the shape {shape(one)}.")
    if not finite(many):
        positive = row_v > 0
        rooted = finite(many[:, positive]) and _spread_is(
            many[:, positive].std(axis=0), np.sqrt(row_v[positive]), DRAWS
        )
        raise wrong("std-is-sqrt" if rooted else "not-finite", "Some z are not finite.")
    sigma = np.exp(0.5 * given["logvar.small"])
    _check_noise_there(z, again, many, mu, sigma)
    _judge_noise(many, row_mu, np.exp(0.5 * row_v), row_v)
    _check_evaluating(record, mu)
    return _judge_gradients(record, given, z)


def _check_noise_there(z: Array, again: Array, many: Array, mu: Array, sigma: Array) -> None:
    if close(z, mu, 1e-6):
        raise wrong("noise-forgotten", "Every z equals its μ.")
    if not np.array_equal(z, again):
        return
    eps = (z - mu) / sigma
    if close(eps, np.full_like(eps, eps[0, 0]), 1e-4) and abs(eps[0, 0] - 1) > 1e-4:
        seen = f"Each z is μ + σ · {eps[0, 0]:.3g}, in every call: the same ε for all, every time."
        raise wrong("noise-repeats", seen)
    if many.std(axis=0).max() < 1e-6:
        seen = "z is the same for every draw: it follows from μ and log σ² alone."
        raise wrong("noise-forgotten", seen)
    raise wrong("noise-repeats", "Two calls with the same μ and log σ² gave the same z.")


def _check_evaluating(record: Record, mu: Array) -> None:
    """In evaluation mode z may be μ or a draw, and nothing else."""
    z, again = (
        need(record, key, f"In evaluation mode {CALL}")
        for key in ("evaluating", "evaluating again")
    )
    if z.shape != mu.shape or (not close(z, mu, 1e-5) and close(z, again, 1e-9)):
        raise Stop(
            "In training mode z is right, but in evaluation mode it is neither μ nor a draw: two calls give the "
            "same z, and it isn't μ. Return μ there, or draw as in training."
        )


def _judge_noise(z: Array, mu: Array, sigma: Array, v: Array) -> None:
    """Look at 100,000 draws: dependence between images and latents, shape, spread, mean, in this order."""
    n = len(z)
    mean, std = z.mean(axis=0), z.std(axis=0)
    if std.max() < 1e-6:
        raise wrong("noise-one-for-batch", "All images of a batch got the same ε.")
    eps = (z - mean) / np.maximum(std, 1e-12)
    pairs = eps.T @ eps / n
    between = np.abs(pairs[np.triu_indices(len(mu), 1)])
    if between.min() > 0.999:
        raise wrong("noise-one-for-latents", "All latents of an image got the same ε.")
    if np.abs((eps[1:] * eps[:-1]).mean(axis=0)).max() > 8 / math.sqrt(n):
        raise wrong("noise-one-for-batch", "The ε of neighbouring images depend on each other.")
    if between.max() > 8 / math.sqrt(n):
        raise wrong("noise-one-for-latents", "The ε of different latents depend on each other.")
    square = eps * eps  # a power of three or four is ten times as slow
    skew, kurtosis = (square * eps).mean(), (square * square).mean()
    draws = eps.size
    seen = "Over 100,000 draws z has the mean " + _beside(mean, mu)
    seen += " and the standard deviation " + _beside(std, sigma) + "."
    if abs(kurtosis - 3) > 8 * math.sqrt(96 / draws) or abs(skew) > 8 * math.sqrt(15 / draws):
        shape_of_noise = f"ε has the fourth moment {kurtosis:.2f}; a normal ε has 3."
        middle = (np.abs(eps) < 0.5).mean(axis=0)
        if np.ptp(middle) > 0.02 or np.ptp((eps > 0).mean(axis=0)) > 0.02:
            raise Stop(
                f"{seen} z is not normal, and how far it is from it depends on μ and σ: z itself is bent, as by a "
                "tanh, a relu or a clamp. Return μ + σ ε as it is."
            )
        if abs(kurtosis - 1.8) < 0.03 and abs(skew) < 0.1:
            raise wrong("noise-uniform", shape_of_noise)
        raise wrong("noise-not-normal", shape_of_noise)
    right_mean = (np.abs(mean - mu) < 8 * std / math.sqrt(n)).all()
    if right_mean and _spread_is(std, sigma, n):
        return
    if _spread_is(std, np.abs(mu), n) and (np.abs(mean - sigma) < 8 * std / math.sqrt(n)).all():
        raise wrong("mu-sigma-exchanged", seen)
    _name_spread(std, v, sigma, n, seen)
    if (np.abs(mean) < 8 * std / math.sqrt(n)).all():
        raise wrong("mu-ignored", seen)
    if _spread_is(std, sigma, n) and np.abs((mean - mu) / sigma).max() > 0.05:
        raise wrong("noise-shifted", seen)
    raise Stop(f"{seen} This is none of the mistakes that the course knows.")


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
            raise wrong(name, seen)
    if _spread_is(std, std[0] / sigma[0] * sigma, n):
        raise wrong("noise-scale", seen)


def _judge_gradients(record: Record, given: Given, z: Array) -> str:
    mu, logvar, weights = given["mu.small"], given["logvar.small"], given["weights"]
    expected = {"mu": weights, "logvar": weights * 0.5 * (z - mu)}
    got = {
        name: np.asarray(record.get(f"small.grad.{name}", np.zeros_like(mu))) for name in expected
    }
    lost = [name for name, gradient in got.items() if not np.abs(gradient).any()]
    if len(lost) == 2:
        raise wrong("gradient-lost", "From z no gradient reaches μ or log σ².")
    if lost:
        mistake = "gradient-to-mu-lost" if lost == ["mu"] else "gradient-to-sigma-lost"
        reached = "log σ²" if lost == ["mu"] else "μ"
        raise wrong(mistake, f"From z a gradient reaches only {reached}.")
    for name, right in expected.items():
        scale = 1.0 if name == "mu" else float(np.exp(0.5 * logvar).max())
        off = np.abs(got[name] - right).max()
        if not off <= 1e-3 * scale:  # it may be NaN
            raise Stop(
                f"z has the right distribution, but its gradient with respect to {name} is off by {off:.2g}."
            )
    return ""


MISTAKES = {
    "std-is-exp-logvar": Mistake(
        "exp(log σ²) is the variance σ². What scales ε is the standard deviation σ.",
        "σ is the square root of σ². Look for the factor that a root puts into the exponent.",
    ),
    "std-is-logvar": Mistake(
        "The log-variance itself scales ε, but it can be negative, and it's 0 where σ is 1.",
        "Turn log σ² into σ first.",
    ),
    "std-is-softplus": Mistake(
        "Softplus is a good way to make a positive number, and with a KL term that takes it the same way it would "
        "be right. In this course the second output is log σ², and the KL term takes it as that.",
        "Turn log σ² into σ as its name says.",
    ),
    "std-is-sqrt": Mistake(
        "The second argument was taken for the variance, but it's the logarithm of that, and may be negative.",
        "Undo the logarithm before, or instead of, the square root.",
    ),
    "std-ignored": Mistake(
        "The spread of z does not depend on logvar, so the encoder's second output is never used.",
        "Scale ε with σ.",
    ),
    "std-sign": Mistake(
        "The spread falls where the variance grows.", "Look at the sign in the exponent."
    ),
    "mu-sigma-exchanged": Mistake(
        "μ scales the noise and σ shifts it.", "Exchange the two: μ shifts, σ scales."
    ),
    "noise-forgotten": Mistake(
        "Then σ has no effect on the image, and the VAE is an autoencoder whose codes cost something. (At "
        "evaluation z = μ is a fair choice, but this step is for training.)",
        "Add σ·ε, with ε ~ N(0, 1).",
    ),
    "noise-uniform": Mistake(
        "ε is uniform, not normal: `rand` for `randn`, for example. Then q(z|x) isn't a Gaussian, and the KL "
        "formula is for another distribution.",
        "Draw ε from the standard normal.",
    ),
    "noise-not-normal": Mistake(
        "ε has the mean and the spread of a standard normal, but another shape.",
        "Draw ε from the standard normal.",
    ),
    "noise-shifted": Mistake(
        "The mean of ε isn't 0, so on average z misses μ.",
        "Draw ε from N(0, 1).",
    ),
    "mu-ignored": Mistake(
        "The codes lie around 0 instead of μ, so all images share one place.",
        "Shift the noise by μ.",
    ),
    "noise-scale": Mistake(
        "ε has the wrong standard deviation, so z doesn't have the σ that the KL term charges for.",
        "Draw ε from N(0, 1), with nothing in front but σ.",
    ),
    "noise-one-for-batch": Mistake(
        "Each image needs its own, or the batch's gradients share one error.",
        "Give ε the whole shape of σ.",
    ),
    "noise-one-for-latents": Mistake(
        "So they move together, while q(z|x) has independent latents.",
        "Give ε the whole shape of σ.",
    ),
    "noise-repeats": Mistake(
        "Each call draws the same ε: the random numbers are seeded inside. The decoder then learns one fixed "
        "noise.",
        "Seed once, outside.",
    ),
    "gradient-to-mu-lost": Mistake(
        "No gradient reaches μ through z, so the encoder never learns where to put an image.",
        "Look for `.detach()`, `.item()`, `.data` or `no_grad` on the way.",
    ),
    "gradient-to-sigma-lost": Mistake(
        "No gradient reaches log σ² through z, so the encoder never learns how sure to be.",
        "Look for `.detach()`, `.item()`, `.data` or `no_grad` on the way.",
    ),
    "gradient-lost": Mistake(
        "No gradient passes z: the encoder learns nothing from the image. `.sample()` does this, and so do "
        "`.detach()` and `no_grad`.",
        "Let the random part be ε alone, and compute z from μ, σ and ε.",
    ),
}
HINTS = (
    "If σ were 0, what would z be? And if μ were 0 and σ were 1? One formula must give both.",
    "What you are given is log σ². Halve it, and it is log σ. How do you get σ from its logarithm?",
    "The random part must have the shape of mu and the spread 1, and must not depend on mu or logvar. Multiply "
    "it by σ, latent by latent.",
)

EXERCISE = Exercise(
    name="reparameterize",
    lesson="06",
    step=2,
    answer=answers.VAE.reparameterize,
    inputs=inputs,
    probe=probe,
    judge=judge,
    mistakes=MISTAKES,
    hints=HINTS,
)
