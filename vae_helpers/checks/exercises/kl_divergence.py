"""The KL divergence of each image, from μ and log σ²."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ... import answers
from ..calls import Array, Calls, Inputs, Record
from ..exercise import Exercise, Given
from ..formulas import kl_gradients, kl_mistakes, kl_terms
from ..inputs import rand, signed
from ..verdicts import (
    Mistake,
    Stop,
    close,
    finite,
    listed,
    near,
    need,
    need_gradients,
    need_graph,
    need_inputs_kept,
    shape,
    wrong,
)  # fmt: skip

BATCHES = ("mixed", "wide", "positive", "small", "one")
CALL = "kl_divergence(mu, logvar)"


def inputs(g: torch.Generator) -> Inputs:
    mixed_mu, mixed_logvar = signed(g, 5, 3, low=0.3, high=2), signed(g, 5, 3, low=0.3, high=2)
    mixed_mu[0], mixed_logvar[0] = 1.0, 0.0
    mixed_mu[1], mixed_logvar[1] = -1.3, torch.tensor([2.0, -2.0, 2.0])
    return {
        "mu.mixed": mixed_mu,
        "logvar.mixed": mixed_logvar,
        "mu.wide": signed(g, 4, 6, low=0.3, high=2),
        "logvar.wide": signed(g, 4, 6, low=0.3, high=2),
        "mu.positive": rand(g, 3, 2, low=0.3, high=2),
        "logvar.positive": rand(g, 3, 2, low=0.3, high=2),
        "mu.small": signed(g, 5, 3, low=0.05, high=0.3),  # KL divergences of some 0.1 nats
        "logvar.small": signed(g, 5, 3, low=0.05, high=0.3),
        "mu.one": signed(g, 1, 3, low=0.3, high=2),
        "logvar.one": signed(g, 1, 3, low=0.3, high=2),
    }


def probe(calls: Calls, answer: Any, given: Inputs) -> None:
    for batch in BATCHES:
        calls.tracked(batch, answer, given, f"mu.{batch}", f"logvar.{batch}")
    calls.call("again", answer, given["mu.mixed"].clone(), given["logvar.mixed"].clone())


def judge(record: Record, given: Given) -> str:
    got = {batch: need(record, batch, CALL) for batch in BATCHES}
    need_inputs_kept(record)
    right = {b: kl_terms(given[f"mu.{b}"], given[f"logvar.{b}"]) for b in BATCHES}
    _check_shapes(got, right)
    expected = {b: right[b].sum(axis=1) for b in BATCHES}
    if all(close(got[b], expected[b]) for b in BATCHES):
        _check_gradients(record, given)
        return ""
    first = got["mixed"].ravel()[0]
    seen = (
        f"For one image with three latents at μ = 1 and log σ² = 0 you give {first:.3g} nats, "
        f"and for the whole batch {listed(got['mixed'])}."
    )
    if not close(np.asarray(record["again"]), got["mixed"]) and finite(got["mixed"]):
        raise Stop(
            f"{seen} A second call gave {listed(np.asarray(record['again']))}: something is drawn at random. The "
            "exercise asks for the exact KL divergence, which has a formula and no noise."
        )
    offsets = {b: got[b] - expected[b] for b in BATCHES}
    if all(finite(got[b]) and close(o, np.full_like(o, o[0]), 1e-3) for b, o in offsets.items()):
        steps = {b: offsets[b][0] / right[b].shape[1] for b in BATCHES}
        if max(steps.values()) - min(steps.values()) < 1e-3:
            _check_gradients(record, given)
            return (
                f"Different from this course in a constant of {steps['mixed']:.2g} for each latent, without "
                "gradient. Training is the same, but the number isn't the KL divergence, which is 0 where q(z|x) "
                "is the prior."
            )
    if all(close(got[b], expected[b]) for b in BATCHES if b != "small"):
        raise Stop(
            f"Large KL divergences are right, but small ones aren't: you give {listed(got['small'])} where "
            f"{listed(expected['small'])} nats would be right. Is there a clamp, a floor or a rounding?"
        )
    if all(close(got[b], np.full_like(got[b], expected[b].sum())) for b in BATCHES):
        raise wrong("kl-over-batch", f"{seen} That is the sum over the batch, once for each image.")
    _name_factor(got, expected, right, seen)
    mistakes = {b: kl_mistakes(given[f"mu.{b}"], given[f"logvar.{b}"]) for b in BATCHES}
    for name in mistakes["mixed"]:
        if _matches({b: got[b] for b in BATCHES}, {b: mistakes[b][name] for b in BATCHES}):
            raise wrong(name, seen)
    if not all(finite(value) for value in got.values()):
        raise wrong("not-finite", seen)
    raise Stop(
        f"{seen} Right would be {expected['mixed'][0]:.3g} for that image, and {listed(expected['mixed'])}. "
        "This is none of the mistakes that the course knows: compare each term with the formula."
    )


def _check_gradients(record: Record, given: Given) -> None:
    need_graph(record, list(BATCHES))
    for batch in BATCHES:
        need_gradients(record, batch, kl_gradients(given[f"mu.{batch}"], given[f"logvar.{batch}"]))


def _check_shapes(got: dict[str, Array], right: dict[str, Array]) -> None:
    for batch, value in got.items():
        images, latents = right[batch].shape
        if value.shape == (images,):
            continue
        seen = (
            f"For {images} images with {latents} latents the result has the shape {shape(value)}."
        )
        if value.shape == (latents,) or (value.shape == (1, latents) and images > 1):
            raise wrong("kl-wrong-axis", seen)
        if value.shape == (images, latents):
            raise wrong("kl-not-summed", seen)
        if images == 1 and value.size == 1:
            raise wrong(
                "fixed-batch",
                f"For a single image the result has the shape {shape(value)}, not (1,).",
            )
        if value.size == 1:
            raise wrong("kl-over-batch", seen)
        raise wrong("wrong-shape", f"{seen} It must be ({images},).")


def _name_factor(
    got: dict[str, Array], expected: dict[str, Array], right: dict[str, Array], seen: str
) -> None:
    """Stop where the result is the right one times a number."""
    if not all(finite(value) for value in got.values()):
        return
    factors = {b: float(got[b] @ expected[b] / (expected[b] @ expected[b])) for b in got}
    if not all(close(got[b], factors[b] * expected[b]) for b in got):
        return
    latents = {b: right[b].shape[1] for b in got}
    if all(near(abs(factors[b]), 1 / latents[b]) for b in got):
        raise wrong("kl-mean-over-latents", seen)
    same = max(factors.values()) - min(factors.values()) < 1e-3 * abs(factors["mixed"])
    if all(factor < 0 for factor in factors.values()):
        raise wrong("kl-sign", seen)
    if same and near(factors["mixed"], 2):
        raise wrong("kl-half-missing", seen)
    if abs(factors["mixed"]) > 1e-6:
        raise wrong("kl-scaled", seen)


def _matches(got: dict[str, Array], mistake: dict[str, list[Array]]) -> bool:
    """Whether the results are those of a wrong formula, also with the ½ missing, the sign turned, or averaged."""
    for variant in range(len(mistake["mixed"])):
        summed = {b: formulas[variant].sum(axis=1) for b, formulas in mistake.items()}
        averaged = {b: formulas[variant].mean(axis=1) for b, formulas in mistake.items()}
        if any(all(_same(got[b], f * summed[b]) for b in got) for f in (1.0, 2.0, -1.0, -2.0)):
            return True
        if all(_same(got[b], averaged[b]) for b in got):
            return True
    return False


def _same(a: Array, b: Array) -> bool:
    """Equal, and not finite in the same places; two results with nothing finite do not count as evidence."""
    there = np.isfinite(b)
    if a.shape != b.shape or not np.array_equal(np.isfinite(a), there):
        return False
    return not there.any() or close(a[there], b[there])


MISTAKES = {
    "kl-mean-over-latents": Mistake(
        "Every latent costs something of its own. A mean makes the price of z depend on how many latents there "
        "are, and weakens the KL term by that factor.",
        "Add up over the latents.",
    ),
    "kl-wrong-axis": Mistake(
        "Adding over the batch mixes different images, and leaves one number for each latent.",
        "Add over the latents of each image: check which axis is which.",
    ),
    "kl-over-batch": Mistake(
        "The exercise asks for one number for each image, so that the batch can be summed or averaged later, in "
        "one place.",
        "Reduce over the latents only.",
    ),
    "kl-not-summed": Mistake(
        "These are the costs of single latents. An image pays for all of its latents together.",
        "Add them up for each image.",
    ),
    "kl-sign": Mistake(
        "A KL divergence is never negative. With the sign turned, training is rewarded for moving q(z|x) away "
        "from the prior, without end: the loss falls to −∞.",
        "Turn the sign of the whole term.",
    ),
    "kl-half-missing": Mistake(
        "This is twice the KL divergence, as with a β of 2. Either the factor in front was forgotten, or the term "
        "was added twice.",
        "Look at the factor in front of the sum.",
    ),
    "kl-mu-not-squared": Mistake(
        "This rewards a negative mean: the more negative, the better.",
        "Look at how the mean enters the formula.",
    ),
    "kl-sigma-for-variance": Mistake(
        "Where the formula has the variance σ², this has the standard deviation σ.",
        "Ask what the exponential of log σ² is.",
    ),
    "kl-sigma-cancels": Mistake(
        "The formula has both σ² and its logarithm. Here they are the same number and cancel, so the spread of "
        "q(z|x) costs nothing.",
        "One of the two is what the encoder gives; the other needs an exponential.",
    ),
    "kl-exponential-misplaced": Mistake(
        "The formula has both σ² and its logarithm. Here they have changed places.",
        "Ask which of the two is positive, and what the exponential of log σ² is.",
    ),
    "kl-log-sigma": Mistake(
        "The formula has log σ², which is twice log σ; here it's log σ, and then the cheapest σ isn't 1.",
        "Look at the factor of the logarithm.",
    ),
    "kl-variance-squared": Mistake(
        "The exponential of log σ² is σ² already; here it was squared again.",
        "Ask what the exponential of log σ² is.",
    ),
    "kl-logvar-is-log-sigma": Mistake(
        "The second argument was taken for log σ, but it's log σ², so σ² is counted as if it were σ.",
        "Look at the factor 2 between log σ and log σ².",
    ),
    "kl-logvar-is-std": Mistake(
        "The second argument was taken for σ, but it's log σ², and may be negative.",
        "Turn the log-variance into what your formula takes.",
    ),
    "kl-logvar-is-variance": Mistake(
        "The second argument was taken for σ², but it's log σ², and may be negative, where a logarithm gives NaN.",
        "Turn the log-variance into what your formula takes.",
    ),
    "kl-swapped-arguments": Mistake(
        "This would be right with the two arguments exchanged.",
        "Look at the order of mu and logvar, in the definition and in the call.",
    ),
    "kl-reversed": Mistake(
        "This is KL(p ‖ q), from the prior to q. The ELBO needs KL(q ‖ p), the expectation under q.",
        "Exchange the two distributions.",
    ),
    "kl-mu-missing": Mistake(
        "A mean costs nothing here: codes may lie anywhere, and the prior no longer finds them.",
        "Let the mean enter the formula.",
    ),
    "kl-variance-missing": Mistake(
        "A large variance is free here, and even rewarded.",
        "Let σ² enter the formula.",
    ),
    "kl-logvar-missing": Mistake(
        "A variance of 0 is cheapest here: the VAE turns into an autoencoder whose codes are held near 0.",
        "Let log σ² enter the formula.",
    ),
    "kl-term-sign": Mistake(
        "One of the terms has the wrong sign, so that the cheapest q(z|x) is not the prior.",
        "Compare the sign of each term with the formula.",
    ),
    "kl-scaled": Mistake(
        "This is the KL divergence times a number, and that number is a hidden β.",
        "Look at the factor in front of the sum.",
    ),
}
HINTS = (
    "The KL divergence of one latent has three parts: one for the mean, one for σ², one for its logarithm.",
    "At μ = 0 and σ = 1 it must be 0, and everywhere else above 0. Try your formula at these, and at μ = 1, where "
    "it is ½.",
    "The exercise asks for one number for each image: (B, D) goes in, (B,) comes out. Which dimension is added up?",
)

EXERCISE = Exercise(
    name="kl_divergence",
    lesson="06",
    step=5,
    answer=answers.kl_divergence,
    inputs=inputs,
    probe=probe,
    judge=judge,
    mistakes=MISTAKES,
    hints=HINTS,
)
