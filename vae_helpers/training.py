"""One loop for every model with an objective."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from . import checkpoints, devices, processes
from .captured import CapturedStep, can_capture
from .objectives import Objective
from .parts import check_trained
from .training_runs import (
    History,
    Progress,
    append,
    bar,
    check_finite,
    model_lock,
    not_finite,
)
from .training_settings import as_objective, check_precision, check_settings, prepare_data
from .validation import Model, NaNError


def fit(
    model: nn.Module,
    train_x: Tensor,
    *,
    epochs: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    objective: Objective | Callable[..., Tensor] | None = None,
    labels: Tensor | None = None,
    test_x: Tensor | None = None,
    test_labels: Tensor | None = None,
    beta: float = 1.0,
    device: str | torch.device | None = None,
    generator: torch.Generator | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | Progress = True,
) -> History:
    """Train a model with Adam, and return what happened.

        history = fit(VAE(latent_dim=2), digits.train_x, epochs=10, test_x=digits.test_x)

    Args:
        model: any module with `encode`, `decode` and `forward`; it meets images of shape (B, 784).
        train_x: images, float32 in [0, 1], shape (N, 1, 28, 28) or (N, 784), or what else the objective takes,
            such as strings.
        epochs: how often all images are seen.
        batch_size: images a step. The mean loss of a batch is what a step lowers.
        lr: Adam's learning rate.
        objective: what is minimised. None is the negative ELBO; else an object such as
            `objectives.Reconstruction()`, or your own `loss_function(recon_x, x, mu, logvar)`, summed over the batch.
        labels: one for each image, int64, for a `ConditionalVAE`.
        test_x: images to measure the loss on after each epoch; `test_labels` are theirs.
        beta: the weight of the KL term in the default objective.
        device: where to train: "cuda", "mps", or "auto" for the accelerator, if there is one; by default where
            the model is. Afterwards the model is where it was.
        generator: seeds the order of the images and the noise, for any model; without it, both are torch's own.
        checkpoint: a file that keeps all that the training needs, after each epoch. A call with the same settings
            goes on from it, as if it had never been stopped.
        progress: whether to show a bar; or a function that is called with the history after each epoch.

    Under torchrun, with torch.distributed initialised, the processes share each batch and take the same steps.

    On an NVIDIA GPU the step of a `VAE` or an `Autoencoder` of the course, without hooks or changed methods, is
    captured once and replayed: the same numbers, without the waiting between kernels. Your own models run as written.

    The stop button ends the training: the model stays as trained so far, and the history says `interrupted`.

    Raises:
        TypeError, ValueError: an argument, the images or the model's outputs are not as described, a part of the
            model would not be trained, or the loss stops being finite.
        OSError: the checkpoint cannot be written; the model stays as trained so far.
    """
    check_settings(model, epochs, batch_size, lr)
    settings = {"batch_size": batch_size, "lr": lr, "beta": beta, "images": len(train_x)}
    criterion, place = as_objective(objective, beta), devices.choose(device, model)
    check_precision(model, place)
    history, was_training = History(epochs), model.training
    with devices.at(model, place):
        train, test = prepare_data(criterion, train_x, labels, test_x, test_labels, model)
        if min(batch_size, len(train_x)) < processes.count():
            raise ValueError(
                f"Each of the {processes.count()} processes needs an image of every batch: make the batch larger."
            )
        with devices.random_numbers(generator, place), bar(progress, history) as show:
            for data in (train, test):
                _rehearse(model, criterion, *data)
            capture = not callable(progress) and can_capture(model, criterion, place)
            optimizer = torch.optim.Adam(
                model.parameters(), lr=lr, fused=place.type in ("cpu", "cuda"), capturable=capture
            )
            processes.same_start(model)
            step = _Step(model, criterion, optimizer, *train)
            captured = CapturedStep(step, batch_size) if capture else step
            after_epoch = [show]
            if checkpoint is not None:
                kept = (checkpoint, model, optimizer, settings)
                checkpoints.load(*kept, history)
                after_epoch.insert(0, partial(checkpoints.save, *kept))
            try:
                while history.finished < epochs:
                    start = time.perf_counter()
                    append(
                        history.train, _train_epoch(captured, step, batch_size, history.finished)
                    )
                    append(history.test, _measure(model, criterion, *test))
                    history.seconds.append(time.perf_counter() - start)
                    for call in after_epoch:
                        call(history)
            except KeyboardInterrupt:
                history.interrupted = True
            finally:
                model.train(was_training)
    return history


class _Step:
    """One step of the optimizer on the images of some rows; the terms, summed over them."""

    def __init__(
        self,
        model: nn.Module,
        criterion: Objective,
        optimizer: torch.optim.Optimizer,
        x: Tensor,
        labels: Tensor | None,
    ) -> None:
        self.model, self.criterion, self.optimizer = model, criterion, optimizer
        self.x, self.labels, self._lock = x, labels, model_lock(model)
        self.epoch = self.number = 0  # of the batch

    def __call__(self, whole: Tensor) -> dict[str, Tensor]:
        rows = processes.share_of(whole)  # all of them, but under torchrun
        terms: dict[str, Tensor] = {}
        self.optimizer.zero_grad()
        if len(rows):
            of_rows = self.labels[rows] if self.labels is not None else None
            images = self.x.index_select(0, rows)
            terms = _terms(self.model, self.criterion, images, of_rows, self.epoch, self.number)
            (terms["loss"] / len(whole)).backward()
            if self.number == 0:
                check_trained(self.model)
        processes.add_up_gradients(self.model.parameters())
        with self._lock:
            self.optimizer.step()
        return {name: value.detach() for name, value in terms.items()}


def _train_epoch(
    take: Callable[[Tensor], dict[str, Tensor]], step: _Step, batch_size: int, epoch: int
) -> dict[str, float]:
    """One pass over the images in random order, after `epoch` others; the mean of each term, per image.

    `take` takes the step, as `step` itself does, or as captured from it.
    """
    step.model.train()
    at_epoch, x = getattr(step.criterion, "at_epoch", None), step.x
    sums: dict[str, Tensor] = {}
    batches = processes.same_order(torch.randperm(len(x), device=x.device)).split(batch_size)
    for number, rows in enumerate(batches):
        if at_epoch is not None:
            at_epoch(epoch + number / len(batches))
        step.epoch, step.number = epoch, number
        for name, value in take(rows).items():
            sums[name] = sums[name] + value if name in sums else value.clone()
    _drop_tiny_means(step.optimizer)
    means = {name: processes.add_up(value).item() / len(x) for name, value in sums.items()}
    check_finite(means["loss"], epoch)
    return means


@torch.no_grad()
def _drop_tiny_means(optimizer: torch.optim.Optimizer) -> None:
    """Set Adam's running means below 1e-16 to zero: they move a weight by less than 1e-8 · lr.

    The mean of a weight whose pixel is seldom lit shrinks by a tenth each step, into numbers so small that
    the processor treats them apart; they made an epoch a quarter slower.
    """
    for state in optimizer.state.values():
        mean = state["exp_avg"]
        mean.masked_fill_(mean.abs() < 1e-16, 0.0)


def _terms(
    model: nn.Module, criterion: Objective, x: Tensor, labels: Tensor | None, epoch: int, batch: int
) -> dict[str, Tensor]:
    """The objective's terms on one batch; an error where they are not finite, before they spoil the weights."""
    try:
        terms = criterion(cast(Model, model), x, labels)
    except (RuntimeError, ValueError) as error:
        finite = all(p.isfinite().all() for p in model.parameters())
        if finite and not isinstance(error, NaNError):  # the rehearsal saw none
            raise
        raise not_finite(float("nan"), epoch, batch) from error
    # On a GPU the look would wait for it: there it is taken once an epoch.
    if x.device.type == "cpu":
        check_finite(terms["loss"].item(), epoch, batch)
    return terms


@torch.no_grad()
def _measure(
    model: nn.Module,
    criterion: Objective,
    x: Tensor | None,
    labels: Tensor | None,
    batch_size: int = 1_000,
) -> dict[str, float]:
    """The mean of each term on held-out images, per image, in evaluation mode; nothing without images.

    The random numbers that it draws do not change those of the next epoch.
    """
    if x is None:
        return {}
    model.eval()
    sums: dict[str, float] = {}
    with devices.random_numbers_kept(x.device):
        for start in range(0, len(x), batch_size):
            rows = slice(start, start + batch_size)
            of_rows = labels[rows] if labels is not None else None
            for name, value in criterion(cast(Model, model), x[rows], of_rows).items():
                sums[name] = sums.get(name, 0.0) + value.item()
    return {name: value / len(x) for name, value in sums.items()}


def _rehearse(
    model: nn.Module, criterion: Objective, x: Tensor | None, labels: Tensor | None
) -> None:
    """Measure two images, so that a wrong shape is named before anything is trained."""
    was_training = model.training
    try:
        two = [data if data is None else data[:2] for data in (x, labels)]
        _measure(model, criterion, two[0], two[1])
    finally:
        model.train(was_training)
