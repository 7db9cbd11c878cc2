"""Calls a learner's answer on inputs of the check's own, and writes down what came back: arrays and strings.

A record can cross from one process to another. Before each call all random numbers are seeded, from the check's seed
and the name of the call. Nothing of the learner's is left changed: not the weights of a model, not its train or eval
mode, not the random numbers of torch, NumPy and Python.
"""

from __future__ import annotations

import contextlib
import copy
import linecache
import random
import traceback
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy

from .. import devices
from ..devices import CPU
from ..parts import unregistered

Array = np.ndarray
Record = dict[str, Any]  # NumPy arrays and strings
Inputs = dict[str, Tensor]

HERE = str(Path(__file__).parents[1])
LIBRARIES = str(Path(torch.__file__).parents[1])


@contextlib.contextmanager
def all_random_numbers_kept() -> Iterator[None]:
    """Leave the random numbers of torch, NumPy and Python as they were."""
    numpy, python = np.random.get_state(), random.getstate()  # noqa: NPY002 - what learners use
    with devices.random_numbers_kept(devices.accelerator() or CPU):
        try:
            yield
        finally:
            np.random.set_state(numpy)  # noqa: NPY002
            random.setstate(python)


class Calls:
    """The calls of one probe, and the record that they fill."""

    def __init__(
        self,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        place: torch.device = CPU,
    ) -> None:
        self.record: Record = {}
        self.seed, self.dtype, self.place = seed, dtype, place

    def part(self, name: str, probe: Callable[[Calls, Any, Inputs], None], *arguments: Any) -> None:
        """Let the probe of another exercise fill a part of this record, under `name/`."""
        inner = Calls(self.seed, self.dtype, self.place)
        probe(inner, *arguments)
        self.record |= {f"{name}/{key}": value for key, value in inner.record.items()}

    def seed_for(self, key: str) -> None:
        """Seed all random numbers for the call of this name."""
        number = zlib.crc32(f"{self.seed} {key}".encode())
        devices.seed(number)
        np.random.seed(number)  # noqa: NPY002 - what learners use
        random.seed(number)

    def call(self, key: str, function: Any, *arguments: Any, seed: str = "") -> Any:
        """Call, and describe under `key` what came back; None if it raised. `seed`: take that call's random numbers."""
        self.seed_for(seed or key)
        made: list[str] = []

        def registered(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
            made.append(type(module).__name__)

        handle = register_module_parameter_registration_hook(registered)
        try:
            value = function(*arguments)
        except (Exception, SystemExit) as error:
            self.error(key, error)
            return None
        finally:
            handle.remove()
        if made:
            self.record[f"{key}.made"] = made[0]
        describe(self.record, key, value)
        return value

    def error(self, key: str, error: BaseException) -> None:
        """Note an exception, and the last line of the learner's own code on the way to it."""
        if is_blank(error):
            self.record[f"{key}.kind"] = "not attempted"
            self.record[f"{key}.blank"] = where_raised(error)
            return
        self.record[f"{key}.kind"] = "error"
        self.record[f"{key}.error"] = f"{type(error).__name__}: {error}"[:600]
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            name = frame.filename
            if not name.startswith((HERE, LIBRARIES)) and "importlib" not in name:
                line = linecache.getline(name, frame.lineno or 0).strip() or (frame.line or "")
                where = f"line {frame.lineno} of the cell, in {frame.name}: {line}"
                self.record[f"{key}.line"] = where[:300]
                return

    def tracked(self, key: str, answer: Any, given: Inputs, *names: str) -> Any:
        """Call on copies that need a gradient; note the gradient of the sum for each, and whether they were changed."""
        leaves = [given[name].clone().requires_grad_() for name in names]
        # no leaves, so that writing into them shows here, and not as an exception
        handed = [leaf * 1.0 for leaf in leaves]
        value = self.call(key, answer, *handed)
        for tensor, name in zip(handed, names, strict=True):
            self.note_change(tensor.detach(), given[name])
        if isinstance(value, Tensor) and value.requires_grad:
            self.record[f"{key}.graph"] = "yes"
            self.gradients(
                key, value, {n.split(".")[0]: v for n, v in zip(names, leaves, strict=True)}
            )
        return value

    def gradients(
        self, key: str, value: Tensor, leaves: dict[str, Tensor], weights: Any = 1.0
    ) -> None:
        """Note the gradient of the (weighted) sum with respect to each leaf; zeros where none arrives."""
        try:
            found = torch.autograd.grad(
                (value * weights).sum(), [*leaves.values()], allow_unused=True
            )
        except RuntimeError as error:
            if "inputs changed" not in self.record:
                self.error(key, error)
            return
        for (name, leaf), gradient in zip(leaves.items(), found, strict=True):
            full = torch.zeros_like(leaf) if gradient is None else gradient
            describe(self.record, f"{key}.grad.{name}", full)

    def note_change(self, handed: Tensor, before: Tensor) -> None:
        """Note whether what was handed over holds other numbers now."""
        if not torch.equal(handed, before):
            self.record["inputs changed"] = "yes"

    def other_size(self, function: Any, *tensors: Tensor) -> None:
        """Note whether some usual batch size works where the present one does not."""

        def works(size: int) -> bool:
            with contextlib.suppress(Exception):
                value = function(*(t[:1].repeat(size, *[1] * (t.ndim - 1)) for t in tensors))
                values = value if isinstance(value, tuple | list) else [value]
                return all(len(v) == size for v in values)
            return False

        # the same row at each size, so that it is not its numbers that make the difference
        other = not works(len(tensors[0])) and any(map(works, (128, 100, 64, 32, 1)))
        self.record["other size"] = "works" if other else "fails"

    # --- models -----------------------------------------------------------------------------------

    def model(self, answer: Any) -> Any:
        """A model from a class, or the model itself; None if that failed, with the record saying why."""
        model = self.call("init", answer) if isinstance(answer, type) else answer
        if str(self.record.get("init.kind")) in ("not attempted", "error"):
            return None
        self.record["init.kind"] = "tensor" if isinstance(model, nn.Module) else "no model"
        self.record.pop("init.made", None)
        if not isinstance(model, nn.Module):
            return None
        if any(map(is_lazy, model.parameters())):
            model = copy.deepcopy(model)
            _make_lazy_layers(model, self.place)
        self.record["unregistered"] = ", ".join(unregistered(model))
        return model.to(self.place, self.dtype) if isinstance(answer, type) else model

    @contextlib.contextmanager
    def stirred(self, model: nn.Module) -> Iterator[None]:
        """Move all weights a little, so that none is 0 by design; they and the buffers are put back afterwards."""
        with weights_restored(model):
            self.seed_for("weights")
            for parameter in model.parameters():
                if parameter.is_floating_point() and not is_lazy(parameter):
                    noise = torch.randn(parameter.shape, device=parameter.device)
                    parameter.data.add_(0.05 * noise.to(parameter.dtype))
            yield

    def lost_parts(self, key: str, model: nn.Module, function: Any, argument: Tensor) -> None:
        """Note the weights that move what a function gives, and get no gradient from it."""

        def total() -> Tensor:
            self.seed_for(key)
            value = function(argument)
            values = value if isinstance(value, tuple | list) else [value]
            return torch.stack([waved(v) for v in values]).sum()

        with contextlib.suppress(Exception), torch.enable_grad():
            self.record[f"{key}.lost"] = ", ".join(without_gradient(model, total))


def waved(value: Tensor) -> Tensor:
    """One number, in which each number of a tensor has a weight of its own."""
    value = value.cpu().double()
    numbers = torch.arange(1, value.numel() + 1, device=value.device)
    return (value * numbers.view(value.shape).cos()).sum()


def without_gradient(model: nn.Module, total: Callable[[], Tensor]) -> list[str]:
    """The names of the parameters that move this number, and that its gradient does not reach."""
    named = {n: p for n, p in model.named_parameters() if p.requires_grad}
    before = total()
    gradients: Sequence[Tensor | None] = [None] * len(named)
    if before.requires_grad and named:
        gradients = torch.autograd.grad(before, [*named.values()], allow_unused=True)
    lost = []
    for (name, parameter), gradient in zip(named.items(), gradients, strict=True):
        if gradient is not None and bool(gradient.abs().max() > 0):
            continue
        saved = parameter.detach().clone()
        with torch.no_grad():
            parameter.add_(0.3 * torch.randn_like(saved))
            after = total()
            parameter.copy_(saved)
            if not torch.isclose(after, before, rtol=1e-7, atol=1e-9):
                lost.append(name)
    return lost


def _make_lazy_layers(model: nn.Module, place: torch.device) -> None:
    """Let lazy layers learn their sizes, from whichever way of calling the model works."""
    flat = torch.zeros(2, 784, device=place)
    with torch.no_grad(), in_mode(model, False):
        for images in (flat.view(2, 1, 28, 28), flat):
            with contextlib.suppress(Exception):
                model(images)
                return
        with contextlib.suppress(Exception):
            model.decode(model.encode(flat)[0])  # type: ignore[operator]


@contextlib.contextmanager
def in_mode(model: Any, training: bool) -> Iterator[None]:
    """Put a model, if it is one, into training or evaluation mode for a while."""
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
def weights_restored(model: nn.Module) -> Iterator[None]:
    """Put parameters and buffers back afterwards."""
    held = [t for t in (*model.parameters(), *model.buffers()) if not is_lazy(t)]
    saved = [tensor.detach().clone() for tensor in held]
    try:
        yield
    finally:
        for tensor, before in zip(held, saved, strict=True):
            tensor.data.copy_(before)


def dtype_of(model: nn.Module, default: torch.dtype) -> torch.dtype:
    """The type of a model's numbers."""
    return next((p.dtype for p in model.parameters()), default)


def last_layers(
    model: nn.Module, function: Any, argument: Tensor, sizes: Sequence[int]
) -> list[nn.Module]:
    """The linear layers and convolutions that gave one of these many numbers for each row, in the order they ran."""
    ran: list[nn.Module] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.numel() in [
            size * len(argument) for size in sizes
        ]:
            ran.append(module)

    layers = [m for m in model.modules() if isinstance(m, nn.Linear | _ConvNd)]
    handles = [layer.register_forward_hook(note) for layer in layers]
    try:
        with contextlib.suppress(Exception):
            function(argument)
    finally:
        for handle in handles:
            handle.remove()
    return ran


@contextlib.contextmanager
def giving(layers: Sequence[nn.Module], value: Tensor) -> Iterator[None]:
    """Let these layers give, for every row, numbers from this one to its double, whatever they are given."""

    def replace(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        ramp = torch.linspace(1, 2, output[0].numel()).view(output[0].shape)
        return (value * ramp).to(output).expand(output.shape)

    handles = [layer.register_forward_hook(replace) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def watching(
    model: nn.Module, name: str, seen: Callable[[tuple[Any, ...], dict[str, Any], Any], None]
) -> Iterator[None]:
    """Tell `seen` the arguments and the result of each call of this method or part of a model."""
    method = getattr(model, name, None)
    if isinstance(method, nn.Module):
        handle = method.register_forward_hook(
            lambda _, a, k, out: seen(a, k, out), with_kwargs=True
        )
        try:
            yield
        finally:
            handle.remove()
        return

    def watched(*arguments: Any, **named: Any) -> Any:
        result = method(*arguments, **named)  # type: ignore[misc]
        seen(arguments, named, result)
        return result

    own, missing = vars(model), object()
    before = own.get(name, missing)
    if method is not None:
        own[name] = watched
    try:
        yield
    finally:
        if before is not missing:
            own[name] = before
        else:
            own.pop(name, None)


# --- what came back -----------------------------------------------------------------------------


def describe(record: Record, key: str, value: Any) -> None:
    """Note what kind of thing came back under `key.kind`, and its numbers, if it has any, under `key`."""
    if isinstance(value, Tensor):
        try:
            numbers = value.detach().cpu().double().numpy()
        except Exception:  # sparse, complex, without data
            record[f"{key}.kind"] = f"a tensor of another kind ({value.layout}, {value.dtype})"
            return
        record[f"{key}.kind"], record[key] = "tensor", numbers
    elif isinstance(value, bool) or value is None:
        record[f"{key}.kind"] = repr(value)
    elif isinstance(value, int | float | np.number):
        record[f"{key}.kind"] = "number"
        try:
            record[key] = np.asarray(float(value))
        except (OverflowError, TypeError, ValueError):
            record[f"{key}.kind"] = "a number that is too large"
    elif isinstance(value, np.ndarray):
        record[f"{key}.kind"] = "a NumPy array"
    elif isinstance(value, tuple | list):
        record[f"{key}.kind"] = f"{len(value)} values"
        for index, item in enumerate(value[:4]):
            describe(record, f"{key}.{index}", item)
    else:
        record[f"{key}.kind"] = f"an object of type {type(value).__name__}"


def is_blank(error: BaseException) -> bool:
    """Whether this is a blank's own `raise NotImplementedError`. PyTorch raises it too, and then says why."""
    return isinstance(error, NotImplementedError) and not error.args


def where_raised(error: BaseException) -> str:
    """The name of the function that raised, such as VAE.encode."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = trace.tb_frame.f_code.co_qualname if trace is not None else "<module>"
    return "this step" if name == "<module>" else name.split("<locals>.")[-1]
