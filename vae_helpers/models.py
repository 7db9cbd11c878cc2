"""The fully connected models of the course. They take images and give images; no loss, no plot."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PIXELS = 784  # 28 × 28


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"{name} must be a whole number, not {size!r}.")
        if size < 1:
            raise ValueError(f"{name} must be at least 1, not {size}.")


class _ImageDecoder(nn.Module):
    """What both models share: the decoder, a hidden layer and one probability for each pixel."""

    fc_dec: nn.Sequential

    def decode(self, z: Tensor) -> Tensor:
        """Codes, shape (B, D), to images: probabilities, shape (B, 784)."""
        probabilities: Tensor = self.fc_dec(z)
        return probabilities

    def decode_logits(self, z: Tensor) -> Tensor:
        """The decoder's output before its last layer, the sigmoid; shape (B, 784)."""
        for layer in list(self.fc_dec)[:-1]:
            z = layer(z)
        return z


def _decoder(latent_dim: int, hidden_dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(latent_dim, hidden_dim),
        nn.ReLU(),
        nn.Linear(hidden_dim, PIXELS),
        nn.Sigmoid(),
    )


class VAE(_ImageDecoder):
    """A Variational Autoencoder for images of 28 × 28 pixels (Kingma and Welling 2014, appendix C).

    The encoder gives the mean and the log-variance of q(z|x); the decoder gives for each pixel the
    probability of p(x|z). Images are float32 in [0, 1], shape (B, 784) or (B, 1, 28, 28).

    Raises:
        TypeError, ValueError: a size is not a whole number of at least 1.
    """

    def __init__(self, latent_dim: int = 20, hidden_dim: int = 400) -> None:
        super().__init__()
        _check_sizes(latent_dim=latent_dim, hidden_dim=hidden_dim)
        self.latent_dim = latent_dim
        self.fc1 = nn.Linear(PIXELS, hidden_dim)
        self.fc_mu = nn.Linear(hidden_dim, latent_dim)
        self.fc_logvar = nn.Linear(hidden_dim, latent_dim)
        self.fc_dec = _decoder(latent_dim, hidden_dim)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images to the mean and the log-variance of q(z|x), both of shape (B, D)."""
        h = torch.relu(self.fc1(x.flatten(1)))
        return self.fc_mu(h), self.fc_logvar(h)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """Draw z = μ + σ·ε with ε ~ N(0, I), shape (B, D) (Kingma and Welling 2014, section 2.4)."""
        std = torch.exp(0.5 * logvar)
        return mu + std * torch.randn_like(std)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images to their reconstructions (probabilities, shape (B, 784)), mean and log-variance."""
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


class Autoencoder(_ImageDecoder):
    """The same network without the distribution: each image has one code.

    Images are float32 in [0, 1], shape (B, 784) or (B, 1, 28, 28).

    Raises:
        TypeError, ValueError: a size is not a whole number of at least 1.
    """

    def __init__(self, latent_dim: int = 20, hidden_dim: int = 400) -> None:
        super().__init__()
        _check_sizes(latent_dim=latent_dim, hidden_dim=hidden_dim)
        self.latent_dim = latent_dim
        self.fc1 = nn.Linear(PIXELS, hidden_dim)
        self.fc_z = nn.Linear(hidden_dim, latent_dim)
        self.fc_dec = _decoder(latent_dim, hidden_dim)

    def encode(self, x: Tensor) -> Tensor:
        """Images to codes, shape (B, D)."""
        code: Tensor = self.fc_z(torch.relu(self.fc1(x.flatten(1))))
        return code

    def forward(self, x: Tensor) -> Tensor:
        """Images to their reconstructions: probabilities, shape (B, 784)."""
        return self.decode(self.encode(x))
