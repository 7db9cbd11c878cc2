"""A step of training as one CUDA graph: a GPU spends most of a small model's step waiting for its next kernel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as global_hooks
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from . import models, processes
from .objectives import Bernoulli, Gaussian, NegativeELBO, Reconstruction
from .training_runs import model_lock

LAYERS = (nn.Linear, nn.Sequential, nn.ReLU, nn.Sigmoid)
WARM_UP = 3  # steps before the capture, in which libraries take the memory that they will need


def can_capture(model: nn.Module, objective: Any, place: torch.device) -> bool:
    """Whether nothing but its arithmetic happens in a step, so that a replay of its kernels is the step.

    It is so for a `VAE` or an `Autoencoder` of the course on one GPU, as it was made, with an objective whose weights
    stay the same. A model written by a learner may print, count or branch in Python, and is run as it is written.
    """
    if place.type != "cuda" or type(model) not in (models.VAE, models.Autoencoder):
        return False
    if place.index is not None and place.index != torch.cuda.current_device():
        return False
    if type(objective) not in (NegativeELBO, Reconstruction) or processes.count() > 1:
        return False
    if type(getattr(objective, "likelihood", Bernoulli())) not in (Bernoulli, Gaussian):
        return False
    parts: list[Any] = list(model.modules())
    hooked = [
        *(hooks for name, hooks in vars(global_hooks).items() if name.startswith("_global_")),
        _global_optimizer_pre_hooks,
        _global_optimizer_post_hooks,
        *(hooks for part in parts for name, hooks in vars(part).items() if name.endswith("_hooks")),
        *(parameter._backward_hooks for parameter in model.parameters()),
        *(getattr(p, "_post_accumulate_grad_hooks", None) for p in model.parameters()),
    ]
    return (
        not getattr(objective, "warm_up", 0)
        and not torch.is_anomaly_enabled()
        and all(type(part) in LAYERS for part in parts[1:])
        and not any(callable(value) for part in parts for value in vars(part).values())
        and not any(hooked)
    )


class CapturedStep:
    """Takes steps as `step` does; those of `batch_size` rows, after the first few, by a replay of one of them."""

    def __init__(self, step: Any, batch_size: int) -> None:
        self._step, self._size, self._taken = step, batch_size, 0
        self._lock, self._stream = model_lock(step.model), torch.cuda.Stream()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._rows, self._terms = torch.empty(0), dict[str, Tensor]()

    def __call__(self, rows: Tensor) -> dict[str, Tensor]:
        if len(rows) < self._size:  # the last ones of an epoch
            terms: dict[str, Tensor] = self._step(rows)
            return terms
        if self._taken < WARM_UP:
            self._taken += 1
            with self._lock:  # nobody copies weights before the other stream is done with them
                self._stream.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(self._stream):
                    terms = self._step(rows)
                torch.cuda.current_stream().wait_stream(self._stream)
            return terms
        if self._graph is None:
            self._rows, self._graph = rows.clone(), torch.cuda.CUDAGraph()
            mode = "thread_local"  # sliders in another thread may use the GPU meanwhile
            with (
                self._lock,
                torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode=mode),
            ):
                self._terms = self._step(self._rows)
        self._rows.copy_(rows)
        with self._lock:
            self._graph.replay()
        return self._terms
