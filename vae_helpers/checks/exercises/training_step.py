"""One training step: loss, gradients, and a step of the optimizer."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ... import answers, devices
from ...models import VAE
from ..calls import Array, Calls, Inputs, Record, describe
from ..exercise import Exercise, Given
from ..formulas import LIKELIHOODS, cross_entropy, kl_terms
from ..inputs import rand
from ..verdicts import Mistake, Stop, close, error, finite, near, not_attempted, shape, wrong

CALL = "training_step(model, optimizer, x)"
WALK = tuple(f"walk {number}" for number in range(5))
KEYS = ("first", "second", "second alone", "other images", *WALK)


def inputs(g: torch.Generator) -> Inputs:
    return {
        "x.0": rand(g, 6, 784),
        "x.1": rand(g, 6, 784),
        "noise": torch.randn(6, 3, generator=g, dtype=torch.float64),
    }


class _Watched(VAE):
    """A small VAE whose noise is always the same, and that notes how it is used."""

    def __init__(self, noise: Tensor) -> None:
        super().__init__(latent_dim=noise.shape[1], hidden_dim=8)
        with torch.no_grad():  # q(z|x) far from the prior, so that each term of the loss shows
            self.fc_mu.bias.fill_(1.5)
            self.fc_logvar.bias.fill_(-1.0)
        self.noise = noise
        self.used: list[tuple[Tensor, bool]] = []  # the images, and whether in training mode

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """z with the noise that was handed over."""
        return mu + torch.exp(0.5 * logvar) * self.noise[: len(mu)]

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Note the images, and encode."""
        self.used.append((x.detach().clone(), self.training))
        return super().encode(x)


class _Run:
    """One model, one optimizer, and a log of what happens to them."""

    def __init__(self, noise: Tensor, weights: dict[str, Tensor] | None = None) -> None:
        devices.seed(1)
        self.model = _Watched(noise).to(noise)
        if weights is not None:
            self.model.load_state_dict(weights)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-5)
        self.events, self.gradients = "", np.zeros(0)
        for parameter in self.model.parameters():
            parameter.register_hook(lambda gradient: self._log("backward"))
        self.optimizer.register_step_post_hook(lambda *_: self._look())

    def _log(self, event: str) -> None:
        # each parameter tells of a backward
        if event == "step" or not self.events.endswith("backward "):
            self.events += event + " "

    def _look(self) -> None:
        self._log("step")
        self.gradients = self.flat([p.grad for p in self.model.parameters()])

    def flat(self, tensors: Any) -> Array:
        """One tensor for each parameter, or None for zeros, as one row of numbers."""
        parameters = self.model.parameters()
        filled = [
            torch.zeros_like(p) if t is None else t
            for p, t in zip(parameters, tensors, strict=True)
        ]
        return torch.cat([t.detach().flatten() for t in filled]).cpu().double().numpy()

    def step(self, calls: Calls, key: str, answer: Any, x: Tensor, seed: str = "") -> None:
        """Let the answer take its step, and record what happened."""
        record = calls.record
        self.events, self.gradients, self.model.used = "", np.zeros(0), []
        before = copy.deepcopy(self.model.state_dict())
        weights = self.flat(list(self.model.parameters()))
        value = calls.call(key, answer, self.model, self.optimizer, x.clone(), seed=seed)
        record[f"{key}.events"] = self.events.strip()
        record[f"{key}.gradients"] = self.gradients
        record[f"{key}.moved"] = self.flat(list(self.model.parameters())) - weights
        record[f"{key}.calls"] = np.asarray(len(self.model.used))
        if isinstance(value, Tensor) and value.requires_grad:
            record[f"{key}.graph"] = "yes"
        if key == "first" and self.model.used:
            images, training = self.model.used[0][0].flatten(1), self.model.used[0][1]
            record["training"] = "yes" if training else "no"
            _note_terms(record, _Run(self.model.noise, before), images, x.flatten(1))


def _note_terms(record: Record, run: _Run, seen: Tensor, x: Tensor) -> None:
    """Note both terms' gradients at the images that the model saw, with these and with x as the targets."""
    outputs = recon_x, mu, logvar = run.model(seen)
    for name, output in zip(("seen", "recon_x", "mu", "logvar"), (seen, *outputs), strict=True):
        describe(record, f"first.{name}", output)
    p = recon_x.clamp(1e-6, 1 - 1e-6)
    terms = {"kl": answers.kl_divergence(mu, logvar).sum()}
    targets = {"x": x} if torch.equal(seen, x) else {"x": x, "seen": seen}
    for name, target in targets.items():
        if target.shape == p.shape:
            bce = -(target * p.log() + (1 - target) * (1 - p).log()).sum()
            continuous = torch.distributions.ContinuousBernoulli(probs=p, validate_args=False)
            terms |= {
                f"{name}.cross-entropy": bce,
                f"{name}.squared": (p - target).square().sum(),
                f"{name}.absolute": (p - target).abs().sum(),
                f"{name}.continuous": -continuous.log_prob(target).sum(),
            }
    parameters = list(run.model.parameters())
    for name, term in terms.items():
        found = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        record[f"term.{name}"] = run.flat(found)
    record["owners"] = " ".join(
        name.split(".")[0] for name, p in run.model.named_parameters() for _ in range(p.numel() > 0)
    )
    record["sizes"] = np.array([p.numel() for p in parameters])


def probe(calls: Calls, answer: Any, given: Inputs) -> None:
    """Two steps in a row; the second one again from a new start; and the first one on other images."""
    record, noise = calls.record, given["noise"]
    first, second = (given[f"x.{number}"].reshape(-1, 1, 28, 28) for number in range(2))
    run = _Run(noise)
    run.step(calls, "first", answer, first)
    if record["first.kind"] == "error":
        kept = {key: record.pop(key) for key in list(record)}
        first, second, run = first.flatten(1), second.flatten(1), _Run(noise)
        run.step(calls, "first", answer, first)
        if record["first.kind"] == "error":  # it is not the shape
            record.clear()
            record |= kept
            return
        record["flat only"] = "yes"
    if record["first.kind"] == "not attempted":
        return
    between = copy.deepcopy(run.model.state_dict())
    run.step(calls, "second", answer, second)
    _Run(noise, between).step(calls, "second alone", answer, second, seed="second")
    _Run(noise).step(calls, "other images", answer, second)
    walk = _Run(noise)  # the same images again and again: the loss must fall
    for key in WALK:
        walk.step(calls, key, answer, first, seed="walk")


def judge(record: Record, given: Given) -> str:
    kind = str(record.get("first.kind", "not attempted"))
    if kind == "not attempted":
        raise not_attempted(record, "first")
    if kind == "error":
        raise error(record, "first", CALL)
    if record.get("flat only"):
        seen = "The step works for images (B, 784), and not for (B, 1, 28, 28)."
        raise wrong("images-not-flattened", seen)
    for key in KEYS:
        if str(record[f"{key}.kind"]) == "error":
            raise error(record, key, f"The first call went well, and a later one did not: {CALL}")
    events = [str(record[f"{key}.events"]).split() for key in ("first", "second")]
    if not int(record["second.calls"]):
        raise wrong("model-ignored", "The step did not use the model it was given.")
    moved = [float(np.abs(record[f"{key}.moved"]).max()) for key in ("first", "second")]
    if not any("step" in happened for happened in events) and moved[0] > 0:
        seen = "The weights moved, and the optimizer that was handed over took no step."
        raise wrong("optimizer-ignored", seen)
    for happened in events:
        _check_events(happened)
    if min(moved) == 0:
        raise wrong("gradients-cleared-too-late", "A step was taken, and no weight moved.")
    _check_accumulation(record)
    return _check_returned(record, given)


def _check_events(events: list[str]) -> None:
    if "backward" not in events:
        raise wrong("backward-missing", "No gradient was computed.")
    if "step" not in events:
        raise wrong("step-missing", "The optimizer took no step.")
    if events.index("step") < events.index("backward"):
        seen = "The optimizer took its step before the gradients were computed."
        raise wrong("step-before-backward", seen)
    if events.count("step") > 1:
        seen = f"The optimizer took {events.count('step')} steps in one call."
        raise wrong("steps-too-many", seen)


def _check_accumulation(record: Record) -> None:
    """The gradients of the second step must not depend on the first one."""
    keys = ("first", "second", "second alone")
    first, second, alone = (np.asarray(record[f"{key}.gradients"]) for key in keys)
    if close(second, alone, 1e-3):
        return
    weights, off = _fitted(second, [first, alone])
    if off < 1e-2 and min(weights) > 0.01:
        seen = "The gradients of the second step hold those of the first one too."
        raise wrong("zero-grad-forgotten", seen)
    raise Stop(
        "The gradients of a second step depend on what the first one did, beyond the weights it moved. A step must "
        "follow from the model and the batch alone."
    )


def _fitted(target: Array, columns: list[Array]) -> tuple[list[float], float]:
    """The weights with which the columns add up to the target, and the residual's share of it."""
    table = np.stack(columns, axis=1)
    if not finite(target) or not finite(table) or target.shape != columns[0].shape:
        return [0.0] * len(columns), math.inf
    scale = np.maximum(np.abs(table).max(axis=0), 1e-30)
    solution, *_ = np.linalg.lstsq(table / scale, target, rcond=None)
    size = float(np.linalg.norm(target))
    off = float(np.linalg.norm(table / scale @ solution - target)) / max(size, 1e-30)
    return [float(w) for w in solution / scale], off


def _check_returned(record: Record, given: Given) -> str:
    kinds = {key: str(record[f"{key}.kind"]) for key in KEYS}
    if "None" in kinds.values():
        raise wrong("nothing-returned", "The step gave back None.")
    if record.get("first.graph"):
        seen = "The loss came back as a tensor that still needs a gradient."
        raise wrong("loss-keeps-graph", seen)
    if any(kind not in ("number", "tensor") for kind in kinds.values()):
        seen = f"The step gave back {kinds['first']}; it must be the loss, one number."
        raise wrong("wrong-shape", seen)
    values = {key: np.asarray(record[key]) for key in kinds}
    if any(value.size != 1 for value in values.values()):
        seen = f"The step gave back a tensor of shape {shape(values['first'])}."
        raise wrong("wrong-shape", seen)
    losses = {key: float(value.ravel()[0]) for key, value in values.items()}
    for key, loss in losses.items():
        if not math.isfinite(loss):
            later = "" if key == "first" else " in a later call"
            raise wrong("not-finite", f"The loss came back as {loss}{later}.")
    first = losses["first"]
    if first == losses["other images"]:
        raise wrong("batch-ignored", f"For two different batches the loss was {first:.5g}.")
    start, end = losses[WALK[0]], losses[WALK[-1]]
    if end - start > 1e-6 * abs(start):
        seen = f"Over five steps on the same images the loss went from {start:.6g} to {end:.6g}."
        raise wrong("step-uphill", seen)
    if str(record.get("training")) == "no":
        raise Stop(
            "The model was in evaluation mode while it learned: dropout and the like were off, and a model that "
            "returns μ there learns without noise. Call `model.train()` before, or leave its mode alone."
        )
    note = _judge_loss(record, given, first)
    if kinds["first"] == "tensor":
        note += " It gives back a tensor without its graph, where this course gives back a plain number."
    return note.strip()


def _judge_loss(record: Record, given: Given, loss: float) -> str:
    """Compare the loss that came back, and what was differentiated, with the course's."""
    p, mu, v, used = (np.asarray(record[f"first.{n}"]) for n in ("recon_x", "mu", "logvar", "seen"))
    x = given["x.0"]
    kl, rights = kl_terms(mu, v).sum(), []
    changed = used.shape != x.shape or not close(used, x, 1e-5)
    if p.shape == x.shape:
        rights = [cross_entropy(p, t).sum() + kl for t in ([x, used] if changed else [x])]
    if p.ndim == 2 and len(p) < len(x):
        raise Stop(
            f"Of the {len(x)} images in the batch the model got {len(p)}. Give it all of them."
        )
    if not rights:
        return "The step is right; is it another loss, or another unit, that you mean?"
    seen = f"For {len(x)} images the loss came back as {loss:.6g}; right is {rights[0]:.6g} nats."
    summed = any(near(loss, right, 1e-5) for right in rights)
    averaged = any(near(loss * len(x), right, 1e-5) for right in rights)
    if not summed and not averaged:
        slips = {
            "recon-swapped": cross_entropy(np.clip(x, 1e-12, 1 - 1e-12), p).sum() + kl,
            "kl-missing": rights[0] - kl,
            "recon-missing": kl,
            "kl-swapped-arguments": rights[0] - kl + kl_terms(v, mu).sum(),
        }
        for name, value in slips.items():
            if near(loss, value, 1e-5):
                raise wrong(name, seen)
    known = _judge_gradients(record, summed or averaged)
    if changed and known:
        return (
            "The step changes the images before it uses them, as binarising or flipping them does."
        )
    if averaged:
        return "It gives back the mean over the images, where this course gives back the sum."
    if summed and known:
        return ""
    return f"{seen} The step is right; is it another loss, or another unit, that you mean?"


def _judge_gradients(record: Record, right_loss: bool) -> bool:
    """Whether the optimizer got the gradients of both terms, each with the weight 1; of another loss: False."""
    gradient, kl = np.asarray(record["first.gradients"]), np.asarray(record["term.kl"])
    fits = {}
    for name in LIKELIHOODS:
        for target in ("x", "seen"):
            if f"term.{target}.{name}" not in record:
                continue
            term = np.asarray(record[f"term.{target}.{name}"])
            (a, b), off = _fitted(gradient, [term, kl])
            if name == "cross-entropy" and _clipped(gradient, term + kl):
                return True
            if off < 3e-3 and name not in fits:
                fits[name] = a, b
    for name, (a, b) in fits.items():
        _check_weights(name, a, b)
        return name == "cross-entropy"
    _name_lost_parts(record, gradient, np.asarray(record["term.x.cross-entropy"]) + kl)
    if right_loss:
        raise Stop(
            "The loss that comes back is right, and the optimizer got the gradients of something else. Call `backward` "
            "on the loss itself, and change no gradient afterwards but by clipping."
        )
    return False


def _clipped(gradient: Array, right: Array) -> bool:
    """Whether it is the right gradient, cut off at some size."""
    top = np.abs(gradient).max(initial=0)
    return top > 0 and close(gradient, np.clip(right, -top, top), 3e-3)


def _check_weights(likelihood: str, a: float, b: float) -> None:
    seen = f"The gradient that the optimizer got is {a:.3g} times the reconstruction's and {b:.3g} times the KL term's."
    if abs(a) < 1e-6 * abs(b):
        raise wrong("recon-missing", seen)
    if abs(b) < 1e-4 * abs(a):
        raise wrong("kl-missing", seen)
    if a < 0 or b < 0:
        raise wrong(
            "step-uphill" if a < 0 and b < 0 else "kl-sign" if b < 0 else "recon-sign", seen
        )
    beta = b / a
    strict = likelihood in ("cross-entropy", "continuous")
    low, high = (0.99, 1.01) if strict else (1e-4, 2.5)
    if not low < beta < high:
        raise wrong("kl-too-strong" if beta > high else "kl-too-weak", seen)


def _name_lost_parts(record: Record, gradient: Array, right: Array) -> None:
    """Stop where some layers got no gradient, or the optimizer never saw it."""
    start, lost = 0, []
    for owner, size in zip(str(record["owners"]).split(), np.asarray(record["sizes"]), strict=True):
        part = slice(start, start + int(size))
        start += int(size)
        if right[part].any() and not gradient[part].any() and owner not in lost:
            lost.append(owner)
    if lost:
        raise Stop(
            f"At the optimizer's step no gradient stands at {', '.join(lost)}, so these layers never learn. Let "
            "`backward` fill all gradients, and clear none between it and the step."
        )


MISTAKES = {
    "zero-grad-forgotten": Mistake(
        "`backward` adds to the gradients that are there. Without clearing them each step follows the sum of all "
        "steps before.",
        "Clear the gradients once a step.",
    ),
    "step-before-backward": Mistake(
        "The step is taken with the gradients of the batch before, or with none.",
        "First the loss, then its gradients, then the step.",
    ),
    "gradients-cleared-too-late": Mistake(
        "The gradients are computed and cleared again before the step, so that nothing is learned.",
        "Clear them before `backward`, or after the step.",
    ),
    "backward-missing": Mistake(
        "Without one the weights stay as they are.", "Call `backward` on the loss."
    ),
    "optimizer-ignored": Mistake(
        "An optimizer made anew at each step forgets its running means, and a learning rate that was set "
        "elsewhere has no effect.",
        "Use the optimizer that is handed over.",
    ),
    "step-missing": Mistake(
        "The gradients are there, and nobody uses them: the weights stay as they are.",
        "Let the optimizer take its step.",
    ),
    "step-uphill": Mistake(
        "What is made smaller is not the loss that comes back: it grows. A minus before `backward` does this.",
        "Compute the gradients of the loss itself.",
    ),
    "steps-too-many": Mistake("One call should take one step.", "Take one step for a batch."),
    "loss-keeps-graph": Mistake(
        "The loss still holds the graph of its computation. Adding such losses up over an epoch keeps every "
        "batch's graph in memory.",
        "Return a plain number: `.item()` gives it.",
    ),
    "batch-ignored": Mistake(
        "The loss is the same for two different batches, so x is not what is used.",
        "Use the argument x, not a variable from another cell.",
    ),
    "model-ignored": Mistake(
        "The model that was handed over was never called.",
        "Use the arguments, not variables from another cell.",
    ),
}
HINTS = (
    "After loss.backward() each weight has a gradient, added to the one it had before. When should the old one go?",
    "The optimizer moves the weights along the gradients that are there. What must have happened before?",
    "A loss still holds the record of how it came about. What you return should be a number that has forgotten it.",
)

EXERCISE = Exercise(
    name="training_step",
    lesson="06",
    step=8,
    answer=answers.training_step,
    inputs=inputs,
    probe=probe,
    judge=judge,
    mistakes=MISTAKES,
    hints=HINTS,
)
