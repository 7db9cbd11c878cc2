"""The game that the two networks of a GAN play."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from . import devices
from .models import GAN
from .training_runs import (
    History,
    Progress,
    append,
    bar,
    check_finite,
    model_lock,
)
from .training_settings import check_numbers, check_precision
from .validation import prepare_images


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
    `device`, `progress` and the stop button are as in `fit`.

    Raises:
        TypeError, ValueError: an argument or the images are not as described, or a loss stops being finite.
    """
    if not isinstance(gan, GAN):
        raise TypeError(
            f"fit_gan trains a GAN(), not {gan!r}; `fit` trains the models with an objective."
        )
    check_numbers(epochs, batch_size, lr)
    place = devices.choose(device, gan)
    check_precision(gan, place)
    x = prepare_images(train_x)
    if batch_size < 2 or len(x) < 2:
        raise ValueError(
            "A GAN's batch needs two images or more: its generator normalises over the batch."
        )
    history = History(epochs)
    was_training = gan.training
    with (
        devices.at(gan, place),
        devices.random_numbers(generator, place),
        bar(progress, history) as report,
    ):
        x = devices.given_to(gan, x)
        optimizers = [
            torch.optim.Adam(
                part.parameters(), lr=lr, betas=(0.5, 0.999), fused=place.type in ("cpu", "cuda")
            )
            for part in (gan.discriminator, gan.generator)
        ]
        try:
            for epoch in range(epochs):
                start = time.perf_counter()
                train = _play_epoch(gan, optimizers, x, batch_size, epoch)
                append(history.train, train)
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
    for number, batch in enumerate(batches):
        real = x.index_select(0, batch)
        made = gan.decode(torch.randn(len(batch), gan.latent_dim, device=x.device, dtype=x.dtype))
        for name, optimizer in zip(sums, optimizers, strict=True):
            if name == "discriminator":
                on_real, on_made = gan.discriminate(torch.cat([real, made.detach()])).split(
                    len(batch)
                )
                loss = (F.softplus(-on_real) + F.softplus(on_made)).mean()
            else:
                loss = F.softplus(-gan.discriminate(made)).mean()
            if x.device.type == "cpu":
                check_finite(loss.item(), epoch, number)
            gan.zero_grad()
            loss.backward()
            with lock:
                optimizer.step()
            sums[name] += loss.detach() * len(batch)
    count = sum(map(len, batches))
    means = {name: value.item() / count for name, value in sums.items()}
    for value in means.values():
        check_finite(value, epoch)
    return means
