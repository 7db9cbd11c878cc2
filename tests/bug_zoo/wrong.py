"""Wrong answers to the exercises, as people write them, each under the name that its check must give it."""

import copy
import itertools
import math

import torch
import torch.nn.functional as F
from right import Resized
from torch import nn

from vae_helpers import ConvVAE
from vae_helpers.answers import (
    VAE,
    kl_divergence,
    loss_function,
    prior_grid,
    reconstruction_loss,
    walk,
)

WRONG = []  # (check, name in the zoo, answer)


def wrong(check, name):
    def keep(answer):
        WRONG.append((check, name, answer))
        return answer

    return keep


# --- kl_divergence ------------------------------------------------------------------------------


@wrong("kl_divergence", "nothing-returned")
def kl_without_return(mu, logvar):
    0.5 * (mu.pow(2) + logvar.exp() - 1 - logvar).sum(dim=1)


@wrong("kl_divergence", "kl-mean-over-latents")
def kl_mean(mu, logvar):
    return -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)


@wrong("kl_divergence", "kl-wrong-axis")
def kl_axis_0(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=0)


@wrong("kl_divergence", "kl-over-batch")
def kl_sum_of_all(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


@wrong("kl_divergence", "kl-over-batch")
def kl_mean_of_batch(mu, logvar):
    return torch.mean(-0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1), dim=0)


@wrong("kl_divergence", "kl-not-summed")
def kl_unreduced(mu, logvar):
    return -0.5 * (1 + logvar - mu.pow(2) - logvar.exp())


@wrong("kl_divergence", "wrong-shape")
def kl_as_column(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1, keepdim=True)


@wrong("kl_divergence", "kl-sign")
def kl_plus_half(mu, logvar):
    return 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)


@wrong("kl_divergence", "kl-sign")
def kl_sign_and_half(mu, logvar):
    return (1 + logvar - mu.pow(2) - logvar.exp()).sum(1)


@wrong("kl_divergence", "kl-half-missing")
def kl_no_half(mu, logvar):
    return -torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)


@wrong("kl_divergence", "kl-half-missing")
def kl_added_twice(mu, logvar):
    kl = kl_divergence(mu, logvar)
    return kl + kl


@wrong("kl_divergence", "kl-scaled")
def kl_quarter(mu, logvar):
    return 0.25 * torch.sum(mu.pow(2) + logvar.exp() - 1 - logvar, dim=1)


@wrong("kl_divergence", "kl-mu-not-squared")
def kl_mu_plain(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu - logvar.exp(), dim=1)


@wrong("kl_divergence", "kl-sigma-for-variance")
def kl_sigma(mu, logvar):
    std = torch.exp(0.5 * logvar)
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - std, dim=1)


@wrong("kl_divergence", "kl-sigma-cancels")
def kl_no_exponential(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar, dim=1)


@wrong("kl_divergence", "kl-sigma-cancels")
def kl_two_exponentials(mu, logvar):
    return -0.5 * torch.sum(1 + logvar.exp() - mu.pow(2) - logvar.exp(), dim=1)


@wrong("kl_divergence", "kl-exponential-misplaced")
def kl_exchanged_exponential(mu, logvar):
    return -0.5 * torch.sum(1 + logvar.exp() - mu.pow(2) - logvar, dim=1)


@wrong("kl_divergence", "kl-log-sigma")
def kl_log_of_std(mu, logvar):
    std = torch.exp(0.5 * logvar)
    return 0.5 * torch.sum(mu**2 + std**2 - 1 - torch.log(std), dim=1)


@wrong("kl_divergence", "kl-variance-squared")
def kl_square_of_variance(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp().pow(2), dim=1)


@wrong("kl_divergence", "kl-logvar-is-log-sigma")
def kl_from_log_sigma(mu, log_sigma):
    return 0.5 * torch.sum(mu**2 + torch.exp(2 * log_sigma) - 1 - 2 * log_sigma, dim=1)


@wrong("kl_divergence", "kl-logvar-is-std")
def kl_from_std(mu, std):
    return 0.5 * torch.sum(mu**2 + std**2 - 1 - torch.log(std**2), dim=1)


@wrong("kl_divergence", "kl-logvar-is-std")
def kl_from_std_with_its_log(mu, std):
    return 0.5 * torch.sum(mu**2 + std**2 - 1 - 2 * torch.log(std), dim=1)


@wrong("kl_divergence", "kl-logvar-is-std")
def kl_from_std_log_not_doubled(mu, std):
    return 0.5 * torch.sum(mu**2 + std**2 - 1 - torch.log(std), dim=1)


@wrong("kl_divergence", "kl-logvar-is-variance")
def kl_from_variance(mu, var):
    return 0.5 * torch.sum(mu**2 + var - 1 - torch.log(var), dim=1)


@wrong("kl_divergence", "kl-swapped-arguments")
def kl_swapped(logvar, mu):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)


@wrong("kl_divergence", "kl-reversed")
def kl_prior_first(mu, logvar):
    q = torch.distributions.Normal(mu, torch.exp(0.5 * logvar))
    p = torch.distributions.Normal(torch.zeros_like(mu), torch.ones_like(mu))
    return torch.distributions.kl_divergence(p, q).sum(dim=1)


@wrong("kl_divergence", "kl-mu-missing")
def kl_spread_only(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - logvar.exp(), dim=1)


@wrong("kl_divergence", "kl-variance-missing")
def kl_no_variance(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2), dim=1)


@wrong("kl_divergence", "kl-logvar-missing")
def kl_no_logvar(mu, logvar):
    return -0.5 * torch.sum(1 - mu.pow(2) - logvar.exp(), dim=1)


@wrong("kl_divergence", "kl-term-sign")
def kl_bracket_slip(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) + logvar.exp(), dim=1)


@wrong("kl_divergence", "kl-term-sign")
def kl_mu_sign(mu, logvar):
    return -0.5 * torch.sum(1 + logvar + mu.pow(2) - logvar.exp(), dim=1)


@wrong("kl_divergence", "kl-term-sign")
def kl_two_signs(mu, logvar):
    return 0.5 * torch.sum(1 + logvar + mu.pow(2) - logvar.exp(), dim=1)


@wrong("kl_divergence", "inputs-changed")
def kl_in_place(mu, logvar):
    return 0.5 * (mu.pow_(2) + logvar.exp() - 1 - logvar).sum(dim=1)


@wrong("kl_divergence", "kl-mu-not-squared")
def kl_mu_plain_no_half(mu, logvar):
    return -torch.sum(1 + logvar - mu - logvar.exp(), dim=1)


# --- reconstruction_loss ------------------------------------------------------------------------


@wrong("reconstruction_loss", "nothing-returned")
def recon_without_return(recon_x, x):
    F.binary_cross_entropy(recon_x, x, reduction="sum")


@wrong("reconstruction_loss", "recon-averaged")
def recon_default_reduction(recon_x, x):
    return F.binary_cross_entropy(recon_x, x)


@wrong("reconstruction_loss", "recon-averaged")
def recon_mean_over_pixels(recon_x, x):
    return F.binary_cross_entropy(recon_x, x, reduction="none").mean(dim=1).sum()


@wrong("reconstruction_loss", "recon-averaged")
def recon_mse_mean(recon_x, x):
    return F.mse_loss(recon_x, x)


@wrong("reconstruction_loss", "recon-averaged")
def recon_mse_over_pixels(recon_x, x):
    return ((recon_x - x) ** 2).mean(dim=1).sum()


@wrong("reconstruction_loss", "recon-averaged-over-batch")
def recon_batch_mean(recon_x, x):
    return F.binary_cross_entropy(recon_x, x, reduction="sum") / len(x)


@wrong("reconstruction_loss", "recon-averaged-over-batch")
def recon_mse_batch_mean(recon_x, x):
    return F.mse_loss(recon_x, x, reduction="sum") / len(x)


@wrong("reconstruction_loss", "recon-scaled")
def recon_hundredfold(recon_x, x):
    return 100 * F.binary_cross_entropy(recon_x, x, reduction="sum")


@wrong("reconstruction_loss", "recon-per-image")
def recon_each_image(recon_x, x):
    return F.binary_cross_entropy(recon_x, x, reduction="none").sum(dim=1)


@wrong("reconstruction_loss", "recon-not-reduced")
def recon_each_pixel(recon_x, x):
    return F.binary_cross_entropy(recon_x, x, reduction="none")


@wrong("reconstruction_loss", "recon-sign")
def recon_log_likelihood(recon_x, x):
    return torch.sum(x * torch.log(recon_x) + (1 - x) * torch.log(1 - recon_x))


@wrong("reconstruction_loss", "recon-swapped")
def recon_swapped(recon_x, x):
    return F.binary_cross_entropy(x, recon_x, reduction="sum")


@wrong("reconstruction_loss", "recon-swapped")
def recon_swapped_mean(recon_x, x):
    return F.binary_cross_entropy(x, recon_x)


@wrong("reconstruction_loss", "recon-half-missing")
def recon_bright_only(recon_x, x):
    return -(x * torch.log(recon_x)).sum()


@wrong("reconstruction_loss", "recon-half-missing")
def recon_dark_only(recon_x, x):
    return -((1 - x) * torch.log(1 - recon_x)).sum()


@wrong("reconstruction_loss", "two-sigmoids")
def recon_with_logits(recon_x, x):
    return F.binary_cross_entropy_with_logits(recon_x, x, reduction="sum")


@wrong("reconstruction_loss", "targets-rescaled")
def recon_targets_to_minus_one(recon_x, x):
    x = 2 * x - 1
    return -(x * torch.log(recon_x) + (1 - x) * torch.log(1 - recon_x)).sum()


@wrong("reconstruction_loss", "targets-rescaled")
def recon_targets_normalized(recon_x, x):
    x = (x - 0.1307) / 0.3081
    return -(x * torch.log(recon_x) + (1 - x) * torch.log(1 - recon_x)).sum()


@wrong("reconstruction_loss", "fixed-batch")
def recon_view_128(recon_x, x):
    return F.binary_cross_entropy(recon_x.view(128, 784), x.view(128, 784), reduction="sum")


@wrong("reconstruction_loss", "targets-rescaled")
def recon_targets_of_a_byte(recon_x, x):
    x = 255 * x
    return -(x * torch.log(recon_x) + (1 - x) * torch.log(1 - recon_x)).sum()


@wrong("reconstruction_loss", "targets-rescaled")
def recon_targets_divided_twice(recon_x, x):
    return F.binary_cross_entropy(recon_x, x / 255, reduction="sum")


@wrong("reconstruction_loss", "two-sigmoids")
def recon_with_logits_batch_mean(recon_x, x):
    return F.binary_cross_entropy_with_logits(recon_x, x, reduction="sum") / len(x)


@wrong("reconstruction_loss", "two-sigmoids")
def recon_with_logits_over_pixels(recon_x, x):
    return F.binary_cross_entropy_with_logits(recon_x, x, reduction="none").mean(dim=1).sum()


@wrong("reconstruction_loss", "recon-half-missing")
def recon_bright_only_no_minus(recon_x, x):
    return (x * torch.log(recon_x)).sum()


@wrong("reconstruction_loss", "input-ignored")
def recon_constant(recon_x, x):
    return torch.tensor(543.0)


# --- loss_function ------------------------------------------------------------------------------


@wrong("loss_function", "nothing-returned")
def loss_without_return(recon_x, x, mu, logvar):
    reconstruction_loss(recon_x, x) + kl_divergence(mu, logvar).sum()


@wrong("loss_function", "loss-not-one-number")
def loss_per_image(recon_x, x, mu, logvar):
    cross_entropy = F.binary_cross_entropy(recon_x, x, reduction="none").sum(dim=1)
    return cross_entropy + kl_divergence(mu, logvar)


@wrong("loss_function", "loss-not-one-number")
def loss_broadcast(recon_x, x, mu, logvar):
    return reconstruction_loss(recon_x, x) + kl_divergence(mu, logvar)


@wrong("loss_function", "loss-sign")
def loss_is_elbo(recon_x, x, mu, logvar):
    return -reconstruction_loss(recon_x, x) - kl_divergence(mu, logvar).sum()


@wrong("loss_function", "kl-sign")
def loss_minus_kl(recon_x, x, mu, logvar):
    return reconstruction_loss(recon_x, x) - kl_divergence(mu, logvar).sum()


@wrong("loss_function", "kl-sign")
def loss_kl_plus_half(recon_x, x, mu, logvar):
    return reconstruction_loss(recon_x, x) + 0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())


@wrong("loss_function", "recon-sign")
def loss_minus_recon(recon_x, x, mu, logvar):
    return kl_divergence(mu, logvar).sum() - reconstruction_loss(recon_x, x)


@wrong("loss_function", "kl-missing")
def loss_recon_only(recon_x, x, mu, logvar):
    return reconstruction_loss(recon_x, x)


@wrong("loss_function", "recon-missing")
def loss_kl_only(recon_x, x, mu, logvar):
    return kl_divergence(mu, logvar).sum()


@wrong("loss_function", "recon-averaged")
def loss_mean_bce(recon_x, x, mu, logvar):
    return F.binary_cross_entropy(recon_x, x) + kl_divergence(mu, logvar).mean()


@wrong("loss_function", "recon-averaged")
def loss_mean_bce_sum_kl(recon_x, x, mu, logvar):
    return F.binary_cross_entropy(recon_x, x) + kl_divergence(mu, logvar).sum()


@wrong("loss_function", "recon-averaged")
def loss_all_means(recon_x, x, mu, logvar):
    kl = -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp())
    return F.binary_cross_entropy(recon_x, x) + kl


@wrong("loss_function", "recon-averaged")
def loss_mse_mean(recon_x, x, mu, logvar):
    return F.mse_loss(recon_x, x) + kl_divergence(mu, logvar).mean()


@wrong("loss_function", "recon-averaged-over-batch")
def loss_recon_batch_mean(recon_x, x, mu, logvar):
    return reconstruction_loss(recon_x, x) / len(x) + kl_divergence(mu, logvar).sum()


@wrong("loss_function", "kl-too-weak")
def loss_kl_batch_mean(recon_x, x, mu, logvar):
    return reconstruction_loss(recon_x, x) + kl_divergence(mu, logvar).mean()


@wrong("loss_function", "kl-too-weak")
def loss_kl_mean_of_all(recon_x, x, mu, logvar):
    kl = -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp())
    return reconstruction_loss(recon_x, x) + kl


@wrong("loss_function", "kl-too-weak")
def loss_small_weight(recon_x, x, mu, logvar):
    return reconstruction_loss(recon_x, x) + 0.001 * kl_divergence(mu, logvar).sum()


@wrong("loss_function", "kl-too-strong")
def loss_large_weight(recon_x, x, mu, logvar):
    return reconstruction_loss(recon_x, x) + 4 * kl_divergence(mu, logvar).sum()


@wrong("loss_function", "kl-mean-over-latents")
def loss_mean_over_latents(recon_x, x, mu, logvar):
    kl = -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)
    return reconstruction_loss(recon_x, x) + kl.sum()


@wrong("loss_function", "kl-half-missing")
def loss_kl_twice(recon_x, x, mu, logvar):
    kl = kl_divergence(mu, logvar).sum()
    return reconstruction_loss(recon_x, x) + kl + kl


@wrong("loss_function", "weight-on-reconstruction")
def loss_weight_on_recon(recon_x, x, mu, logvar):
    return 4 * reconstruction_loss(recon_x, x) + kl_divergence(mu, logvar).sum()


@wrong("loss_function", "terms-multiplied")
def loss_product(recon_x, x, mu, logvar):
    return reconstruction_loss(recon_x, x) * kl_divergence(mu, logvar).sum()


@wrong("loss_function", "kl-sigma-for-variance")
def loss_sigma(recon_x, x, mu, logvar):
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - torch.exp(0.5 * logvar))
    return reconstruction_loss(recon_x, x) + kl


@wrong("loss_function", "kl-mu-not-squared")
def loss_mu_plain(recon_x, x, mu, logvar):
    return reconstruction_loss(recon_x, x) - 0.5 * torch.sum(1 + logvar - mu - logvar.exp())


@wrong("loss_function", "kl-sigma-cancels")
def loss_no_exponential(recon_x, x, mu, logvar):
    return reconstruction_loss(recon_x, x) - 0.5 * torch.sum(1 + logvar - mu**2 - logvar)


@wrong("loss_function", "kl-swapped-arguments")
def loss_swapped_kl(recon_x, x, mu, logvar):
    return reconstruction_loss(recon_x, x) + kl_divergence(logvar, mu).sum()


@wrong("loss_function", "two-sigmoids")
def loss_with_logits(recon_x, x, mu, logvar):
    cross_entropy = F.binary_cross_entropy_with_logits(recon_x, x, reduction="sum")
    return cross_entropy + kl_divergence(mu, logvar).sum()


@wrong("loss_function", "recon-swapped")
def loss_swapped_recon(recon_x, x, mu, logvar):
    return F.binary_cross_entropy(x, recon_x, reduction="sum") + kl_divergence(mu, logvar).sum()


@wrong("loss_function", "recon-half-missing")
def loss_bright_only(recon_x, x, mu, logvar):
    return -(x * recon_x.log()).sum() + kl_divergence(mu, logvar).sum()


@wrong("loss_function", "inputs-changed")
def loss_in_place(recon_x, x, mu, logvar):
    kl = -0.5 * torch.sum(1 + logvar - mu.pow_(2) - logvar.exp())
    return reconstruction_loss(recon_x, x) + kl


# --- reparameterize -----------------------------------------------------------------------------


@wrong("reparameterize", "nothing-returned")
def z_without_return(mu, logvar):
    mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)


@wrong("reparameterize", "wrong-shape")
def z_with_noise(mu, logvar):
    eps = torch.randn_like(mu)
    return mu + torch.exp(0.5 * logvar) * eps, eps


@wrong("reparameterize", "std-is-exp-logvar")
def z_variance_for_std(mu, logvar):
    return mu + torch.exp(logvar) * torch.randn_like(mu)


@wrong("reparameterize", "std-is-logvar")
def z_logvar_for_std(mu, logvar):
    return mu + logvar * torch.randn_like(mu)


@wrong("reparameterize", "std-is-softplus")
def z_softplus(mu, logvar):
    return mu + F.softplus(logvar) * torch.randn_like(mu)


@wrong("reparameterize", "std-is-sqrt")
def z_root(mu, logvar):
    return mu + torch.sqrt(logvar) * torch.randn_like(mu)


@wrong("reparameterize", "std-is-sqrt")
def z_root_of_size(mu, logvar):
    return mu + torch.sqrt(logvar.abs()) * torch.randn_like(mu)


@wrong("reparameterize", "std-ignored")
def z_no_std(mu, logvar):
    return mu + torch.randn_like(logvar)


@wrong("reparameterize", "std-sign")
def z_negative_exponent(mu, logvar):
    return mu + torch.exp(-0.5 * logvar) * torch.randn_like(mu)


@wrong("reparameterize", "mu-sigma-exchanged")
def z_exchanged(mu, logvar):
    return torch.exp(0.5 * logvar) + mu * torch.randn_like(mu)


@wrong("reparameterize", "mu-ignored")
def z_around_zero(mu, logvar):
    return torch.exp(0.5 * logvar) * torch.randn_like(mu)


@wrong("reparameterize", "noise-forgotten")
def z_is_mu(mu, logvar):
    return mu


@wrong("reparameterize", "noise-forgotten")
def z_noise_is_zero(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.zeros_like(mu)


@wrong("reparameterize", "noise-uniform")
def z_uniform(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.rand_like(mu)


@wrong("reparameterize", "noise-uniform")
def z_uniform_centred(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * (2 * torch.rand_like(mu) - 1)


@wrong("reparameterize", "noise-uniform")
def z_uniform_with_unit_variance(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * (torch.rand_like(mu) - 0.5) * math.sqrt(12)


@wrong("reparameterize", "noise-not-normal")
def z_laplace(mu, logvar):
    eps = torch.distributions.Laplace(0.0, 0.5**0.5).sample(mu.shape).to(mu.dtype)
    return mu + torch.exp(0.5 * logvar) * eps


@wrong("reparameterize", "noise-not-normal")
def z_coin(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu).sign()


@wrong("reparameterize", "noise-scale")
def z_small_noise(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * 0.1 * torch.randn_like(mu)


@wrong("reparameterize", "noise-scale")
def z_noise_off_by_5_percent(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * 1.05 * torch.randn_like(mu)


@wrong("reparameterize", "noise-shifted")
def z_shifted_noise(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * (torch.randn_like(mu) + 0.3)


@wrong("reparameterize", "noise-one-for-batch")
def z_one_row_of_noise(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.randn(mu.shape[1], dtype=mu.dtype)


@wrong("reparameterize", "noise-one-for-batch")
def z_one_number(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.randn(1, dtype=mu.dtype)


@wrong("reparameterize", "noise-one-for-latents")
def z_one_column_of_noise(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.randn(len(mu), 1, dtype=mu.dtype)


@wrong("reparameterize", "noise-repeats")
def z_seeded_inside(mu, logvar):
    torch.manual_seed(0)
    return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)


@wrong("reparameterize", "gradient-lost")
def z_sampled(mu, logvar):
    return torch.distributions.Normal(mu, torch.exp(0.5 * logvar)).sample()


@wrong("reparameterize", "gradient-lost")
def z_no_grad(mu, logvar):
    with torch.no_grad():
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)


@wrong("reparameterize", "gradient-to-mu-lost")
def z_mu_detached(mu, logvar):
    return mu.detach() + torch.exp(0.5 * logvar) * torch.randn_like(mu)


@wrong("reparameterize", "gradient-to-sigma-lost")
def z_sigma_detached(mu, logvar):
    return mu + torch.exp(0.5 * logvar).detach() * torch.randn_like(mu)


@wrong("reparameterize", "gradient-to-sigma-lost")
def z_sigma_as_data(mu, logvar):
    return mu + torch.exp(0.5 * logvar.data) * torch.randn_like(mu)


@wrong("reparameterize", "inputs-changed")
def z_in_place(mu, logvar):
    std = logvar.mul_(0.5).exp()
    return mu + std * torch.randn_like(std)


@wrong("reparameterize", "fixed-batch")
def z_fixed_size(mu, logvar):
    eps = torch.randn_like(mu)
    return (mu + torch.exp(0.5 * logvar) * eps).view(128, -1)


# --- encode and decode: the method is what is wrong ----------------------------------------------


@wrong("encode", "nothing-returned")
class EncodeWithoutReturn(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x))
        self.fc_mu(h), self.fc_logvar(h)


@wrong("encode", "one-output")
class EncodeMuOnly(VAE):
    def encode(self, x):
        return self.fc_mu(torch.relu(self.fc1(x)))


@wrong("encode", "one-output")
class EncodeThree(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x))
        return h, self.fc_mu(h), self.fc_logvar(h)


@wrong("encode", "one-output")
class EncodeOneInATuple(VAE):
    def encode(self, x):
        return (self.fc_mu(torch.relu(self.fc1(x))),)


@wrong("encode", "wrong-shape")
class EncodeColumns(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x))
        return self.fc_mu(h).unsqueeze(2), self.fc_logvar(h).unsqueeze(2)


@wrong("encode", "not-finite")
class EncodeLogOfTheLayer(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x))
        return self.fc_mu(h), torch.log(self.fc_logvar(h) + 5)


@wrong("encode", "one-layer-for-both")
class EncodeOneLayer(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x))
        return self.fc_mu(h), self.fc_mu(h)


@wrong("encode", "one-layer-for-both")
class EncodeChained(VAE):
    def encode(self, x):
        mu = self.fc_mu(torch.relu(self.fc1(x)))
        return mu, 2 * mu


@wrong("encode", "mu-logvar-exchanged")
class EncodeExchanged(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x))
        return self.fc_logvar(h), self.fc_mu(h)


@wrong("encode", "activation-on-mu")
class EncodeReluMu(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x))
        return torch.relu(self.fc_mu(h)), self.fc_logvar(h)


@wrong("encode", "activation-on-mu")
class EncodeTanhMu(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x))
        return torch.tanh(self.fc_mu(h)), self.fc_logvar(h)


@wrong("encode", "activation-on-logvar")
class EncodeReluLogvar(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x))
        return self.fc_mu(h), torch.relu(self.fc_logvar(h))


@wrong("encode", "activation-on-logvar")
class EncodeSoftplusLogvar(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x))
        return self.fc_mu(h), F.softplus(self.fc_logvar(h))


@wrong("encode", "activation-on-logvar")
class EncodeTanhLogvar(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x))
        return self.fc_mu(h), torch.tanh(self.fc_logvar(h))


@wrong("encode", "activation-on-logvar")
class EncodeSigmoidLogvar(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x))
        return self.fc_mu(h), torch.sigmoid(self.fc_logvar(h))


@wrong("encode", "fixed-batch")
class EncodeFixedBatch(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x.view(128, -1)))
        return self.fc_mu(h), self.fc_logvar(h)


@wrong("encode", "layout-mixed-up")
class EncodeMixedUp(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x.t().reshape(-1, 784)))
        return self.fc_mu(h), self.fc_logvar(h)


@wrong("encode", "input-ignored")
class EncodeIgnoresImage(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(torch.zeros_like(x)))
        return self.fc_mu(h), self.fc_logvar(h)


@wrong("decode", "nothing-returned")
class DecodeWithoutReturn(VAE):
    def decode(self, z):
        self.fc_dec(z)


@wrong("decode", "no-sigmoid")
class DecodeLogits(VAE):
    def decode(self, z):
        return self.fc_dec[:-1](z)


@wrong("decode", "no-sigmoid")
class DecodeTanh(VAE):
    def decode(self, z):
        return torch.tanh(self.fc_dec[:-1](z))


@wrong("decode", "no-sigmoid")
class DecodeRelu(VAE):
    def decode(self, z):
        return torch.relu(self.fc_dec[:-1](z))


@wrong("decode", "two-sigmoids")
class DecodeTwice(VAE):
    def decode(self, z):
        return torch.sigmoid(self.fc_dec(z))


@wrong("decode", "softmax-over-pixels")
class DecodeSoftmax(VAE):
    def decode(self, z):
        return torch.softmax(self.fc_dec[:-1](z), dim=1)


@wrong("decode", "decode-random")
class DecodeDraws(VAE):
    def decode(self, z):
        return torch.bernoulli(self.fc_dec(z))


@wrong("decode", "not-finite")
class DecodeNearCodesOnly(VAE):
    def decode(self, z):
        return self.fc_dec(z) * torch.sqrt(1 - z.norm(dim=1, keepdim=True) / 60)


@wrong("decode", "wrong-shape")
class DecodeOneImage(VAE):
    def decode(self, z):
        return self.fc_dec(z).reshape(-1, 1, 28, 28)


@wrong("decode", "wrong-shape")
class EvenWindows(Resized):
    """Windows of 4 that leave 14 pixels at 13 and 26 at 25."""

    def __init__(self, latent_dim=20):
        super().__init__(latent_dim, window=4)


@wrong("decode", "wrong-shape")
class HalvedOnceTooOften(ConvVAE):
    """7 pixels halved are 3, and 3 doubled three times are 24."""

    def __init__(self, latent_dim=20):
        super().__init__(latent_dim)
        up = [nn.Linear(latent_dim, 8 * 9), nn.ReLU(), nn.Unflatten(1, (8, 3, 3))]
        for before, after in ((8, 8), (8, 8), (8, 1)):
            up += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
        self.fc_dec = nn.Sequential(*up, nn.Sigmoid(), nn.Flatten())


@wrong("decode", "no-sigmoid")
class ConvolvedLogits(ConvVAE):
    def __init__(self, latent_dim=20):
        super().__init__(latent_dim)
        self.fc_dec = nn.Sequential(*self.fc_dec[:-2], nn.Flatten())


@wrong("decode", "fixed-batch")
class DecodeFixedBatch(VAE):
    def decode(self, z):
        return self.fc_dec(z.view(128, -1))


@wrong("decode", "layout-mixed-up")
class DecodeMixedUp(VAE):
    def decode(self, z):
        return self.fc_dec(z).t().reshape(-1, 784)


@wrong("decode", "input-ignored")
class DecodeIgnoresCode(VAE):
    def decode(self, z):
        return self.fc_dec(torch.ones_like(z))


# --- the class: forward, and the methods inside it ------------------------------------------------


@wrong("vae", "forward-wrong")
class ForwardImageOnly(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x.flatten(1))
        return self.decode(self.reparameterize(mu, logvar))


@wrong("vae", "forward-wrong")
class ForwardOrder(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x.flatten(1))
        return mu, logvar, self.decode(self.reparameterize(mu, logvar))


@wrong("vae", "forward-wrong")
class ForwardOrderOfTwo(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x.flatten(1))
        return self.decode(self.reparameterize(mu, logvar)), logvar, mu


@wrong("vae", "forward-wrong")
class ForwardGivesCode(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x.flatten(1))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), z, logvar


@wrong("vae", "nothing-returned")
class ForwardWithoutReturn(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x.flatten(1))
        self.decode(self.reparameterize(mu, logvar))


@wrong("vae", "noise-forgotten")
class ForwardDecodesMu(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x.flatten(1))
        return self.decode(mu), mu, logvar


@wrong("vae", "std-is-exp-logvar")
class VariesTooMuch(VAE):
    def reparameterize(self, mu, logvar):
        return mu + torch.exp(logvar) * torch.randn_like(mu)


@wrong("vae", "activation-on-logvar")
class PositiveLogvar(EncodeReluLogvar):
    pass


@wrong("vae", "no-sigmoid")
class WithoutSigmoid(VAE):
    def __init__(self, latent_dim=20):
        super().__init__(latent_dim)
        self.fc_dec = nn.Sequential(nn.Linear(latent_dim, 400), nn.ReLU(), nn.Linear(400, 784))


# --- training_step --------------------------------------------------------------------------------


@wrong("training_step", "nothing-returned")
def step_without_return(model, optimizer, x):
    optimizer.zero_grad()
    loss = loss_function(*in_order(model, x))
    loss.backward()
    optimizer.step()


def in_order(model, x):
    recon_x, mu, logvar = model(x)
    return recon_x, x.flatten(1), mu, logvar


@wrong("training_step", "zero-grad-forgotten")
def step_accumulates(model, optimizer, x):
    loss = loss_function(*in_order(model, x))
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong("training_step", "step-before-backward")
def step_first(model, optimizer, x):
    optimizer.zero_grad()
    loss = loss_function(*in_order(model, x))
    optimizer.step()
    loss.backward()
    return loss.item()


@wrong("training_step", "gradients-cleared-too-late")
def step_clears_late(model, optimizer, x):
    loss = loss_function(*in_order(model, x))
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


@wrong("training_step", "backward-missing")
def step_no_backward(model, optimizer, x):
    optimizer.zero_grad()
    loss = loss_function(*in_order(model, x))
    optimizer.step()
    return loss.item()


@wrong("training_step", "step-missing")
def step_no_step(model, optimizer, x):
    optimizer.zero_grad()
    loss = loss_function(*in_order(model, x))
    loss.backward()
    return loss.item()


@wrong("training_step", "steps-too-many")
def step_twice(model, optimizer, x):
    for _ in range(2):
        optimizer.zero_grad()
        loss = loss_function(*in_order(model, x))
        loss.backward()
        optimizer.step()
    return loss.item()


@wrong("training_step", "loss-keeps-graph")
def step_returns_tensor(model, optimizer, x):
    optimizer.zero_grad()
    loss = loss_function(*in_order(model, x))
    loss.backward()
    optimizer.step()
    return loss


@wrong("training_step", "batch-ignored")
def step_on_other_images(model, optimizer, x):
    x = torch.full_like(x, 0.5)
    optimizer.zero_grad()
    loss = loss_function(*in_order(model, x))
    loss.backward()
    optimizer.step()
    return loss.item()


SOME_MODEL = VAE(latent_dim=3)


@wrong("training_step", "model-ignored")
def step_on_other_model(model, optimizer, x):
    other = copy.deepcopy(SOME_MODEL).to(x.dtype)
    optimizer.zero_grad()
    loss = loss_function(*in_order(other, x))
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong("training_step", "step-uphill")
def step_uphill(model, optimizer, x):
    optimizer.zero_grad()
    loss = loss_function(*in_order(model, x))
    (-loss).backward()
    optimizer.step()
    return loss.item()


# --- the mini project -----------------------------------------------------------------------------


@wrong("prior_grid", "grid-evenly-spaced")
def grid_linspace(side):
    axis = torch.linspace(-2, 2, side)
    rows, columns = torch.meshgrid(axis.flip(0), axis, indexing="ij")
    return torch.stack([columns.flatten(), rows.flatten()], dim=1)


@wrong("prior_grid", "grid-at-infinity")
def grid_with_ends(side):
    axis = torch.distributions.Normal(0.0, 1.0).icdf(torch.linspace(0, 1, side))
    return torch.cartesian_prod(axis.flip(0), axis).flip(1)


@wrong("prior_grid", "grid-turned")
def grid_upside_down(side):
    axis = torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(side) + 0.5) / side)
    return torch.cartesian_prod(axis, axis).flip(1)


@wrong("prior_grid", "grid-turned")
def grid_transposed(side):
    return prior_grid(side).flip(1)


@wrong("prior_grid", "wrong-shape")
def grid_as_square(side):
    return prior_grid(side).reshape(side, side, 2)


@wrong("principal_plane", "plane-not-centred")
def plane_from_zero(codes):
    return codes.mean(dim=0), torch.linalg.svd(codes, full_matrices=False)[2][:2]


@wrong("principal_plane", "plane-not-centred")
def plane_at_zero(codes):
    axes = torch.linalg.svd(codes - codes.mean(dim=0), full_matrices=False)[2]
    return torch.zeros_like(codes[0]), axes[:2]


@wrong("principal_plane", "plane-not-centred")
def plane_at_one_code(codes):
    axes = torch.linalg.svd(codes - codes.mean(dim=0), full_matrices=False)[2]
    return codes[0], axes[:2]


@wrong("principal_plane", "plane-not-centred")
def plane_at_the_median(codes):
    axes = torch.linalg.svd(codes - codes.mean(dim=0), full_matrices=False)[2]
    return codes.median(dim=0).values, axes[:2]


@wrong("principal_plane", "plane-weakest")
def plane_of_least_variance(codes):
    _, vectors = torch.linalg.eigh(torch.cov(codes.T))
    return codes.mean(dim=0), vectors.T[:2]


@wrong("principal_plane", "plane-weakest")
def plane_of_two_latents(codes):
    return codes.mean(dim=0), torch.eye(codes.shape[1], dtype=codes.dtype)[:2]


@wrong("principal_plane", "plane-not-orthonormal")
def plane_with_variances(codes):
    _, s, axes = torch.linalg.svd(codes - codes.mean(dim=0), full_matrices=False)
    return codes.mean(dim=0), s[:2, None] * axes[:2]


@wrong("principal_plane", "not-finite")
def plane_around_nothing(codes):
    axes = torch.linalg.svd(codes - codes.mean(dim=0), full_matrices=False)[2]
    return codes[:0].mean(dim=0), axes[:2]


@wrong("principal_plane", "wrong-shape")
def plane_in_columns(codes):
    return codes.mean(dim=0), torch.linalg.svd(codes - codes.mean(dim=0))[2][:2].T


@wrong("walk", "walk-misses-the-end")
def walk_without_the_end(points, steps):
    return walk(points, steps + 1)[:-1]


@wrong("walk", "not-finite")
def walk_through_logarithms(points, steps):
    return walk(points.log(), steps).exp()


@wrong("walk", "walk-skips-points")
def walk_straight(points, steps):
    share = torch.linspace(0, 1, steps, dtype=points.dtype)[:, None]
    return (1 - share) * points[0] + share * points[-1]


@wrong("walk", "wrong-shape")
def walk_whole_steps_for_each_leg(points, steps):
    each = (steps - 1) // (len(points) - 1)
    share = torch.linspace(0, 1, each + 1, dtype=points.dtype)[1:, None]
    legs = itertools.pairwise(points)
    return torch.cat([points[:1], *((1 - share) * a + share * b for a, b in legs)])


# --- what learners wrote ---------------------------------------------------------------------------


@wrong("reconstruction_loss", "loss-without-gradient")
def recon_as_number(recon_x, x):
    return F.binary_cross_entropy(recon_x, x, reduction="sum").item()


@wrong("kl_divergence", "loss-without-gradient")
def kl_detached(mu, logvar):
    return kl_divergence(mu, logvar).detach()


@wrong("loss_function", "loss-without-gradient")
def loss_as_number(recon_x, x, mu, logvar):
    return loss_function(recon_x, x, mu, logvar).item()


@wrong("loss_function", "weight-on-reconstruction")
def loss_sum_of_broadcast(recon_x, x, mu, logvar):
    return (reconstruction_loss(recon_x, x) + kl_divergence(mu, logvar)).sum()


@wrong("reparameterize", "noise-forgotten")
def z_without_eps(mu, logvar):
    return mu + torch.exp(0.5 * logvar)


@wrong("encode", "encode-random")
class EncodeDropsAlways(VAE):
    def encode(self, x):
        h = F.dropout(torch.relu(self.fc1(x)), 0.5)
        return self.fc_mu(h), self.fc_logvar(h)


@wrong("decode", "decode-without-gradient")
class DecodeRounds(VAE):
    def decode(self, z):
        return self.fc_dec(z).round()


@wrong("vae", "not-finite")
class ForwardLogarithm(VAE):
    def forward(self, x):
        recon_x, mu, logvar = super().forward(x)
        return torch.log(recon_x - 1), mu, logvar


@wrong("vae", "images-not-flattened")
class ForwardFlatOnly(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


@wrong("vae", "code-from-other-arguments")
class ForwardSwapsArguments(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x.flatten(1))
        return self.decode(self.reparameterize(logvar, mu)), mu, logvar


@wrong("training_step", "images-not-flattened")
def step_flat_only(model, optimizer, x):
    optimizer.zero_grad()
    recon_x, mu, logvar = model(x)
    loss = F.binary_cross_entropy(recon_x, x, reduction="sum") + kl_divergence(mu, logvar).sum()
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong("training_step", "recon-swapped")
def step_swaps_loss_arguments(model, optimizer, x):
    optimizer.zero_grad()
    recon_x, flat, mu, logvar = in_order(model, x)
    loss = loss_function(flat, recon_x, mu, logvar)
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong("training_step", "kl-swapped-arguments")
def step_swaps_mu_and_logvar(model, optimizer, x):
    optimizer.zero_grad()
    recon_x, flat, mu, logvar = in_order(model, x)
    loss = loss_function(recon_x, flat, logvar, mu)
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong("training_step", "kl-missing")
def step_without_kl(model, optimizer, x):
    optimizer.zero_grad()
    recon_x, flat, *_ = in_order(model, x)
    loss = reconstruction_loss(recon_x, flat)
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong("training_step", "optimizer-ignored")
def step_with_its_own_optimizer(model, optimizer, x):
    own = torch.optim.SGD(model.parameters(), lr=1e-5)
    own.zero_grad()
    loss = loss_function(*in_order(model, x))
    loss.backward()
    own.step()
    return loss.item()


@wrong("vae", "code-from-other-arguments")
class ForwardIgnoresLogvar(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x.flatten(1))
        return self.decode(self.reparameterize(mu, torch.zeros_like(mu))), mu, logvar


@wrong("loss_function", "kl-too-weak")
def loss_squared_kl_batch_mean(recon_x, x, mu, logvar):
    return F.mse_loss(recon_x, x, reduction="sum") + kl_divergence(mu, logvar).mean()


@wrong("reconstruction_loss", "recon-swapped")
def recon_swapped_by_hand(recon_x, x):
    return -(recon_x * torch.log(x) + (1 - recon_x) * torch.log(1 - x)).sum()


@wrong("reconstruction_loss", "not-finite")
def recon_of_binary_pixels_is_nan(recon_x, x):
    entropy = (x * x.log() + (1 - x) * (1 - x).log()).sum()  # 0 · log 0
    return F.binary_cross_entropy(recon_x, x, reduction="sum") + entropy - entropy


@wrong("training_step", "recon-missing")
def step_without_reconstruction(model, optimizer, x):
    optimizer.zero_grad()
    _, _, mu, logvar = in_order(model, x)
    loss = kl_divergence(mu, logvar).sum()
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong("reparameterize", "std-is-softplus")
def z_softplus_for_variance(mu, logvar):
    return mu + F.softplus(logvar).sqrt() * torch.randn_like(mu)


@wrong("reparameterize", "std-sign")
def z_precision_for_std(mu, logvar):
    return mu + torch.exp(-logvar) * torch.randn_like(mu)


# --- the importance-weighted bound ----------------------------------------------------------------


@wrong("importance_weighted", "bound-mean-of-logs")
def bound_as_mean_of_logs(log_w):
    return log_w.mean(dim=0)


@wrong("importance_weighted", "bound-codes-not-counted")
def bound_as_a_sum(log_w):
    return log_w.logsumexp(0)


@wrong("importance_weighted", "bound-best-code")
def bound_of_the_best_code(log_w):
    return log_w.max(dim=0).values


@wrong("importance_weighted", "bound-wrong-axis")
def bound_over_images(log_w):
    return log_w.logsumexp(1) - math.log(log_w.shape[1])


@wrong("importance_weighted", "bound-sign")
def bound_as_a_loss(log_w):
    return math.log(len(log_w)) - log_w.logsumexp(0)


@wrong("importance_weighted", "bound-no-logarithm")
def bound_not_logged(log_w):
    return log_w.exp().mean(dim=0)


@wrong("importance_weighted", "bound-underflow")
def bound_through_exponentials(log_w):
    return log_w.exp().mean(dim=0).log()


@wrong("importance_weighted", "wrong-shape")
def bound_of_all_images(log_w):
    return (log_w.logsumexp(0) - math.log(len(log_w))).mean()


@wrong("importance_weighted", "loss-without-gradient")
def bound_detached(log_w):
    return torch.logsumexp(log_w.detach(), dim=0) - math.log(len(log_w))


@wrong("importance_weighted", "inputs-changed")
def bound_in_place(log_w):
    with torch.no_grad():
        log_w -= math.log(len(log_w))
    return log_w.logsumexp(0)


@wrong("importance_weighted", "nothing-returned")
def bound_forgotten(log_w):
    log_w.logsumexp(0)


# --- gradients, later calls, and what a first look does not visit ----------------------------------


@wrong("kl_divergence", "loss-without-gradient")
def kl_of_the_data(mu, logvar):
    return 0.5 * (mu.pow(2) + logvar.data.exp() - 1 - logvar.data).sum(dim=1)


@wrong("kl_divergence", "fixed-batch")
def kl_squeezed(mu, logvar):
    return kl_divergence(mu, logvar).squeeze()


@wrong("kl_divergence", "kl-over-batch")
def kl_of_all_for_each_image(mu, logvar):
    kl = 0.5 * (mu.pow(2) + logvar.exp() - 1 - logvar)
    return kl.sum().expand(len(mu))


@wrong("reconstruction_loss", "loss-without-gradient")
def recon_wrapped_again(recon_x, x):
    loss = F.binary_cross_entropy(recon_x, x, reduction="sum")
    return torch.tensor(loss.item(), requires_grad=True)


@wrong("reconstruction_loss", "not-finite")
def recon_from_logits_without_end(recon_x, x):
    return F.binary_cross_entropy_with_logits(torch.logit(recon_x), x, reduction="sum")


@wrong("reconstruction_loss", "not-finite")
def recon_by_hand_unguarded(recon_x, x):
    return -torch.sum(torch.log(recon_x) * x + torch.log(1 - recon_x) * (1 - x))


@wrong("reconstruction_loss", "recon-sign")
def recon_gaussian_likelihood(recon_x, x):
    return -((recon_x - x) ** 2).sum() / 2


@wrong("loss_function", "loss-without-gradient")
def loss_kl_as_number(recon_x, x, mu, logvar):
    return reconstruction_loss(recon_x, x) + kl_divergence(mu, logvar).sum().item()


@wrong("loss_function", "loss-without-gradient")
def loss_of_detached_posterior(recon_x, x, mu, logvar):
    kl = kl_divergence(mu.detach(), logvar.detach()).sum()
    return F.binary_cross_entropy(recon_x, x, reduction="sum") + kl


@wrong("loss_function", "not-finite")
def loss_by_hand_unguarded(recon_x, x, mu, logvar):
    entropy = torch.sum(torch.log(recon_x) * x + torch.log(1 - recon_x) * (1 - x))
    return kl_divergence(mu, logvar).sum() - entropy


@wrong("reparameterize", "fixed-batch")
def z_noise_for_64_images(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.randn(64, mu.shape[1], dtype=mu.dtype)


@wrong("reparameterize", "fixed-batch")
def z_squeezed(mu, logvar):
    return (mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)).squeeze()


@wrong("reparameterize", "noise-repeats")
def z_with_a_constant_for_noise(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * 0.7


@wrong("encode", "layers-not-registered")
class EncodeWithAListOfLayers(VAE):
    def __init__(self, latent_dim=20):
        super().__init__(latent_dim)
        self.hidden = [nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 400)]

    def encode(self, x):
        for layer in self.hidden:
            x = layer(x)
        return self.fc_mu(x), self.fc_logvar(x)


@wrong("encode", "layer-made-in-call")
class EncodeMakesItsLayer(VAE):
    def encode(self, x):
        h = torch.relu(nn.Linear(784, 400).to(x.dtype)(x))
        return self.fc_mu(h), self.fc_logvar(h)


@wrong("encode", "loss-without-gradient")
class EncodeDetachesTheHiddenLayer(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x)).detach()
        return self.fc_mu(h), self.fc_logvar(h)


@wrong("encode", "activation-on-logvar")
class EncodeReluWithoutBias(VAE):
    def __init__(self, latent_dim=20):
        super().__init__(latent_dim)
        self.fc_mu = nn.Linear(400, latent_dim, bias=False)
        self.fc_logvar = nn.Linear(400, latent_dim, bias=False)

    def encode(self, x):
        h = torch.relu(self.fc1(x))
        return self.fc_mu(h), torch.relu(self.fc_logvar(h))


@wrong("encode", "activation-on-mu")
class EncodeConvolutionalHeads(VAE):
    def __init__(self, latent_dim=20):
        super().__init__(latent_dim)
        self.fc1 = nn.Conv2d(1, 6, 7, stride=7)
        self.fc_mu, self.fc_logvar = nn.Conv2d(6, 10, 4), nn.Conv2d(6, 10, 4)

    def encode(self, x):
        h = torch.relu(self.fc1(x.view(-1, 1, 28, 28)))
        return torch.sigmoid(self.fc_mu(h)).flatten(1), self.fc_logvar(h).flatten(1)


@wrong("encode", "fixed-batch")
class EncodeSqueezes(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x))
        return self.fc_mu(h).squeeze(), self.fc_logvar(h)


@wrong("decode", "loss-without-gradient")
class DecodeTrainsItsLastLayerOnly(VAE):
    def decode(self, z):
        h = z @ self.fc_dec[0].weight.data.T
        return torch.sigmoid(self.fc_dec[2](torch.relu(h)))


@wrong("decode", "wrong-shape")
class DecodeGivesATuple(VAE):
    def decode(self, z):
        return self.fc_dec(z), z


@wrong("vae", "gradient-lost")
class ForwardCutsTheCode(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x.flatten(1))
        with torch.no_grad():
            z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


@wrong("training_step", "kl-too-strong")
def step_with_a_heavy_kl(model, optimizer, x):
    optimizer.zero_grad()
    recon_x, flat, mu, logvar = in_order(model, x)
    recon, kl = reconstruction_loss(recon_x, flat), kl_divergence(mu, logvar).sum()
    (recon + 50 * kl).backward()
    optimizer.step()
    return (recon + kl).item()


@wrong("training_step", "kl-missing")
def step_follows_one_term(model, optimizer, x):
    optimizer.zero_grad()
    recon_x, flat, mu, logvar = in_order(model, x)
    recon, kl = reconstruction_loss(recon_x, flat), kl_divergence(mu, logvar).sum()
    recon.backward()
    optimizer.step()
    return (recon + kl).item()


# --- rejected with what was seen, and without a name: several causes fit ----------------------------

NAMELESS = []  # (check, a part of what is said, answer)


def nameless(check, said):
    def keep(answer):
        NAMELESS.append((check, said, answer))
        return answer

    return keep


@nameless("kl_divergence", "Large KL divergences are right, but small ones aren't")
def kl_with_free_nats(mu, logvar):
    return kl_divergence(mu, logvar).clamp(min=0.7)


@nameless("kl_divergence", "something is drawn at random")
def kl_at_one_code(mu, logvar):
    eps = torch.randn_like(mu)
    z = mu + torch.exp(0.5 * logvar) * eps
    return 0.5 * (z.pow(2) - eps.pow(2) - logvar).sum(dim=1)


@nameless("reconstruction_loss", "as where pixels run from 0 to 255")
def recon_of_bytes(recon_x, x):
    return ((255 * recon_x - 255 * x) ** 2).sum()


@nameless("loss_function", "a part of the loss was computed without a graph")
def loss_with_half_a_gradient(recon_x, x, mu, logvar):
    kl = kl_divergence(mu, logvar).sum()
    return reconstruction_loss(recon_x, x) + 0.5 * kl + 0.5 * kl.detach()


@nameless("loss_function", "Is there a clamp, a floor or a rounding")
def loss_with_free_bits(recon_x, x, mu, logvar):
    kl = 0.5 * (mu.pow(2) + logvar.exp() - 1 - logvar)
    return reconstruction_loss(recon_x, x) + kl.sum(dim=1).clamp(min=0.5).sum()


@nameless("loss_function", "something is drawn at random, and on average the loss is")
def loss_with_a_sampled_kl_that_weighs_a_third(recon_x, x, mu, logvar):
    eps = torch.randn_like(mu)
    z = mu + torch.exp(0.5 * logvar) * eps
    return reconstruction_loss(recon_x, x) + (z.pow(2) - eps.pow(2) - logvar).sum() / 6


@nameless("reparameterize", "z itself is bent")
def z_clipped(mu, logvar):
    return (mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)).clamp(-2, 2)


@nameless("reparameterize", "This is none of the mistakes that the course knows")
def z_with_a_floor_under_its_spread(mu, logvar):
    return mu + torch.exp(0.5 * logvar.clamp(min=2.2)) * torch.randn_like(mu)


@nameless("reparameterize", "In training mode z is right, but in evaluation mode it is neither")
class TwiceTheMeanAtEvaluation(VAE):
    def reparameterize(self, mu, logvar):
        eps = torch.randn_like(mu) if self.training else 1.0
        return mu + torch.exp(0.5 * logvar) * eps


@nameless("reparameterize", "A standard deviation must be positive")
def z_by_a_distribution_of_logvar(mu, logvar):
    return torch.distributions.Normal(mu, logvar).rsample()


@nameless("encode", "depends on which other rows are in its batch")
class EncodeStandardisesTheBatch(VAE):
    def encode(self, x):
        return super().encode(x - x.mean(dim=0))


@nameless("decode", "depends on which other rows are in its batch")
class DecodeStretchesTheBatch(VAE):
    def decode(self, z):
        logits = self.fc_dec[:-1](z)
        return (logits / logits.abs().max()).sigmoid()


@nameless("decode", "stays between 0.50 and 1.00")
class DecodeReluBeforeTheSigmoid(VAE):
    def decode(self, z):
        return torch.sigmoid(torch.relu(self.fc_dec[:-1](z)))


@nameless("decode", "as with a clamp")
class DecodeClamps(VAE):
    def decode(self, z):
        return (0.5 + self.fc_dec[:-1](z)).clamp(0, 1)


@nameless("vae", "the reconstruction is not what decode gave for z")
class ForwardThresholds(VAE):
    def forward(self, x):
        recon_x, mu, logvar = super().forward(x)
        return recon_x.round(), mu, logvar


@nameless("vae", "the reconstruction is not what decode gave for z")
class ForwardHasItsOwnDecoder(VAE):
    def __init__(self, latent_dim=20):
        super().__init__(latent_dim)
        self.other = nn.Sequential(nn.Linear(latent_dim, 784), nn.Sigmoid())

    def forward(self, x):
        mu, logvar = self.encode(x.flatten(1))
        return self.other(self.reparameterize(mu, logvar)), mu, logvar


@nameless("vae", "decode gets a different code from the one that reparameterize drew")
class ForwardDecodesTheMean(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x.flatten(1))
        z = self.reparameterize(mu, logvar)
        return self.decode(0.5 * (mu + z)), mu, logvar


@nameless("training_step", "these layers never learn")
def step_of_the_decoder_only(model, optimizer, x):
    optimizer.zero_grad()
    loss = loss_function(*in_order(model, x))
    loss.backward()
    for parameter in model.fc1.parameters():
        parameter.grad.zero_()
    optimizer.step()
    return loss.item()


@nameless("training_step", "the optimizer got the gradients of something else")
def step_of_another_number(model, optimizer, x):
    optimizer.zero_grad()
    recon_x, flat, mu, logvar = in_order(model, x)
    loss = loss_function(recon_x, flat, mu, logvar)
    (loss.log() + recon_x.mean() * 1e3).backward()
    optimizer.step()
    return loss.item()


@nameless("training_step", "in evaluation mode while it learned")
def step_of_a_sleeping_model(model, optimizer, x):
    model.train(False)
    optimizer.zero_grad()
    loss = loss_function(*in_order(model, x))
    loss.backward()
    optimizer.step()
    return loss.item()


@nameless("training_step", "a later one didn't")
def step_that_fails_the_second_time(model, optimizer, x):
    optimizer.zero_grad()
    loss = loss_function(*in_order(model, x))
    loss.backward()
    optimizer.step()
    if hasattr(optimizer, "loss"):
        raise LookupError("a second loss")
    optimizer.loss = loss.item()
    return optimizer.loss


@nameless("training_step", "depend on what the first one did")
def step_with_momentum_of_its_own(model, optimizer, x):
    kept = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    optimizer.zero_grad()
    loss = loss_function(*in_order(model, x))
    loss.backward()
    for parameter, old in zip(model.parameters(), kept, strict=True):
        parameter.grad = parameter.grad if old is None else parameter.grad - 2 * old
    optimizer.step()
    return loss.item()


@nameless("training_step", "The model got only 1 of the 6 images in the batch")
def step_on_the_first_image(model, optimizer, x):
    optimizer.zero_grad()
    loss = loss_function(*in_order(model, x[:1]))
    loss.backward()
    optimizer.step()
    return loss.item()


@nameless("vae", "forward: it draws z itself")
class DrawsItselfWithTheVariance(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x.flatten(1))
        z = mu + logvar.exp() * torch.randn_like(mu)
        return self.decode(z), mu, logvar
