"""One loop for every model with an objective, and one for the game that a GAN is."""

from __future__ import annotations

import contextlib
import io
import math
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import processes
from .files import write_whole
from .models import GAN
from .objectives import LossFunction, NegativeELBO, Objective, prepare_images
from .parts import check_trained

Progress = Callable[["History"], None]
_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


def model_lock(model: nn.Module) -> threading.RLock:
    """The lock that `fit` holds while it changes the model's weights.

    Sliders run in another thread than a cell; whoever copies the weights meanwhile takes this lock.
    """
    return _LOCKS.setdefault(model, threading.RLock())


@dataclass
class History:
    """What happened in a training run: one number an epoch in each list, in nats per image.

    ``train`` and ``test`` map each term ('loss'; for a VAE 'recon' and 'kl' too; for a GAN 'discriminator' and
    'generator') to its list. ``train`` is
    averaged while the weights change; ``test`` is measured after each epoch and empty without test images.
    """

    epochs: int
    train: dict[str, list[float]] = field(default_factory=dict)
    test: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    interrupted: bool = False

    @property
    def finished(self) -> int:
        """How many epochs were completed."""
        return len(self.seconds)


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

    `train_x` holds images, float32 in [0, 1], shape (N, 1, 28, 28) or (N, 784), or what else the objective takes, such
    as strings. `objective` is what is minimised: by default the negative ELBO with the KL term weighted by `beta`; or
    an object such as `objectives.Reconstruction()`; or your own `loss_function(recon_x, x, mu, logvar)`, summed over
    the batch. What is minimised is its mean over the images of a batch. The model is called with images of shape (B,
    784). A `ConditionalVAE` needs `labels`, one for each image, and `test_labels` for `test_x`. `generator` seeds the
    order of the images and the noise, for any model; without it both come from torch's own. `progress` shows a bar, or
    is called with the history after each epoch. With a `checkpoint`, a file, all that the training needs is kept there
    after each epoch, and a call with the same settings goes on from it, as if it had never been stopped.

    Under torchrun, with torch.distributed initialised, the processes share each batch and take the same steps.

    The stop button ends the training: the model stays as trained so far, and the history says `interrupted`.

    Raises:
        TypeError, ValueError: an argument, the images or the model's outputs are not as described, a part of the
            model would not be trained, or the loss stops being finite.
        OSError: the checkpoint cannot be written; the model stays as trained so far.
    """
    _check_settings(model, epochs, batch_size, lr)
    settings = {"batch_size": batch_size, "lr": lr, "beta": beta, "images": len(train_x)}
    goal = _as_objective(objective, beta)
    place = _choose_device(device, model)
    model.to(place)
    x = goal.prepare(train_x).to(place)
    if min(batch_size, len(x)) < processes.count():
        raise ValueError(
            f"Each of the {processes.count()} processes needs an image of every batch: make the batch larger."
        )
    held_out = goal.prepare(test_x).to(place) if test_x is not None else None
    y = _check_labels(labels, x, place)
    held_out_y = _check_test_labels(labels, test_labels, held_out, place)
    history = History(epochs)
    was_training = model.training
    with _random_numbers(generator, place), _bar(progress, history) as report:
        _rehearse(model, goal, x, y)
        if held_out is not None:
            _rehearse(model, goal, held_out, held_out_y)
        optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=place.type in ("cpu", "cuda"))
        processes.same_start(model)
        if checkpoint is not None:
            _load_checkpoint(checkpoint, model, optimizer, history, settings)
        try:
            while history.finished < epochs:
                start = time.perf_counter()
                train = _train_epoch(model, goal, optimizer, x, y, batch_size, history.finished + 1)
                with torch.random.fork_rng(
                    _gpus(place)
                ):  # measuring does not change what comes after
                    test = (
                        _measure(model, goal, held_out, held_out_y) if held_out is not None else {}
                    )
                _append(history.train, train)
                _append(history.test, test)
                history.seconds.append(time.perf_counter() - start)
                if checkpoint is not None:
                    _save_checkpoint(checkpoint, model, optimizer, history, settings)
                report(history)
        except KeyboardInterrupt:
            history.interrupted = True
        finally:
            model.train(was_training)
    return history


def fit_gan(
    gan: GAN,
    train_x: Tensor,
    *,
    epochs: int,
    batch_size: int = 64,
    lr: float = 4e-4,
    device: str | torch.device | None = None,
    generator: torch.Generator | None = None,
    progress: bool | Progress = True,
) -> History:
    """Train a GAN: in each batch one step of the discriminator, then one of the generator.

    The discriminator minimises the cross-entropy −log D(x) − log(1 − D(G(z))), in nats, which is 2 log 2 = 1.39 if it
    cannot tell the two apart; the generator minimises −log D(G(z)), the non-saturating loss (Goodfellow et al. 2014,
    equation 1 and section 3). Both use Adam with β₁ = 0.5 (Radford et al. 2016, section 4). Images, `generator`,
    `progress` and the stop button are as in `fit`.

    Raises:
        TypeError, ValueError: an argument or the images are not as described, or a loss stops being finite.
    """
    if not isinstance(gan, GAN):
        raise TypeError(
            f"fit_gan trains a GAN(), not {gan!r}; `fit` trains the models with an objective."
        )
    _check_numbers(epochs, batch_size, lr)
    place = _choose_device(device, gan)
    gan.to(place)
    x = prepare_images(train_x).to(place)
    if batch_size < 2 or len(x) < 2:
        raise ValueError(
            "A GAN's batch needs two images or more: its generator normalises over the batch."
        )
    history = History(epochs)
    was_training = gan.training
    with _random_numbers(generator, place), _bar(progress, history) as report:
        optimizers = [
            torch.optim.Adam(
                part.parameters(), lr=lr, betas=(0.5, 0.999), fused=place.type in ("cpu", "cuda")
            )
            for part in (gan.discriminator, gan.generator)
        ]
        try:
            for epoch in range(1, epochs + 1):
                start = time.perf_counter()
                train = _play_epoch(gan, optimizers, x, batch_size, epoch)
                _append(history.train, train)
                history.seconds.append(time.perf_counter() - start)
                report(history)
        except KeyboardInterrupt:
            history.interrupted = True
        finally:
            gan.train(was_training)
    return history


def _play_epoch(
    gan: GAN, optimizers: Sequence[torch.optim.Optimizer], x: Tensor, batch_size: int, epoch: int
) -> dict[str, float]:
    """One pass over the images in random order; the mean of both losses, per image.

    A last batch of a single image is left out: there is nothing to normalise it by.
    """
    gan.train()
    lock = model_lock(gan)
    order = torch.randperm(len(x), device=x.device)
    batches = [batch for batch in order.split(batch_size) if len(batch) > 1]
    sums = {
        "discriminator": torch.zeros((), device=x.device),
        "generator": torch.zeros((), device=x.device),
    }
    for number, batch in enumerate(batches, start=1):
        real = x.index_select(0, batch)
        made = gan.decode(torch.randn(len(batch), gan.latent_dim, device=x.device))
        for name, optimizer in zip(sums, optimizers, strict=True):
            if name == "discriminator":
                on_real, on_made = gan.discriminate(torch.cat([real, made.detach()])).split(
                    len(batch)
                )
                loss = (F.softplus(-on_real) + F.softplus(on_made)).mean()
            else:
                loss = F.softplus(-gan.discriminate(made)).mean()
            if x.device.type == "cpu":
                _check_finite(loss.item(), epoch, number)
            gan.zero_grad()
            loss.backward()
            with lock:
                optimizer.step()
            sums[name] += loss.detach() * len(batch)
    count = sum(map(len, batches))
    means = {name: value.item() / count for name, value in sums.items()}
    for value in means.values():
        _check_finite(value, epoch, None)
    return means


def _train_epoch(
    model: nn.Module,
    goal: Objective,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    labels: Tensor | None,
    batch_size: int,
    epoch: int,
) -> dict[str, float]:
    """One pass over the images in random order; the mean of each term, per image."""
    model.train()
    lock = model_lock(model)
    order = processes.same_order(torch.randperm(len(x), device=x.device))
    sums: dict[str, Tensor] = {}
    batches = order.split(batch_size)
    at_epoch = getattr(goal, "at_epoch", None)
    for number, whole in enumerate(batches, start=1):
        if at_epoch is not None:
            at_epoch(epoch - 1 + (number - 1) / len(batches))
        batch = processes.share_of(whole)  # all of it, but under torchrun
        optimizer.zero_grad()
        if len(batch):
            picked = labels[batch] if labels is not None else None
            terms = _terms(model, goal, x.index_select(0, batch), picked, epoch, number)
            (terms["loss"] / len(whole)).backward()
            if number == 1:
                check_trained(model)
            for name, value in terms.items():
                sums[name] = sums[name] + value.detach() if name in sums else value.detach()
        processes.add_up_gradients(model.parameters())
        with lock:
            optimizer.step()
    _drop_tiny_means(optimizer)
    means = {name: processes.add_up(value).item() / len(x) for name, value in sums.items()}
    _check_finite(means["loss"], epoch, None)
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
    model: nn.Module, goal: Objective, x: Tensor, labels: Tensor | None, epoch: int, batch: int
) -> dict[str, Tensor]:
    """The objective's terms on one batch; an error where they are not finite, before they spoil the weights."""
    try:
        terms = goal(model, x, labels)
    except (RuntimeError, ValueError) as error:
        if all(p.isfinite().all() for p in model.parameters()):
            raise
        raise _not_finite(float("nan"), epoch, batch) from error
    if (
        x.device.type == "cpu"
    ):  # elsewhere the look would wait for the device: it is taken once an epoch
        _check_finite(terms["loss"].item(), epoch, batch)
    return terms


def _check_finite(loss: float, epoch: int, batch: int | None) -> None:
    if not math.isfinite(loss):
        raise _not_finite(loss, epoch, batch)


def _not_finite(loss: float, epoch: int, batch: int | None) -> ValueError:
    where = f"epoch {epoch}" + (f", batch {batch}" if batch is not None else "")
    return ValueError(
        f"The loss is {loss} in {where}, so training stopped. Likely causes: a learning rate that is too high, "
        "a logvar so large that its exponential overflows, or a logarithm of 0 in the loss. Make the model anew "
        "and try a smaller lr."
    )


@torch.no_grad()
def _measure(
    model: nn.Module, goal: Objective, x: Tensor, labels: Tensor | None, batch_size: int = 1_000
) -> dict[str, float]:
    """The mean of each term on held-out images, per image, in evaluation mode."""
    model.eval()
    sums: dict[str, float] = {}
    for start in range(0, len(x), batch_size):
        rows = slice(start, start + batch_size)
        for name, value in goal(
            model, x[rows], labels[rows] if labels is not None else None
        ).items():
            sums[name] = sums.get(name, 0.0) + value.item()
    return {name: value / len(x) for name, value in sums.items()}


# --- checkpoints --------------------------------------------------------------------------------


def _save_checkpoint(
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    history: History,
    settings: dict[str, Any],
) -> None:
    """Write everything that the next epoch depends on; one process writes."""
    numbers = processes.gather(_random_state())
    if processes.rank() != 0:
        return
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "history": {"train": history.train, "test": history.test, "seconds": history.seconds},
        "random": numbers,
        "settings": settings,
    }
    whole = io.BytesIO()
    torch.save(state, whole)  # into a file, a full disk would be a RuntimeError that names none
    write_whole(path, whole.getvalue())


def _load_checkpoint(
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    history: History,
    settings: dict[str, Any],
) -> None:
    """Go on from a checkpoint, if there is one.

    Raises:
        ValueError: it is damaged, or of another training.
    """
    if not Path(path).exists():
        return
    remedy = "Move it away to start anew."
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["settings"] != settings or len(state["random"]) != processes.count():
            raise ValueError(
                f"{path} is of a training with other settings ({state['settings']}, {len(state['random'])} "
                f"process(es)). {remedy}"
            )
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        history.train, history.test = state["history"]["train"], state["history"]["test"]
        history.seconds = state["history"]["seconds"]
        _set_random_state(state["random"][processes.rank()])
    except (KeyError, RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{path} cannot be read as a checkpoint of this model: {error} {remedy}"
        ) from error


def _random_state() -> list[Tensor]:
    """The state of torch's random numbers, of the CPU and of each GPU."""
    return [
        torch.get_rng_state(),
        *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []),
    ]


def _set_random_state(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state_all(states[1:])


# --- checks and surroundings --------------------------------------------------------------------


def _check_settings(model: Any, epochs: int, batch_size: int, lr: float) -> None:
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
    _check_numbers(epochs, batch_size, lr)


def _check_numbers(epochs: int, batch_size: int, lr: float) -> None:
    for name, count in (("epochs", epochs), ("batch_size", batch_size)):
        if isinstance(count, bool) or not isinstance(count, int):
            raise TypeError(f"{name} must be a whole number, not {count!r}.")
        if count < 1:
            raise ValueError(f"{name} must be at least 1, not {count}.")
    if isinstance(lr, bool) or not isinstance(lr, int | float):
        raise TypeError(f"lr, the learning rate, must be a number, not {lr!r}.")
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"lr, the learning rate, must be positive and finite, not {lr}.")


def _as_objective(objective: Objective | Callable[..., Tensor] | None, beta: float) -> Objective:
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


def _check_labels(labels: Tensor | None, x: Tensor, device: torch.device) -> Tensor | None:
    if labels is None:
        return None
    if len(labels) != len(x):
        raise ValueError(
            f"There are {len(labels)} labels for {len(x)} images: there must be one for each."
        )
    return labels.to(device)


def _check_test_labels(
    labels: Tensor | None, test_labels: Tensor | None, test_x: Tensor | None, device: torch.device
) -> Tensor | None:
    if test_x is None:
        if test_labels is not None:
            raise ValueError("There are test_labels, but no test_x for them.")
        return None
    if (labels is None) != (test_labels is None):
        raise ValueError(
            "Give both labels and test_labels, or neither: the model is tested as it is trained."
        )
    return _check_labels(test_labels, test_x, device)


def _choose_device(device: str | torch.device | None, model: nn.Module) -> torch.device:
    """Where to train: where the model is, unless told otherwise."""
    if device is None:
        return next(model.parameters()).device
    place = torch.device(device)
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "There is no GPU here that torch can use: leave `device` out to train on the CPU."
        )
    return place


def _gpus(device: torch.device) -> list[torch.device]:
    """The devices besides the CPU whose random numbers are in play."""
    return [device] if device.type == "cuda" else []


def _rehearse(model: nn.Module, goal: Objective, x: Tensor, labels: Tensor | None) -> None:
    """Run the objective on two images, so that a wrong shape is named before anything is trained."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(_gpus(x.device)):
            goal(model, x[:2], labels[:2] if labels is not None else None)
    finally:
        model.train(was_training)


@contextlib.contextmanager
def _random_numbers(generator: torch.Generator | None, device: torch.device) -> Iterator[None]:
    """With a generator, seed torch's own random numbers from it for a while, and put them back afterwards.

    So a learner's model, which draws its noise from torch's own, is reproducible too.
    """
    if generator is None:
        yield
        return
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.random.fork_rng(_gpus(device)):
        torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def _bar(progress: bool | Progress, history: History) -> Iterator[Progress]:
    """What is called after each epoch: nothing, the caller's function, or a progress bar that ends on one line."""
    if callable(progress):
        yield progress
        return
    from tqdm import tqdm

    form = "{desc}{percentage:3.0f}% |{bar:24}| {n_fmt}/{total_fmt} epochs, {elapsed}{postfix}"
    with tqdm(total=history.epochs, disable=not progress, bar_format=form, file=sys.stdout) as bar:

        def show(history: History) -> None:
            if "loss" in history.train:
                last = {"train": f"{history.train['loss'][-1]:.1f}"}
                if history.test:
                    last["test"] = f"{history.test['loss'][-1]:.1f}"
            else:
                last = {name: f"{values[-1]:.2f}" for name, values in history.train.items()}
            bar.set_postfix_str(
                ", ".join(f"{k} {v}" for k, v in last.items()) + " nats", refresh=False
            )
            bar.update()

        yield show


def _append(lists: dict[str, list[float]], values: dict[str, Any]) -> None:
    for name, value in values.items():
        lists.setdefault(name, []).append(value)
