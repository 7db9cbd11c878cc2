"""Paths between codes."""

from __future__ import annotations

import torch
from torch import Tensor


def interpolate(start: Tensor, end: Tensor, steps: int, *, spherical: bool = False) -> Tensor:
    """A path of `steps` codes from `start` to `end`, both included; shape (steps, D) for ends of shape (D,).

    A straight path is (1 − t)·start + t·end for t from 0 to 1. A spherical one turns the direction at constant speed
    (Shoemake 1985) and changes the norm linearly, so no norm on it leaves the range of the ends' norms.

    Raises:
        ValueError: the ends are not two finite codes of one shape (D,), there are fewer than two steps; and for a
            spherical path: an end is zero, or they point in opposite directions, so that no shortest turn exists.
    """
    if start.ndim != 1 or start.shape != end.shape:
        raise ValueError(
            f"Both ends must have the shape (D,); they have {tuple(start.shape)} and {tuple(end.shape)}."
        )
    if not (start.isfinite().all() and end.isfinite().all()):
        raise ValueError("An end of the path holds a number that is not finite.")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise ValueError(f"steps must be a whole number of at least 2, not {steps!r}.")
    t = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None]
    if not spherical:
        return (1 - t) * start + t * end
    norms = start.norm(), end.norm()
    if min(norms) == 0:
        raise ValueError("A spherical path needs a direction at both ends; one end is zero.")
    a, b = start / norms[0], end / norms[1]
    # The angle by its half's tangent: exact also for nearly equal and nearly opposite directions.
    angle = 2 * torch.atan2((a - b).norm(), (a + b).norm())
    if torch.pi - angle < 1e-3:
        raise ValueError("The ends point in opposite directions: there is no one shortest turn.")
    if angle < 1e-3:  # the arc and its chord agree to a part in ten million
        direction = torch.nn.functional.normalize((1 - t) * a + t * b, dim=1)
    else:
        direction = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
    path: Tensor = ((1 - t) * norms[0] + t * norms[1]) * direction
    return path
