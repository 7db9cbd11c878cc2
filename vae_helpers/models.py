"""The fully connected models of the course. They take images and give images; no loss, no plot."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PIXELS = 784  # 28 × 28


def check_sizes(**sizes: int) -> None:
    """Raise a TypeError or a ValueError unless each size is a whole number of at least 1."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"{name} must be a whole number, not {size!r}.")
        if size < 1:
            raise ValueError(f"{name} must be at least 1, not {size}.")


class VAE(nn.Module):
    """A Variational Autoencoder for images of 28 × 28 pixels (Kingma and Welling 2014, appendix C).

    The encoder gives the mean and the log-variance of q(z|x); the decoder gives for each pixel the
    probability of p(x|z). Images are float32 in [0, 1], shape (B, 784) or (B, 1, 28, 28).

    Raises:
        TypeError, ValueError: a size is not a whole number of at least 1.
    """

    def __init__(self, latent_dim: int = 20, hidden_dim: int = 400) -> None:
        super().__init__()
        check_sizes(latent_dim=latent_dim, hidden_dim=hidden_dim)
        self.latent_dim = latent_dim
        self.fc1 = nn.Linear(PIXELS, hidden_dim)
        self.fc_mu = nn.Linear(hidden_dim, latent_dim)
        self.fc_logvar = nn.Linear(hidden_dim, latent_dim)
        self.fc_dec = nn.Sequential(
            nn.Linear(latent_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, PIXELS),
            nn.Sigmoid(),
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images to the mean and the log-variance of q(z|x), both of shape (B, D)."""
        h = torch.relu(self.fc1(x.flatten(1)))
        return self.fc_mu(h), self.fc_logvar(h)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """Draw z = μ + σ·ε with ε ~ N(0, I), shape (B, D) (Kingma and Welling 2014, section 2.4)."""
        std = torch.exp(0.5 * logvar)
        return mu + std * torch.randn_like(std)

    def decode(self, z: Tensor) -> Tensor:
        """Codes, shape (B, D), to images: probabilities, shape (B, 784)."""
        return cast(Tensor, self.fc_dec(z))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images to their reconstructions (probabilities, shape (B, 784)), mean and log-variance."""
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


class Autoencoder(nn.Module):
    """The network of a VAE without the distribution: each image has one code.

    Images are float32 in [0, 1], shape (B, 784) or (B, 1, 28, 28).

    Raises:
        TypeError, ValueError: a size is not a whole number of at least 1.
    """

    def __init__(self, latent_dim: int = 20, hidden_dim: int = 400) -> None:
        super().__init__()
        check_sizes(latent_dim=latent_dim, hidden_dim=hidden_dim)
        self.latent_dim = latent_dim
        self.fc1 = nn.Linear(PIXELS, hidden_dim)
        self.fc_z = nn.Linear(hidden_dim, latent_dim)
        self.fc_dec = nn.Sequential(
            nn.Linear(latent_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, PIXELS),
            nn.Sigmoid(),
        )

    def encode(self, x: Tensor) -> Tensor:
        """Images to codes, shape (B, D)."""
        return cast(Tensor, self.fc_z(torch.relu(self.fc1(x.flatten(1)))))

    def decode(self, z: Tensor) -> Tensor:
        """Codes, shape (B, D), to images: probabilities, shape (B, 784)."""
        return cast(Tensor, self.fc_dec(z))

    def forward(self, x: Tensor) -> Tensor:
        """Images to their reconstructions: probabilities, shape (B, 784)."""
        return self.decode(self.encode(x))


class ConditionalVAE(nn.Module):
    """A VAE that is told the class, encoder and decoder alike: q(z|x, y) and p(x|z, y) (Kingma et al. 2014b;
    Sohn et al. 2015).

    The decoder has two hidden layers, the encoder one. The label y enters each network as `classes` further inputs, a
    1 at its place and 0 elsewhere. Images are float32 in [0, 1], shape (B, 784) or (B, 1, 28, 28); labels are int64,
    0 to classes − 1, shape (B,), or one number for all images. `given` gives the model for fixed labels, which the
    helpers take as they take any VAE.

    Raises:
        TypeError, ValueError: a size is not a whole number of at least 1; labels are not as described.
    """

    def __init__(self, latent_dim: int = 20, hidden_dim: int = 400, classes: int = 10) -> None:
        super().__init__()
        check_sizes(latent_dim=latent_dim, hidden_dim=hidden_dim, classes=classes)
        self.latent_dim, self.classes = latent_dim, classes
        self.fc1 = nn.Linear(PIXELS + classes, hidden_dim)
        self.fc_mu = nn.Linear(hidden_dim, latent_dim)
        self.fc_logvar = nn.Linear(hidden_dim, latent_dim)
        self.fc_dec = nn.Sequential(
            nn.Linear(latent_dim + classes, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, PIXELS),
            nn.Sigmoid(),
        )

    def given(self, labels: Tensor | int) -> GivenLabels:
        """The VAE that is left when the labels are fixed: one label for all images, or shape (B,), one for each."""
        return GivenLabels(self, labels)

    def encode(self, x: Tensor, labels: Tensor | int) -> tuple[Tensor, Tensor]:
        """Images and labels to the mean and the log-variance of q(z|x, y), both of shape (B, D)."""
        return self.given(labels).encode(x)

    def decode(self, z: Tensor, labels: Tensor | int) -> Tensor:
        """Codes, shape (B, D), and labels to images: probabilities, shape (B, 784)."""
        return self.given(labels).decode(z)

    def forward(self, x: Tensor, labels: Tensor | int) -> tuple[Tensor, Tensor, Tensor]:
        """Images and labels to the reconstructions (probabilities, shape (B, 784)), mean and log-variance."""
        outputs: tuple[Tensor, Tensor, Tensor] = self.given(labels)(x)
        return outputs


class GivenLabels(nn.Module):
    """A ConditionalVAE whose labels are fixed; it has the methods of a VAE and shares the weights.

    With labels of shape (B,), it takes B images or codes, or several times B: then the labels are repeated in turn.
    """

    def __init__(self, model: ConditionalVAE, labels: Tensor | int) -> None:
        super().__init__()
        labels = torch.as_tensor(labels)
        if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise TypeError(
                f"Labels must be whole numbers, not {labels.dtype}: labels.long() makes them so."
            )
        if labels.ndim > 1 or labels.numel() == 0:
            raise ValueError(
                f"Labels must have the shape (B,) or be one number, not {tuple(labels.shape)}."
            )
        low, high = labels.aminmax()
        if low < 0 or high >= model.classes:
            raise ValueError(
                f"Labels must be from 0 to {model.classes - 1}; these go from {int(low)} to {int(high)}."
            )
        self.model, self.latent_dim = model, model.latent_dim
        self.fc_dec = model.fc_dec
        self._one_hot = F.one_hot(labels.long().reshape(-1), model.classes)

    def _with_labels(self, inputs: Tensor) -> Tensor:
        """Append the labels to each row."""
        times, rest = divmod(len(inputs), len(self._one_hot))
        if rest:
            raise ValueError(
                f"There are {len(self._one_hot)} labels for {len(inputs)} rows: there must be one for each."
            )
        return torch.cat([inputs, self._one_hot.to(inputs).repeat(times, 1)], dim=1)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images to the mean and the log-variance of q(z|x, y), both of shape (B, D)."""
        h = torch.relu(self.model.fc1(self._with_labels(x.flatten(1))))
        return self.model.fc_mu(h), self.model.fc_logvar(h)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """Draw z = μ + σ·ε, as a VAE does; shape (B, D)."""
        std = torch.exp(0.5 * logvar)
        return mu + std * torch.randn_like(std)

    def decode(self, z: Tensor) -> Tensor:
        """Codes, shape (B, D), to images: probabilities, shape (B, 784)."""
        return cast(Tensor, self.fc_dec(self._with_labels(z)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images to their reconstructions (probabilities, shape (B, 784)), mean and log-variance."""
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


class GAN(nn.Module):
    """A generative adversarial network (Goodfellow et al. 2014): `generator` makes images, `discriminator` judges them.

    The generator has codes z ~ N(0, I), shape (B, D), as input, and images as output, shape (B, 784), in [0, 1]. The
    discriminator gives for each image the logit of the probability that it is a real one, shape (B,). Both have two
    hidden layers; the generator normalises its batches (Radford et al. 2016, section 3), the discriminator has
    leaky ReLUs of slope 0.2 (the same, section 4) and drops 3 of 10 units. With the default sizes the pair has 659,885
    weights, about as many as `VAE()`, 652,824.

    Raises:
        TypeError, ValueError: a size is not a whole number of at least 1.
    """

    def __init__(self, latent_dim: int = 20, hidden_dim: int = 300) -> None:
        super().__init__()
        check_sizes(latent_dim=latent_dim, hidden_dim=hidden_dim)
        self.latent_dim = latent_dim
        self.generator = nn.Sequential(
            nn.Linear(latent_dim, hidden_dim),
            nn.BatchNorm1d(hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.BatchNorm1d(hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, PIXELS),
            nn.Sigmoid(),
        )
        self.discriminator = nn.Sequential(
            nn.Linear(PIXELS, hidden_dim),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.3),
            nn.Linear(hidden_dim, hidden_dim),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.3),
            nn.Linear(hidden_dim, 1),
        )

    def decode(self, z: Tensor) -> Tensor:
        """The generator: codes, shape (B, D), to images, shape (B, 784). The name is that of a VAE's decoder."""
        return cast(Tensor, self.generator(z))

    def discriminate(self, x: Tensor) -> Tensor:
        """The logit of the probability that each image is real, shape (B,)."""
        return cast(Tensor, self.discriminator(x.flatten(1))).squeeze(1)

    def forward(self, z: Tensor) -> Tensor:
        """Codes to images, as `decode`."""
        return self.decode(z)


class Classifier(nn.Module):
    """A small convolutional network in the manner of LeNet-5 (LeCun et al. 1998, section II.B).

    Its last hidden layer, 84 numbers, is the feature space of the LeNet-FID and of precision and recall. Images are
    float32 in [0, 1], shape (B, 784) or (B, 1, 28, 28).
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        check_sizes(classes=classes)
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.hidden = nn.Linear(32 * 5 * 5, 84)
        self.out = nn.Linear(84, classes)

    def features(self, x: Tensor) -> Tensor:
        """Images to the last hidden layer, after its ReLU; shape (B, 84)."""
        parts = x.reshape(-1, 1, 28, 28).split(250)  # all at once takes 100 kB an image
        convolved = torch.cat([self.convolutions(part).flatten(1) for part in parts])
        return torch.relu(self.hidden(convolved))

    def forward(self, x: Tensor) -> Tensor:
        """Images to the logits of the classes, shape (B, classes)."""
        return cast(Tensor, self.out(self.features(x)))


class DenseClassifier(nn.Sequential):
    """A classifier of one hidden layer, small enough for the latent lab: images to the logits of ten classes.

    Images are float32 in [0, 1], shape (B, 784) or (B, 1, 28, 28); the logits have shape (B, 10).
    """

    def __init__(self, hidden_dim: int = 64) -> None:
        check_sizes(hidden_dim=hidden_dim)
        super().__init__(
            nn.Flatten(), nn.Linear(PIXELS, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, 10)
        )
