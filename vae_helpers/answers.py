"""One right answer to each exercise: what `.solution()` shows, and what a learner who is stuck can go on with.

The complete lessons 06 and 07, and lesson 08, have the same lines; a test compares them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class VAE(nn.Module):
    def __init__(self, latent_dim: int = 20) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 400)
        self.fc_mu = nn.Linear(400, latent_dim)
        self.fc_logvar = nn.Linear(400, latent_dim)
        self.fc_dec = nn.Sequential(
            nn.Linear(latent_dim, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid()
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.relu(self.fc1(x))
        return self.fc_mu(h), self.fc_logvar(h)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + std * eps

    def decode(self, z: Tensor) -> Tensor:
        return self.fc_dec(z)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(x.flatten(1))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    return 0.5 * (mu.pow(2) + logvar.exp() - 1 - logvar).sum(dim=1)


def reconstruction_loss(recon_x: Tensor, x: Tensor) -> Tensor:
    return F.binary_cross_entropy(recon_x, x, reduction="sum")


def loss_function(recon_x: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return reconstruction_loss(recon_x, x) + kl_divergence(mu, logvar).sum()


def training_step(model: VAE, optimizer: torch.optim.Optimizer, x: Tensor) -> float:
    optimizer.zero_grad()
    recon_x, mu, logvar = model(x)
    loss = loss_function(recon_x, x.flatten(1), mu, logvar)
    loss.backward()
    optimizer.step()
    return loss.item()


def prior_grid(side: int) -> Tensor:
    shares = (torch.arange(side) + 0.5) / side
    quantiles = torch.distributions.Normal(0.0, 1.0).icdf(shares)
    rows, columns = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    return torch.stack([columns.flatten(), rows.flatten()], dim=1)


def principal_plane(codes: Tensor) -> tuple[Tensor, Tensor]:
    centre = codes.mean(dim=0)
    _, _, axes = torch.linalg.svd(codes - centre, full_matrices=False)
    return centre, axes[:2]


def walk(points: Tensor, steps: int) -> Tensor:
    position = torch.linspace(0, len(points) - 1, steps)
    leg = position.long().clamp(max=len(points) - 2)
    share = (position - leg)[:, None]
    return (1 - share) * points[leg] + share * points[leg + 1]


def importance_weighted(log_w: Tensor) -> Tensor:
    return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))
