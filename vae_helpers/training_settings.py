"""Checks of what `fit` and `fit_gan` are given."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .devices import given_to
from .objectives import LossFunction, NegativeELBO, Objective

Data = tuple[Tensor, Tensor | None]


def check_settings(model: Any, epochs: int, batch_size: int, lr: float) -> None:
    """Raise a TypeError or a ValueError unless `fit` can train this model with these numbers."""
    if not isinstance(model, nn.Module):
        hint = " Did you forget the brackets, as in VAE()?" if isinstance(model, type) else ""
        raise TypeError(f"model must be a torch.nn.Module, not {model!r}.{hint}")
    missing = [name for name in ("encode", "decode") if not callable(getattr(model, name, None))]
    if missing:
        raise TypeError(
            f"{type(model).__name__} has no method {' and no '.join(missing)}: a model here needs both."
        )
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError(f"{type(model).__name__} has no weights to train.")
    check_numbers(epochs, batch_size, lr)


def check_precision(model: nn.Module, place: torch.device) -> None:
    """Refuse to train in half precision.

    Raises:
        TypeError: the model's weights have 16 bits, or autocast would give it numbers of 16 bits.
    """
    short = {p.dtype for p in model.parameters() if p.requires_grad and p.itemsize < 4}
    if short:
        raise TypeError(
            f"The model's weights are {short.pop()}: so few digits lose Adam's small steps. Train in float32, after "
            "`model.float()`, and make the trained model half as large, if you like."
        )
    if torch.is_autocast_enabled(place.type):
        raise TypeError(
            "Autocast would round probabilities to 8 or 11 bits, too few for their logarithms (PyTorch's own "
            "binary_cross_entropy refuses it too): call this outside the `with torch.autocast(…)` block."
        )


def check_numbers(epochs: int, batch_size: int, lr: float) -> None:
    """Raise a TypeError or a ValueError unless epochs and batch size are whole and lr is positive."""
    for name, count in (("epochs", epochs), ("batch_size", batch_size)):
        if isinstance(count, bool) or not isinstance(count, int):
            raise TypeError(f"{name} must be a whole number, not {count!r}.")
        if count < 1:
            raise ValueError(f"{name} must be at least 1, not {count}.")
    if isinstance(lr, bool) or not isinstance(lr, int | float):
        raise TypeError(f"lr, the learning rate, must be a number, not {lr!r}.")
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"lr, the learning rate, must be positive and finite, not {lr}.")


def as_objective(objective: Objective | Callable[..., Tensor] | None, beta: float) -> Objective:
    """What `fit` minimises: the negative ELBO, the object that was given, or the function as an object.

    Raises:
        TypeError, ValueError: it is neither, or there is a beta beside it.
    """
    if objective is None:
        return NegativeELBO(beta)
    if beta != 1.0:
        raise ValueError(
            "beta weights the default objective; with an objective of your own, write the weight into it."
        )
    if isinstance(objective, type):
        raise TypeError(
            f"objective must be an object or a function, not a class: {objective.__name__}() makes one."
        )
    if hasattr(objective, "prepare"):
        return objective  # type: ignore[return-value]
    if not callable(objective):
        raise TypeError(
            f"objective must be a function of (recon_x, x, mu, logvar), not {objective!r}."
        )
    return LossFunction(objective)


def prepare_data(
    objective: Objective,
    train_x: Tensor,
    labels: Tensor | None,
    test_x: Tensor | None,
    test_labels: Tensor | None,
    model: nn.Module,
) -> tuple[Data, tuple[Tensor | None, Tensor | None]]:
    """Images and labels to train and to test with, checked, where the model is and as precise.

    Raises:
        TypeError, ValueError: the images are not what the objective takes, or the labels do not belong to them.
    """
    if test_x is None and test_labels is not None:
        raise ValueError("There are test_labels, but no test_x for them.")
    if test_x is not None and (labels is None) != (test_labels is None):
        raise ValueError(
            "Give both labels and test_labels, or neither: the model is tested as it is trained."
        )

    def prepare(x: Tensor, labels: Tensor | None) -> Data:
        x = given_to(model, objective.prepare(x))
        if labels is not None and len(labels) != len(x):
            raise ValueError(
                f"There are {len(labels)} labels for {len(x)} images: there must be one for each."
            )
        return x, labels if labels is None else given_to(model, labels)

    train = prepare(train_x, labels)
    return train, prepare(test_x, test_labels) if test_x is not None else (None, None)
