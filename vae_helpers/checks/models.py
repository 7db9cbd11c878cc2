"""What the checks of a model's methods share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .calls import Array, Record
from .verdicts import Stop, close, error, not_attempted, shape, wrong


def need_model(record: Record) -> None:
    """Stop unless there is a model whose weights are all among its parameters."""
    kind = str(record.get("init.kind", "tensor"))
    if kind == "not attempted":
        raise not_attempted(record, "init")
    if kind == "error":
        raise error(record, "init", "Making the model")
    if kind != "tensor":
        raise Stop("This check takes a torch.nn.Module, or a class of it, such as `VAE`.")
    outside = str(record.get("unregistered", ""))
    if outside:
        seen = f"The weights in `self.{outside}` are not among the model's parameters."
        raise wrong("layers-not-registered", seen)


def need_no_new_layer(record: Record, call: str) -> None:
    """Stop where a call made a layer."""
    made = record.get("seven.made")
    if made:
        raise wrong("layer-made-in-call", f"{call} makes a new layer ({made}) when it is called.")


def need_same_for_each_batch(record: Record, part: str, name: str, call: str) -> None:
    """Each row must get the same, whatever stands beside it."""
    for key, rows, what in (("three", 3, "three rows"), ("one", 1, "a single row")):
        if str(record.get(f"{key}.kind")) == "error":
            raised = (
                f"{call} works for seven rows, but for {what} it raises {record[f'{key}.error']}."
            )
            raise wrong("fixed-batch", raised)
        got, expected = (
            np.asarray(record[f"{key}{part}"]),
            np.asarray(record[f"seven{part}"])[:rows],
        )
        if got.shape != expected.shape:
            seen = f"For {what} {name} has the shape {shape(got)}, not {shape(expected)}."
            if got.size == expected.size:
                raise wrong("fixed-batch", f"{seen} A `squeeze()` does this, for example.")
            raise wrong("fixed-batch", seen)
    seven, turned = np.asarray(record[f"seven{part}"]), np.asarray(record[f"reversed{part}"])
    three, one = np.asarray(record[f"three{part}"]), np.asarray(record[f"one{part}"])
    if not close(turned, seven[::-1], 1e-3):
        raise wrong("layout-mixed-up", f"{name} of a row depends on the rows beside it.")
    if not (close(three, seven[:3], 1e-3) and close(one, seven[:1], 1e-3)):
        raise Stop(
            f"{name} of a row depends on which other rows are in its batch, in evaluation mode too, as where something "
            "is normalised over the batch. Each image must get its own, whatever stands beside it."
        )


def need_input(record: Record, part: str, name: str) -> None:
    """Stop where all rows give the same."""
    seven = np.asarray(record[f"seven{part}"])
    if np.abs(seven - seven[0]).max() < 1e-6 * max(float(np.abs(seven).max()), 1e-6):
        raise wrong("input-ignored", f"{name} is the same for all rows.")


def need_trained_parts(record: Record, key: str, call: str) -> None:
    """Stop where weights are used that no gradient reaches."""
    lost = str(record.get(f"{key}.lost", ""))
    if lost:
        raise wrong("loss-without-gradient", f"{call} uses {lost}, but no gradient gets there.")


def halfway_is_the_mean(record: Record, part: str, unbent: Callable[[Array], Array]) -> bool:
    """Whether a row halfway between two others gives the mean of what they give, as in a linear map."""
    keys = ("seven", "reversed", "halfway")
    a, b, middle = (unbent(np.asarray(record.get(f"{key}{part}", np.nan))) for key in keys)
    return close(middle, (a + b) / 2, 1e-4)
