"""Several processes that train one model together, under torchrun; with a single process each function does nothing.

Every process holds the whole model and all images. In each step it takes its share of the batch; the gradients are
added up, so that all processes take the same step, which is that of one process with the whole batch.

`DistributedDataParallel` would do it too, but it takes the mean over processes, whose shares are of different sizes
here, and it waits for every process in each backward pass, where the last batch may leave one without an image.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if count() > 1 else 0


def same_start(model: nn.Module) -> None:
    """Give every process the weights and buffers of the first."""
    if count() > 1:
        for tensor in [*model.parameters(), *model.buffers()]:
            dist.broadcast(tensor.data, src=0)


def same_order(order: Tensor) -> Tensor:
    """The first process's order of the images, for all."""
    if count() > 1:
        dist.broadcast(order, src=0)
    return order


def share_of(batch: Tensor) -> Tensor:
    """This process's part of a batch: every `count()`-th image from its own number on; it can be empty."""
    return batch[rank() :: count()]


@torch.no_grad()
def add_up_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Put the sum over all processes into each gradient, in one message. One that is missing counts as zero."""
    if count() == 1:
        return
    held = [p for p in parameters if p.requires_grad]
    for parameter in held:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [p.grad for p in held if p.grad is not None]
    together = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(together)
    for gradient, part in zip(
        gradients, together.split([g.numel() for g in gradients]), strict=True
    ):
        gradient.copy_(part.view_as(gradient))


def add_up(value: Tensor) -> Tensor:
    """The sum of a number over all processes."""
    if count() > 1:
        dist.all_reduce(value)
    return value


def gather(tensors: list[Tensor]) -> list[list[Tensor]]:
    """The tensors of every process, by its number."""
    everyone: list[list[Tensor]] = [tensors] * count()
    if count() > 1:
        dist.all_gather_object(everyone, tensors)
    return everyone
