"""Runs a learner's answer on inputs of our choice, and writes down what came back: arrays and strings, nothing else.

A record can cross from one process to another; `judging` reads it. The inputs follow from a seed, so that the
judge makes them again instead of believing the record. Nothing of the learner's is left changed: not the
weights of a model, not its train or eval mode, not torch's random numbers.
"""

from __future__ import annotations

import contextlib
import copy
import linecache
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from .models import PIXELS, VAE

Record = dict[str, Any]  # NumPy arrays and strings
Inputs = dict[str, Tensor]

DRAWS = 100_000  # codes drawn for each of the latents below, to measure a distribution
MU_ROW, LOGVAR_ROW = (-1.5, 0.5, 2.0, 0.8), (-2.0, 0.7, 2.0, -1.0)
# images and latents of each group of calls: all different, so that a mean shows what it ran over
LOSS_GROUPS = {"a": (4, 3), "b": (6, 5)}
LOSS_CALLS = 6  # for each group
RECON_BATCHES = (5, 5, 5, 3, 3)
GRID_SIDES, WALK_STEPS = (3, 4), (7, 10)
BIAS = 6.0  # what the last layer of the encoder is made to give


# --- the inputs ---------------------------------------------------------------------------------


def inputs(name: str, seed: int, dtype: torch.dtype = torch.float32) -> Inputs:
    """The tensors that the probe of this name calls an answer on; the same for the same seed."""
    made = _INPUTS[name](torch.Generator().manual_seed(seed))
    return {key: value.to(dtype) for key, value in made.items()}


def _rand(generator: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)


def _signed(generator: torch.Generator, *shape: int, low: float, high: float) -> Tensor:
    """Numbers of both signs, none of them near 0."""
    sign = torch.randint(0, 2, shape, generator=generator) * 2 - 1
    return sign * _rand(generator, *shape, low=low, high=high)


def _kl_inputs(g: torch.Generator) -> Inputs:
    mixed_mu, mixed_logvar = _signed(g, 5, 3, low=0.3, high=2), _signed(g, 5, 3, low=0.3, high=2)
    mixed_mu[0], mixed_logvar[0] = 1.0, 0.0
    mixed_mu[1], mixed_logvar[1] = -1.3, torch.tensor([2.0, -2.0, 2.0])
    return {
        "mu.mixed": mixed_mu,
        "logvar.mixed": mixed_logvar,
        "mu.wide": _signed(g, 4, 6, low=0.3, high=2),
        "logvar.wide": _signed(g, 4, 6, low=0.3, high=2),
        "mu.positive": _rand(g, 3, 2, low=0.3, high=2),
        "logvar.positive": _rand(g, 3, 2, low=0.3, high=2),
    }


def _reconstruction_inputs(g: torch.Generator) -> Inputs:
    made = {}
    for number, batch in enumerate(RECON_BATCHES):
        made[f"recon_x.{number}"] = _rand(g, batch, PIXELS, low=0.03, high=0.6)
        made[f"x.{number}"] = _rand(g, batch, PIXELS, low=0.02, high=0.97)
    made["recon_x.binary"] = _rand(g, 4, PIXELS, low=0.03, high=0.97)
    made["x.binary"] = (_rand(g, 4, PIXELS) < 0.3).double()
    return made


def _loss_inputs(g: torch.Generator) -> Inputs:
    made = {}
    for group, (batch, latents) in LOSS_GROUPS.items():
        for number in range(LOSS_CALLS):
            made[f"recon_x.{group}{number}"] = _rand(g, batch, PIXELS, low=0.03, high=0.6)
            made[f"x.{group}{number}"] = _rand(g, batch, PIXELS, low=0.02, high=0.97)
            made[f"mu.{group}{number}"] = _signed(g, batch, latents, low=0.3, high=3)
            made[f"logvar.{group}{number}"] = _signed(g, batch, latents, low=0.3, high=2)
    return made


def _reparameterize_inputs(g: torch.Generator) -> Inputs:
    jitter = _rand(g, 2, len(MU_ROW), low=-0.1, high=0.1)
    return {
        "mu.row": torch.tensor(MU_ROW, dtype=torch.float64) + jitter[0],
        "logvar.row": torch.tensor(LOGVAR_ROW, dtype=torch.float64) + jitter[1],
        "mu.small": _signed(g, 7, 3, low=0.3, high=2),
        "logvar.small": _signed(g, 7, 3, low=0.3, high=2),
        "weights": _signed(g, 7, 3, low=0.5, high=2),
    }


def _image_inputs(g: torch.Generator) -> Inputs:
    return {"x": _rand(g, 7, PIXELS), "z": torch.randn(7, 512, generator=g, dtype=torch.float64)}


def _step_inputs(g: torch.Generator) -> Inputs:
    return {
        "x.0": _rand(g, 6, PIXELS),
        "x.1": _rand(g, 6, PIXELS),
        "noise": torch.randn(6, 3, generator=g, dtype=torch.float64),
    }


def _project_inputs(g: torch.Generator) -> Inputs:
    """Codes far from 0 that spread most along two known directions, and points of a path."""
    scales = torch.tensor([3.0, 2.0, 0.5, 0.4, 0.3], dtype=torch.float64)
    turn, _ = torch.linalg.qr(torch.randn(5, 5, generator=g, dtype=torch.float64))
    codes = (torch.randn(300, 5, generator=g, dtype=torch.float64) * scales) @ turn
    return {
        "codes": codes + 4.0 * turn[4],
        "points": torch.randn(4, 3, generator=g, dtype=torch.float64),
    }


def _weights_inputs(g: torch.Generator) -> Inputs:
    """Log-weights of several codes for several images: moderate ones, and ones whose exponential is 0."""
    return {
        "near": 2 * torch.randn(7, 4, generator=g, dtype=torch.float64),
        "far": 2 * torch.randn(6, 3, generator=g, dtype=torch.float64) - 900,
    }


_INPUTS: dict[str, Callable[[torch.Generator], Inputs]] = {
    "encode": _image_inputs,
    "decode": _image_inputs,
    "reparameterize": _reparameterize_inputs,
    "kl_divergence": _kl_inputs,
    "reconstruction_loss": _reconstruction_inputs,
    "loss_function": _loss_inputs,
    "training_step": _step_inputs,
    "vae": lambda g: _image_inputs(g) | _reparameterize_inputs(g),
    "prior_grid": _project_inputs,
    "principal_plane": _project_inputs,
    "walk": _project_inputs,
    "importance_weighted": _weights_inputs,
}
NAMES = tuple(_INPUTS)


# --- the probes ---------------------------------------------------------------------------------


def probe(name: str, answer: Any, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Record:
    """Call a learner's answer as the check of this name does, and record what it gives back.

    `dtype` is that of the inputs (for a model that is handed over ready-made, its own is used). An exception in
    the answer is part of the record.

    Raises:
        ValueError: there is no check of that name.
    """
    if name not in _PROBES:
        raise ValueError(f"There is no check {name!r}: the checks are {', '.join(NAMES)}.")
    record: Record = {}
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(seed)
        _PROBES[name](record, answer, inputs(name, seed, dtype), dtype)
    return record


def _call(record: Record, key: str, function: Any, *arguments: Any) -> Any:
    """Call, and describe under `key` what came back; None if it raised."""
    try:
        value = function(*arguments)
    except (Exception, SystemExit) as error:
        if is_blank(error):
            record[f"{key}.kind"] = "not attempted"
            record[f"{key}.blank"] = place_of(error)
        else:
            _describe_error(record, key, error)
        return None
    _describe(record, key, value)
    return value


def _describe(record: Record, key: str, value: Any) -> None:
    if isinstance(value, Tensor):
        record[f"{key}.kind"] = "tensor"
        record[key] = value.detach().to("cpu", torch.float64).numpy()
    elif isinstance(value, bool) or value is None:
        record[f"{key}.kind"] = repr(value)
    elif isinstance(value, int | float | np.number):
        record[f"{key}.kind"] = "number"
        record[key] = np.asarray(float(value))
    elif isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        record[f"{key}.kind"] = "array"
        record[key] = value.astype(np.float64)
    elif isinstance(value, tuple | list):
        record[f"{key}.kind"] = f"{len(value)} values"
        for index, item in enumerate(value[:4]):
            _describe(record, f"{key}.{index}", item)
    else:
        record[f"{key}.kind"] = f"an object of type {type(value).__name__}"


def _describe_error(record: Record, key: str, error: BaseException) -> None:
    """The exception, and the last line of the learner's own code on the way to it."""
    record[f"{key}.kind"] = "error"
    record[f"{key}.error"] = f"{type(error).__name__}: {error}"[:600]
    here, libraries = str(Path(__file__).parent), str(Path(torch.__file__).parents[1])
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        name = frame.filename
        if not name.startswith((here, libraries)) and "importlib" not in name:
            line = linecache.getline(name, frame.lineno or 0).strip() or (frame.line or "")
            record[f"{key}.line"] = f"line {frame.lineno} of the cell, in {frame.name}: {line}"[
                :300
            ]
            return


def is_blank(error: BaseException) -> bool:
    """Whether this is a blank's own `raise NotImplementedError`. PyTorch raises it too, and then says why."""
    return isinstance(error, NotImplementedError) and not error.args


def place_of(error: BaseException) -> str:
    """The name of the function that raised, such as VAE.encode."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = trace.tb_frame.f_code.co_qualname if trace is not None else "<module>"
    return "this step" if name == "<module>" else name.split("<locals>.")[-1]


def _call_tracked(record: Record, key: str, answer: Any, given: Inputs, *names: str) -> None:
    """Call on copies that need a gradient; note whether one would flow, and whether the copies were written into."""
    # no leaves, so that writing into them shows here, and not as an exception
    handed = [given[name].clone().requires_grad_() * 1.0 for name in names]
    value = _call(record, key, answer, *handed)
    if isinstance(value, Tensor) and value.requires_grad:
        record[f"{key}.graph"] = "yes"
    for tensor, name in zip(handed, names, strict=True):
        _note_change(record, tensor.detach(), given[name])


def _probe_kl(record: Record, answer: Any, given: Inputs, dtype: torch.dtype) -> None:
    for batch in ("mixed", "wide", "positive"):
        _call_tracked(record, batch, answer, given, f"mu.{batch}", f"logvar.{batch}")


def _probe_reconstruction(record: Record, answer: Any, given: Inputs, dtype: torch.dtype) -> None:
    for batch in (*map(str, range(len(RECON_BATCHES))), "binary"):
        _call_tracked(record, batch, answer, given, f"recon_x.{batch}", f"x.{batch}")


def _probe_loss(record: Record, answer: Any, given: Inputs, dtype: torch.dtype) -> None:
    for group in LOSS_GROUPS:
        for number in range(LOSS_CALLS):
            names = [f"{part}.{group}{number}" for part in ("recon_x", "x", "mu", "logvar")]
            _call_tracked(record, f"{group}{number}", answer, given, *names)


def _note_change(record: Record, *pairs: Tensor) -> None:
    for handed, before in zip(pairs[::2], pairs[1::2], strict=True):
        if not torch.equal(handed, before):
            record["inputs changed"] = "yes"


def _probe_reparameterize(record: Record, answer: Any, given: Inputs, dtype: torch.dtype) -> None:
    if isinstance(answer, type | nn.Module):
        model = _make(record, answer, dtype)
        if model is None:
            return
        answer = getattr(model, "reparameterize", None)
        if answer is None:
            record["small.kind"] = "no method reparameterize"
            return
    with _in_training_mode(getattr(answer, "__self__", None)):
        _draw(record, answer, given)


def _draw(record: Record, answer: Any, given: Inputs) -> None:
    mu, logvar = (given[f"{name}.small"].clone().requires_grad_() for name in ("mu", "logvar"))
    handed = mu * 1.0, logvar * 1.0  # no leaves, as above
    z = _call(record, "small", answer, *handed)
    if not isinstance(z, Tensor):
        return
    _note_change(record, handed[0].detach(), mu.detach(), handed[1].detach(), logvar.detach())
    if z.requires_grad and z.shape == mu.shape:
        try:
            (z * given["weights"]).sum().backward()
        except RuntimeError as error:
            if "inputs changed" not in record:
                _describe_error(record, "small", error)
    for name, leaf in (("mu", mu), ("logvar", logvar)):
        if leaf.grad is not None:
            record[f"grad.{name}"] = leaf.grad.to(torch.float64).numpy()
    with torch.no_grad():
        plain = given["mu.small"], given["logvar.small"]
        _call(record, "again", answer, *(tensor.clone() for tensor in plain))
        rows = (given[name].repeat(DRAWS, 1) for name in ("mu.row", "logvar.row"))
        _call(record, "many", answer, *rows)


def _make(record: Record, answer: Any, dtype: torch.dtype) -> Any:
    """A model from a class, or the model itself; None if that failed, with the record saying why."""
    if not isinstance(answer, type):
        record["init.kind"] = "tensor" if isinstance(answer, nn.Module) else "no model"
        return answer if isinstance(answer, nn.Module) else None
    model = _call(record, "init", answer)
    if record["init.kind"] in ("not attempted", "error"):
        return None
    if not isinstance(model, nn.Module):
        record["init.kind"] = "no model"
        return None
    record["init.kind"] = "tensor"
    return model.to(dtype)


@contextlib.contextmanager
def _in_training_mode(model: Any, training: bool = True) -> Iterator[None]:
    if not isinstance(model, nn.Module):
        yield
        return
    modes = {module: module.training for module in model.modules()}
    model.train(training)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextlib.contextmanager
def _weights_restored(model: nn.Module) -> Iterator[None]:
    held = [*model.parameters(), *model.buffers()]
    saved = [tensor.detach().clone() for tensor in held]
    try:
        yield
    finally:
        for tensor, before in zip(held, saved, strict=True):
            tensor.data.copy_(before)


def _dtype_of(model: nn.Module, default: torch.dtype) -> torch.dtype:
    return next((p.dtype for p in model.parameters()), default)


def _probe_encode(record: Record, answer: Any, given: Inputs, dtype: torch.dtype) -> None:
    model = _make(record, answer, dtype)
    if model is not None:
        with _in_training_mode(model, False), torch.no_grad():
            _encode_with(record, model, given["x"].to(_dtype_of(model, dtype)))


def _encode_with(record: Record, model: Any, x: Tensor) -> None:
    encode = getattr(model, "encode", None)
    if encode is None:
        record["seven.kind"] = "no method encode"
        return
    outputs = _call(record, "seven", encode, x)
    if not isinstance(outputs, tuple | list):
        record["other size.kind"] = "works" if _other_size_works(encode, x) else "fails"
        return
    _call(record, "three", encode, x[:3].clone())
    _call(record, "reversed", encode, x.flip(0))
    _call(record, "again", encode, x)
    latents = outputs[0].shape[-1] if isinstance(outputs[0], Tensor) and outputs[0].ndim else 0
    last = _last_layers(model, latents)
    with _weights_restored(model):
        for sign, key in ((-1, "low"), (1, "high")):
            for layer in last:
                layer.weight.data.zero_()
                if layer.bias is not None:
                    layer.bias.data.fill_(sign * BIAS)
            if last and all(layer.bias is not None for layer in last):
                _call(record, key, encode, x)
    for name in ("fc_mu", "fc_logvar"):
        named = getattr(model, name, None)
        if isinstance(named, nn.Linear) and named.bias is not None:
            with _weights_restored(model):
                named.bias.data += 1.0
                _call(record, f"moved {name}", encode, x)


def _last_layers(model: nn.Module, latents: int) -> list[nn.Linear]:
    """The layers that give mu and logvar: those of that name, or else those of a fitting width."""
    named = [getattr(model, name, None) for name in ("fc_mu", "fc_logvar")]
    layers = [layer for layer in named if isinstance(layer, nn.Linear)]
    if len(layers) == 2:
        return layers
    fitting = (latents, 2 * latents)
    return [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features in fitting]


def _other_size_works(function: Any, x: Tensor) -> bool:
    """Whether some usual batch size works where seven images do not."""
    for size in (128, 100, 64, 32, 1):
        with contextlib.suppress(Exception):
            function(x[:1].repeat(size, *[1] * (x.ndim - 1)))
            return True
    return False


def _probe_decode(record: Record, answer: Any, given: Inputs, dtype: torch.dtype) -> None:
    model = _make(record, answer, dtype)
    if model is not None:
        with _in_training_mode(model, False), torch.no_grad():
            _decode_with(record, model, given, _dtype_of(model, dtype))


def _decode_with(record: Record, model: Any, given: Inputs, dtype: torch.dtype) -> None:
    decode = getattr(model, "decode", None)
    if decode is None:
        record["seven.kind"] = "no method decode"
        return
    z = given["z"][:, : _latents_of(model, given["x"].to(dtype))].to(dtype)
    if _call(record, "seven", decode, z) is None:
        record["other size.kind"] = "works" if _other_size_works(decode, z) else "fails"
        return
    _call(record, "three", decode, z[:3].clone())
    _call(record, "reversed", decode, z.flip(0))
    _call(record, "again", decode, z)
    _call(record, "far", decode, 40 * z)
    record["gradient"] = "no"
    with torch.enable_grad(), contextlib.suppress(RuntimeError):
        record["gradient"] = "yes" if _reaches(decode, z) else "no"


def _reaches(decode: Any, z: Tensor) -> bool:
    """Whether a gradient reaches z through decode."""
    leaf = z.clone().requires_grad_()
    image = decode(leaf)
    if not image.requires_grad:
        return False
    (gradient,) = torch.autograd.grad(image.sum(), leaf, allow_unused=True)
    return gradient is not None and bool(gradient.abs().max() > 0)


def _latents_of(model: Any, x: Tensor) -> int:
    """How many latents a model has, by its named layers, what its encoder gives, or what it says."""
    layers = [getattr(model, "fc_mu", None), getattr(model, "fc_logvar", None)]
    widths = [layer.out_features for layer in layers if isinstance(layer, nn.Linear)]
    if widths:
        return int(widths[0])
    decoder = getattr(model, "fc_dec", None)
    first = (
        next((m for m in decoder.modules() if isinstance(m, nn.Linear)), None) if decoder else None
    )
    if first is not None:
        return int(first.in_features)
    with contextlib.suppress(Exception):
        return int(model.encode(x)[0].shape[1])
    return int(getattr(model, "latent_dim", 20))


def _probe_vae(record: Record, answer: Any, given: Inputs, dtype: torch.dtype) -> None:
    model = _make(record, answer, dtype)
    if model is None:
        return
    for name in ("encode", "reparameterize", "decode"):
        part: Record = {}
        _PROBES[name](part, model, given, dtype)
        record |= {f"{name}/{key}": value for key, value in part.items()}
    x = given["x"].to(_dtype_of(model, dtype))
    images = x.reshape(-1, 1, 28, 28)
    with torch.no_grad(), _weights_restored(model):
        with _in_training_mode(model, False), _watching(record, model):
            _call(record, "forward evaluating", model, images)
        with _in_training_mode(model):
            if _call(record, "forward", model, images) is None:
                _call(record, "forward flat", model, x)
            _call(record, "forward again", model, images)


@contextlib.contextmanager
def _watching(record: Record, model: Any) -> Iterator[None]:
    """Record what the model's own forward hands to its reparameterize."""
    method = getattr(model, "reparameterize", None)

    def watched(*arguments: Any, **named: Any) -> Any:
        for name, value in (*zip(("mu", "logvar"), arguments, strict=False), *named.items()):
            if isinstance(value, Tensor):
                _describe(record, f"handed {name}", value)
        return method(*arguments, **named)  # type: ignore[misc]

    if method is None:
        yield
        return
    with patch.object(model, "reparameterize", watched):
        yield


class _Watched(VAE):
    """A small VAE whose noise is always the same, and that counts how often it is used."""

    def __init__(self, noise: Tensor) -> None:
        super().__init__(latent_dim=noise.shape[1], hidden_dim=8)
        with torch.no_grad():  # q(z|x) far from the prior, so that each term of the loss shows
            self.fc_mu.bias.fill_(1.5)
            self.fc_logvar.bias.fill_(-1.0)
        self.noise, self.calls = noise, 0

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """z with the noise that was handed over."""
        return mu + torch.exp(0.5 * logvar) * self.noise[: len(mu)]

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Count the call, and encode."""
        self.calls += 1
        return super().encode(x)


class _Run:
    """One model, one optimizer, and a log of what happens to them."""

    def __init__(self, noise: Tensor, weights: dict[str, Tensor] | None = None) -> None:
        torch.manual_seed(1)
        self.model = _Watched(noise).to(noise.dtype)
        if weights is not None:
            self.model.load_state_dict(weights)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-5)
        self.events, self.gradients = "", np.zeros(0)
        for parameter in self.model.parameters():
            parameter.register_hook(lambda gradient: self._log("backward"))
        self.optimizer.register_step_post_hook(lambda *_: self._look())

    def _log(self, event: str) -> None:
        if event == "step" or not self.events.endswith(
            "backward "
        ):  # each parameter tells of a backward
            self.events += event + " "

    def _look(self) -> None:
        self._log("step")
        self.gradients = self.flat([p.grad for p in self.model.parameters()])

    def flat(self, tensors: Any) -> np.ndarray:
        """One tensor for each parameter, or None for zeros, as one row of numbers."""
        parameters = self.model.parameters()
        filled = [
            torch.zeros_like(p) if t is None else t
            for p, t in zip(parameters, tensors, strict=True)
        ]
        return torch.cat([t.detach().flatten() for t in filled]).to(torch.float64).numpy()

    def step(self, record: Record, key: str, answer: Any, x: Tensor) -> None:
        """Let the answer take its step, and record what happened."""
        self.events, self.gradients = "", np.zeros(0)
        before = self.flat(list(self.model.parameters()))
        with torch.no_grad():
            outputs = self.model(x)
        for name, output in zip(("recon_x", "mu", "logvar"), outputs, strict=True):
            _describe(record, f"{key}.{name}", output)
        self.model.calls = 0
        value = _call(record, key, answer, self.model, self.optimizer, x.clone())
        record[f"{key}.events"] = self.events.strip()
        record[f"{key}.gradients"] = self.gradients
        record[f"{key}.moved"] = self.flat(list(self.model.parameters())) - before
        record[f"{key}.calls"] = np.asarray(self.model.calls)
        if isinstance(value, Tensor) and value.requires_grad:
            record[f"{key}.graph"] = "yes"


def _probe_step(record: Record, answer: Any, given: Inputs, dtype: torch.dtype) -> None:
    """Two steps in a row; the second one again from a new start; and the first one on other images."""
    first, second = (given[f"x.{number}"].reshape(-1, 1, 28, 28) for number in range(2))
    run = _Run(given["noise"])
    run.step(record, "first", answer, first)
    if record["first.kind"] == "error":
        kept = {key: record.pop(key) for key in list(record)}
        first, second, run = first.flatten(1), second.flatten(1), _Run(given["noise"])
        run.step(record, "first", answer, first)
        if record["first.kind"] == "error":  # it is not the shape
            record.clear()
            record |= kept
            return
        record["flat only"] = "yes"
    if record["first.kind"] == "not attempted":
        return
    between = copy.deepcopy(run.model.state_dict())
    run.step(record, "second", answer, second)
    _Run(given["noise"], between).step(record, "second alone", answer, second)
    _Run(given["noise"]).step(record, "other images", answer, second)
    walk = _Run(given["noise"])  # the same images again and again: the loss must fall
    for number in range(5):
        walk.step(record, f"walk {number}", answer, first)


def _probe_grid(record: Record, answer: Any, given: Inputs, dtype: torch.dtype) -> None:
    for side in GRID_SIDES:
        _call(record, str(side), answer, side)


def _probe_plane(record: Record, answer: Any, given: Inputs, dtype: torch.dtype) -> None:
    codes = given["codes"].clone()
    _call(record, "plane", answer, codes)
    _note_change(record, codes, given["codes"])


def _probe_walk(record: Record, answer: Any, given: Inputs, dtype: torch.dtype) -> None:
    for steps in WALK_STEPS:
        points = given["points"].clone()
        _call(record, str(steps), answer, points, steps)
        _note_change(record, points, given["points"])


def _probe_weights(record: Record, answer: Any, given: Inputs, dtype: torch.dtype) -> None:
    for batch in ("near", "far"):
        _call_tracked(record, batch, answer, given, batch)


_PROBES: dict[str, Callable[[Record, Any, Inputs, torch.dtype], None]] = {
    "encode": _probe_encode,
    "decode": _probe_decode,
    "reparameterize": _probe_reparameterize,
    "kl_divergence": _probe_kl,
    "reconstruction_loss": _probe_reconstruction,
    "loss_function": _probe_loss,
    "training_step": _probe_step,
    "vae": _probe_vae,
    "prior_grid": _probe_grid,
    "principal_plane": _probe_plane,
    "walk": _probe_walk,
    "importance_weighted": _probe_weights,
}
