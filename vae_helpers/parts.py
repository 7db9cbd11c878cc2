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
