"""The models of the course with convolutions in place of the widest layers (lesson 11)."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from .models import GAN, VAE, Autoencoder, check_sizes

CHANNELS = (16, 32)  # after the first and the second convolution: 14 × 14 and 7 × 7 pixels
FLAT = CHANNELS[1] * 7 * 7


def _down(hidden_dim: int, activation: type[nn.Module]) -> list[nn.Module]:
    """Layers from images, shape (B, 784), to (B, hidden_dim): 28 × 28 pixels, then 14 × 14, then 7 × 7."""
    first, second = CHANNELS
    return [
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, first, kernel_size=4, stride=2, padding=1),
        activation(),
        nn.Conv2d(first, second, kernel_size=4, stride=2, padding=1),
        activation(),
        nn.Flatten(),
        nn.Linear(FLAT, hidden_dim),
        activation(),
    ]


def _up(latent_dim: int, hidden_dim: int) -> list[nn.Module]:
    """The layers of the way back: codes, shape (B, latent_dim), to probabilities, shape (B, 784)."""
    first, second = CHANNELS
    return [
        nn.Linear(latent_dim, hidden_dim),
        nn.ReLU(),
        nn.Linear(hidden_dim, FLAT),
        nn.ReLU(),
        nn.Unflatten(1, (second, 7, 7)),
        nn.ConvTranspose2d(second, first, kernel_size=4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(first, 1, kernel_size=4, stride=2, padding=1),
        nn.Sigmoid(),
        nn.Flatten(),
    ]


def _start_evenly(*parts: nn.Sequential) -> None:
    """Draw the weights of dense layers and convolutions so that a signal keeps its size from layer to layer (He et al.
    2015, equation 10).

    With PyTorch's own start it becomes √6 times smaller at each layer with its ReLU, and a network as deep as these
    learns the average image first and, for a long time, nothing else. Transposed convolutions keep PyTorch's start.
    """
    for part in parts:
        for layer in part:
            if isinstance(layer, nn.Linear | nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


class ConvVAE(VAE):
    """A `VAE` whose encoder begins with two convolutions of stride 2, and whose decoder ends with two transposed ones.

    With the default sizes it has 658,169 weights; `VAE()` has 652,824. Images are float32 in [0, 1], shape (B, 784) or
    (B, 1, 28, 28), and `decode` gives probabilities, shape (B, 784).

    Raises:
        TypeError, ValueError: a size is not a whole number of at least 1.
    """

    def __init__(self, latent_dim: int = 20, hidden_dim: int = 200) -> None:
        check_sizes(latent_dim=latent_dim, hidden_dim=hidden_dim)
        nn.Module.__init__(self)
        self.latent_dim = latent_dim
        self.conv = nn.Sequential(*_down(hidden_dim, nn.ReLU))
        self.fc_mu = nn.Linear(hidden_dim, latent_dim)
        self.fc_logvar = nn.Linear(hidden_dim, latent_dim)
        self.fc_dec = nn.Sequential(*_up(latent_dim, hidden_dim))
        _start_evenly(self.conv, self.fc_dec)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images to the mean and the log-variance of q(z|x), both of shape (B, D)."""
        h = self.conv(x.flatten(1))
        return self.fc_mu(h), self.fc_logvar(h)


class ConvAutoencoder(Autoencoder):
    """The network of a `ConvVAE` without the distribution: each image has one code.

    Images are float32 in [0, 1], shape (B, 784) or (B, 1, 28, 28). With the default sizes it has 654,149 weights.

    Raises:
        TypeError, ValueError: a size is not a whole number of at least 1.
    """

    def __init__(self, latent_dim: int = 20, hidden_dim: int = 200) -> None:
        check_sizes(latent_dim=latent_dim, hidden_dim=hidden_dim)
        nn.Module.__init__(self)
        self.latent_dim = latent_dim
        self.conv = nn.Sequential(*_down(hidden_dim, nn.ReLU))
        self.fc_z = nn.Linear(hidden_dim, latent_dim)
        self.fc_dec = nn.Sequential(*_up(latent_dim, hidden_dim))
        _start_evenly(self.conv, self.fc_dec)

    def encode(self, x: Tensor) -> Tensor:
        """Images to codes, shape (B, D)."""
        return cast(Tensor, self.fc_z(self.conv(x.flatten(1))))


class ConvGAN(GAN):
    """A `GAN` whose generator is the decoder of a `ConvVAE` with normalised batches, and whose discriminator its
    encoder with leaky ReLUs (Radford et al. 2016) and, as in `GAN`, dropout. With the default sizes it has 653,898
    weights. Codes and images have the shapes that `GAN` describes.

    Raises:
        TypeError, ValueError: a size is not a whole number of at least 1.
    """

    def __init__(self, latent_dim: int = 20, hidden_dim: int = 200) -> None:
        super().__init__(latent_dim, hidden_dim)
        up, down = _up(latent_dim, hidden_dim), _down(hidden_dim, nn.ReLU)
        up.insert(1, nn.BatchNorm1d(hidden_dim))
        up.insert(4, nn.BatchNorm1d(FLAT))
        up.insert(8, nn.BatchNorm2d(CHANNELS[0]))
        self.generator = nn.Sequential(*up)
        leaky: list[nn.Module] = []
        for layer in down:
            if isinstance(layer, nn.ReLU):
                leaky += [nn.LeakyReLU(0.2), nn.Dropout(0.3)]
            else:
                leaky.append(layer)
        self.discriminator = nn.Sequential(*leaky, nn.Linear(hidden_dim, 1))


def count_weights(model: nn.Module) -> int:
    """How many numbers a model has to learn, biases included."""
    return sum(p.numel() for p in model.parameters())
