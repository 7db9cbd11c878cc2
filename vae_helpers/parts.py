"""Which parts of a model no training would reach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn


def unregistered(model: nn.Module) -> list[str]:
    """The names of attributes that hold weights which are not among the model's parameters.

    Such are layers in a Python list, tuple or dictionary, and plain tensors that need a gradient.
    """
    known = {id(parameter) for parameter in model.parameters()}
    found = []
    for prefix, module in model.named_modules():
        for name, value in vars(module).items():
            if not name.startswith("_") and any(
                id(weight) not in known for weight in _weights(value)
            ):
                found.append(f"{prefix}.{name}" if prefix else name)
    return found


def check_trained(model: nn.Module) -> None:
    """Refuse a model, after a `backward`, one of whose parts would not be trained.

    Raises:
        ValueError: weights are not among its parameters, or no gradient came to some that need one.
    """
    outside = unregistered(model)
    if outside:
        raise ValueError(
            f"The weights in {', '.join(outside)} are not among the model's parameters, so nothing would train them: "
            "make them attributes, or hold them in an nn.ModuleList."
        )
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    without = [name for name, parameter in named.items() if parameter.grad is None]
    if without:
        raise ValueError(
            f"No gradient of the loss comes to {', '.join(without)}: was it cut on the way, by `.detach()` or "
            "`no_grad`, or is this part not used? What is not to be trained can say so: `.requires_grad_(False)`."
        )


def _weights(value: Any) -> Iterator[Tensor]:
    if isinstance(value, nn.Module):
        yield from value.parameters()
    elif isinstance(value, Tensor):
        if value.requires_grad and value.is_leaf:
            yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _weights(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _weights(item)
