"""Right answers to the exercises, written in other ways than the course writes them; some differ, and are right."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import ContinuousBernoulli, Independent, MultivariateNormal, Normal

from vae_helpers import ConvVAE, answers
from vae_helpers import kl_divergence as package_kl
from vae_helpers import loss_function as package_loss
from vae_helpers.answers import VAE, kl_divergence, loss_function, reconstruction_loss

RIGHT = []  # (check, a part of the note or "", answer)


def right(check, note=""):
    def keep(answer):
        RIGHT.append((check, note, answer))
        return answer

    return keep


for name in ("reconstruction_loss", "kl_divergence", "loss_function", "training_step"):
    right(name)(getattr(answers, name))
for name in ("prior_grid", "principal_plane", "walk", "importance_weighted"):
    right(name)(getattr(answers, name))
for name in ("encode", "decode", "reparameterize", "vae"):
    right(name)(VAE)
right("kl_divergence")(package_kl)
right("loss_function")(package_loss)


# --- kl_divergence ------------------------------------------------------------------------------


@right("kl_divergence")
def kl_as_in_the_paper(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)


@right("kl_divergence")
def kl_by_torch(mu, logvar):
    q, p = Normal(mu, logvar.mul(0.5).exp()), Normal(torch.zeros_like(mu), torch.ones_like(mu))
    return torch.distributions.kl_divergence(q, p).sum(-1)


@right("kl_divergence")
def kl_by_independent(mu, logvar):
    q = Independent(Normal(mu, torch.exp(logvar / 2)), 1)
    p = Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1)
    return torch.distributions.kl_divergence(q, p)


@right("kl_divergence")
def kl_by_full_covariance(mu, logvar):
    q = MultivariateNormal(mu, torch.diag_embed(logvar.exp()))
    p = MultivariateNormal(torch.zeros_like(mu), torch.eye(mu.shape[1], dtype=mu.dtype))
    return torch.distributions.kl_divergence(q, p)


@right("kl_divergence")
def kl_by_einsum(mu, logvar):
    squares = torch.einsum("bd,bd->b", mu, mu)
    return 0.5 * (squares + torch.expm1(logvar).sum(1) - logvar.sum(1))


@right("kl_divergence")
def kl_from_std_again(mu, logvar):
    std = logvar.mul(0.5).exp_()
    return (0.5 * (mu**2 + std**2) - 0.5 - std.log()).sum(dim=-1)


@right("kl_divergence")
def kl_in_float64(mu, logvar):
    return kl_divergence(mu.double(), logvar.double())


@right("kl_divergence")
def kl_in_a_loop(mu, logvar):
    return torch.stack(
        [0.5 * (m @ m + v.exp().sum() - len(v) - v.sum()) for m, v in zip(mu, logvar, strict=True)]
    )


@right("kl_divergence", "constant")
def kl_without_the_one(mu, logvar):
    return 0.5 * (mu.pow(2) + logvar.exp() - logvar).sum(dim=1)


# --- reconstruction_loss --------------------------------------------------------------------------


@right("reconstruction_loss")
def recon_by_hand(recon_x, x):
    return -(x * torch.log(recon_x + 1e-8) + (1 - x) * torch.log(1 - recon_x + 1e-8)).sum()


@right("reconstruction_loss")
def recon_by_distribution(recon_x, x):
    return -torch.distributions.Bernoulli(probs=recon_x, validate_args=False).log_prob(x).sum()


@right("reconstruction_loss")
def recon_by_logits(recon_x, x):
    logits = torch.logit(recon_x, eps=1e-6)
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum")


@right("reconstruction_loss")
def recon_mean_times_pixels(recon_x, x):
    return F.binary_cross_entropy(recon_x, x) * x.numel()


@right("reconstruction_loss")
def recon_by_module(recon_x, x):
    return nn.BCELoss(reduction="sum")(recon_x.view(-1, 784), x.view(-1, 784))


@right("reconstruction_loss", "σ² = 0.5")
def recon_squared(recon_x, x):
    return F.mse_loss(recon_x, x, reduction="sum")


@right("reconstruction_loss", "σ² = 1")
def recon_half_squared(recon_x, x):
    return 0.5 * (x - recon_x).pow(2).sum()


@right("reconstruction_loss", "σ² = 0.01")
def recon_gaussian(recon_x, x):
    return -Normal(recon_x, 0.1).log_prob(x).sum()


@right("reconstruction_loss", "Laplace")
def recon_absolute(recon_x, x):
    return F.l1_loss(recon_x, x, reduction="sum")


# --- loss_function --------------------------------------------------------------------------------


@right("loss_function")
def loss_in_one_line(recon_x, x, mu, logvar):
    cross_entropy = F.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")
    return cross_entropy - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


@right("loss_function")
def loss_by_distributions(recon_x, x, mu, logvar):
    q, p = Normal(mu, torch.exp(0.5 * logvar)), Normal(torch.zeros_like(mu), torch.ones_like(mu))
    likelihood = torch.distributions.Bernoulli(probs=recon_x, validate_args=False).log_prob(x)
    return torch.distributions.kl_divergence(q, p).sum() - likelihood.sum()


@right("loss_function")
def loss_per_image_then_summed(recon_x, x, mu, logvar):
    cross_entropy = F.binary_cross_entropy(recon_x, x, reduction="none").sum(dim=1)
    return (cross_entropy + kl_divergence(mu, logvar)).sum()


@right("loss_function", "average over the batch")
def loss_divided_by_batch(recon_x, x, mu, logvar):
    return loss_function(recon_x, x, mu, logvar) / len(x)


@right("loss_function", "average over the batch")
def loss_mean_of_images(recon_x, x, mu, logvar):
    cross_entropy = F.binary_cross_entropy(recon_x, x, reduction="none").sum(dim=1)
    return (cross_entropy + kl_divergence(mu, logvar)).mean()


@right("loss_function", "factor")
def loss_divided_by_pixels(recon_x, x, mu, logvar):
    return loss_function(recon_x, x, mu, logvar) / 784


@right("loss_function", "constant")
def loss_without_the_one(recon_x, x, mu, logvar):
    kl = 0.5 * (mu.pow(2) + logvar.exp() - logvar).sum()
    return reconstruction_loss(recon_x, x) + kl


@right("loss_function", "σ² = 0.5")
def loss_squared(recon_x, x, mu, logvar):
    return F.mse_loss(recon_x, x, reduction="sum") + kl_divergence(mu, logvar).sum()


@right("loss_function", "σ² = 1")
def loss_half_squared(recon_x, x, mu, logvar):
    return 0.5 * (recon_x - x).pow(2).sum() + kl_divergence(mu, logvar).sum()


@right("loss_function")
def loss_in_float64(recon_x, x, mu, logvar):
    return loss_function(*(tensor.double() for tensor in (recon_x, x, mu, logvar)))


# --- reparameterize -------------------------------------------------------------------------------


@right("reparameterize")
def z_by_rsample(mu, logvar):
    return Normal(mu, torch.exp(0.5 * logvar)).rsample()


@right("reparameterize")
def z_in_place_on_its_own(mu, logvar):
    std = logvar.mul(0.5).exp_()
    return torch.randn_like(std).mul(std).add_(mu)


@right("reparameterize")
def z_by_addcmul(mu, logvar):
    return torch.addcmul(mu, torch.exp(logvar / 2), torch.randn_like(mu))


@right("reparameterize")
def z_by_root(mu, logvar):
    return mu + torch.sqrt(torch.exp(logvar)) * torch.randn(mu.shape, dtype=mu.dtype)


@right("reparameterize")
def z_by_einsum(mu, logvar):
    return mu + torch.einsum("bd,bd->bd", torch.exp(logvar) ** 0.5, torch.randn_like(mu))


@right("reparameterize")
def z_minus_noise(mu, logvar):
    return mu - torch.exp(0.5 * logvar) * torch.randn_like(mu)


@right("reparameterize")
def z_in_float64(mu, logvar):
    mu, logvar = mu.double(), logvar.double()
    return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)


@right("reparameterize")
def z_by_full_covariance(mu, logvar):
    return MultivariateNormal(mu, scale_tril=torch.diag_embed(torch.exp(0.5 * logvar))).rsample()


@right("reparameterize")
def z_normal_tensor(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.empty_like(mu).normal_()


@right("reparameterize")
@right("vae")
class MeanAtEvaluation(VAE):
    def reparameterize(self, mu, logvar):
        if not self.training:
            return mu
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)


# --- models ---------------------------------------------------------------------------------------


@right("encode")
@right("vae")
class OneLastLayer(nn.Module):
    """One layer gives both outputs, and is split."""

    def __init__(self):
        super().__init__()
        self.hidden, self.last = nn.Linear(784, 256), nn.Linear(256, 2 * 12)
        self.out = nn.Sequential(nn.Linear(12, 256), nn.ReLU(), nn.Linear(256, 784))

    def encode(self, x):
        return self.last(F.relu(self.hidden(x))).chunk(2, dim=-1)

    def reparameterize(self, mu, logvar):
        return Normal(mu, torch.exp(0.5 * logvar)).rsample()

    def decode(self, z):
        return self.out(z).sigmoid()

    def forward(self, x):
        mu, logvar = self.encode(x.view(len(x), -1))
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


right("decode")(OneLastLayer)


@right("encode")
@right("vae")
class ClampedLogvar(VAE):
    """A clamp far outside of what training needs guards against overflow."""

    def encode(self, x):
        mu, logvar = super().encode(x)
        return mu, logvar.clamp(-10, 10)


@right("encode")
@right("vae")
class SoftplusSigma(VAE):
    """σ is a softplus, and the log-variance that is returned is the logarithm of its square."""

    def encode(self, x):
        h = torch.relu(self.fc1(x))
        return self.fc_mu(h), 2 * torch.log(F.softplus(self.fc_logvar(h)))


@right("encode", note="encode is linear")
@right("vae", note="encode is linear")
class WithoutRelu(VAE):
    def encode(self, x):
        h = self.fc1(x)
        return self.fc_mu(h), self.fc_logvar(h)


@right("decode", note="decode is linear up to its sigmoid")
@right("vae", note="Is a relu missing in `fc_dec`?")
class DecoderWithoutRelu(VAE):
    def __init__(self, latent_dim=20):
        super().__init__(latent_dim)
        self.fc_dec = nn.Sequential(nn.Linear(latent_dim, 400), nn.Linear(400, 784), nn.Sigmoid())


@right("encode")
@right("decode")
@right("vae")
class HardlyBent(VAE):
    """Its inputs stay where tanh is nearly straight."""

    def encode(self, x):
        h = torch.tanh(0.1 * self.fc1(x))
        return self.fc_mu(h), self.fc_logvar(h)

    def decode(self, z):
        first, _, last, sigmoid = self.fc_dec
        return sigmoid(last(torch.tanh(0.1 * first(z))))


@right("encode")
@right("vae", note="has 20 latents")
class TwentyInEachLayer(VAE):
    def __init__(self, latent_dim=20):
        super().__init__(20)


@right("decode")
@right("vae", note="Is 20 written into a layer?")
class TwentyInTheDecoder(VAE):
    def __init__(self, latent_dim=20):
        super().__init__(latent_dim)
        self.fc_dec[0] = nn.Linear(20, 400)


@right("encode")
@right("vae")
class DeepWithDropout(VAE):
    def __init__(self, latent_dim=16):
        super().__init__(latent_dim)
        self.fc1 = nn.Sequential(
            nn.Linear(784, 300), nn.Tanh(), nn.Dropout(0.2), nn.Linear(300, 400)
        )


@right("encode")
@right("vae")
class WithBatchNorm(VAE):
    def __init__(self, latent_dim=16):
        super().__init__(latent_dim)
        self.norm = nn.BatchNorm1d(400)

    def encode(self, x):
        h = torch.relu(self.norm(self.fc1(x)))
        return self.fc_mu(h), self.fc_logvar(h)


for name in ("encode", "decode", "vae"):
    right(name)(ConvVAE)


@right("decode")
class Resized(ConvVAE):
    """Lesson 11's exercise: enlarged by repeating, and then convolved."""

    def __init__(self, latent_dim=20, window=3):
        super().__init__(latent_dim)
        self.fc_dec = nn.Sequential(
            nn.Linear(latent_dim, 8 * 49), nn.ReLU(), nn.Unflatten(1, (8, 7, 7)),
            nn.Upsample(scale_factor=2), nn.Conv2d(8, 4, window, padding=1), nn.ReLU(),
            nn.Upsample(scale_factor=2), nn.Conv2d(4, 1, window, padding=1), nn.Sigmoid(), nn.Flatten(),
        )  # fmt: skip


@right("encode")
@right("vae")
class Convolutional(VAE):
    def __init__(self, latent_dim=16):
        super().__init__(latent_dim)
        self.convolution = nn.Conv2d(1, 4, 4, stride=4)
        self.fc1 = nn.Linear(4 * 49, 400)

    def encode(self, x):
        h = torch.relu(self.convolution(x.view(-1, 1, 28, 28))).flatten(1)
        h = torch.relu(self.fc1(h))
        return self.fc_mu(h), self.fc_logvar(h)


@right("encode")
class ReturnsList(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x.view(-1, 784)))
        return [self.fc_mu(h), self.fc_logvar(h)]


@right("decode")
class ClampedProbabilities(VAE):
    def decode(self, z):
        return self.fc_dec(z).clamp(1e-6, 1 - 1e-6)


@right("decode")
class SigmoidByTanh(VAE):
    def decode(self, z):
        return 0.5 * (1 + torch.tanh(0.5 * self.fc_dec[:-1](z)))


# --- training_step --------------------------------------------------------------------------------


def in_order(model, x):
    recon_x, mu, logvar = model(x)
    return recon_x, x.view(-1, 784), mu, logvar


@right("training_step")
def step_clears_last(model, optimizer, x):
    loss = loss_function(*in_order(model, x))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


@right("training_step")
def step_clears_in_between(model, optimizer, x):
    loss = loss_function(*in_order(model, x))
    model.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


@right("training_step")
def step_clears_by_hand(model, optimizer, x):
    for parameter in model.parameters():
        parameter.grad = None
    loss = loss_function(*in_order(model, x)) / len(x)
    loss.backward()
    optimizer.step()
    return loss.item() * len(x)


@right("training_step")
def step_with_clipping(model, optimizer, x):
    model.train()
    optimizer.zero_grad(set_to_none=False)
    loss = loss_function(*in_order(model, x))
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1_000.0)
    optimizer.step()
    return loss.detach().cpu().numpy().item()


@right("training_step")
def step_with_closure(model, optimizer, x):
    def closure():
        optimizer.zero_grad()
        loss = loss_function(*in_order(model, x))
        loss.backward()
        return loss

    return optimizer.step(closure).item()


@right("training_step", "plain number")
def step_returns_detached(model, optimizer, x):
    optimizer.zero_grad()
    loss = loss_function(*in_order(model, x))
    loss.backward()
    optimizer.step()
    return loss.detach()


@right("training_step", "another loss")
def step_with_squared_error(model, optimizer, x):
    optimizer.zero_grad()
    recon_x, flat, mu, logvar = in_order(model, x)
    loss = F.mse_loss(recon_x, flat, reduction="sum") + kl_divergence(mu, logvar).sum()
    loss.backward()
    optimizer.step()
    return loss.item()


# --- the mini project -----------------------------------------------------------------------------


@right("prior_grid")
def grid_in_a_loop(side):
    normal = Normal(0.0, 1.0)
    shares = [(i + 0.5) / side for i in range(side)]
    places = [normal.icdf(torch.tensor(share)).item() for share in shares]
    return torch.tensor([(x, y) for y in reversed(places) for x in places])


@right("principal_plane")
def plane_by_eigenvectors(codes):
    centre = codes.mean(dim=0)
    _, vectors = torch.linalg.eigh((codes - centre).T @ (codes - centre))
    return centre, -vectors.flip(1)[:, :2].T


@right("principal_plane")
def plane_by_pca_lowrank(codes):
    centre = codes.mean(dim=0, keepdim=True)
    return centre, torch.pca_lowrank(codes, q=5, niter=8)[2][:, :2].T


@right("walk")
def walk_in_a_loop(points, steps):
    made = []
    for i in range(steps):
        position = i * (len(points) - 1) / (steps - 1)
        leg = min(int(position), len(points) - 2)
        made.append(torch.lerp(points[leg], points[leg + 1], position - leg))
    return torch.stack(made)


@right("training_step", "mean over the images")
def step_returns_mean(model, optimizer, x):
    optimizer.zero_grad()
    loss = loss_function(*in_order(model, x))
    loss.backward()
    optimizer.step()
    return loss.item() / len(x)


@right("importance_weighted")
def bound_with_the_top_taken_out(log_w):
    top = log_w.amax(dim=0)
    return top + (log_w - top).exp().mean(dim=0).log()


@right("importance_weighted")
def bound_in_a_loop(log_w):
    total = log_w[0]
    for row in log_w[1:]:
        total = torch.logaddexp(total, row)
    return total - torch.tensor(float(len(log_w))).log()


@right("importance_weighted")
def bound_by_shifted_logs(log_w):
    return (log_w - math.log(log_w.shape[0])).logsumexp(dim=0)


# --- unusual forms ----------------------------------------------------------------------------------


@right("reconstruction_loss", "continuous Bernoulli")
def recon_continuous(recon_x, x):
    return -ContinuousBernoulli(probs=recon_x).log_prob(x).sum()


@right("reconstruction_loss", "best one for the batch")
def recon_with_the_best_sigma(recon_x, x):
    sigma = (recon_x - x).pow(2).mean().sqrt()
    return -Normal(recon_x, sigma).log_prob(x).sum()


@right("loss_function", "continuous Bernoulli")
def loss_continuous(recon_x, x, mu, logvar):
    likelihood = ContinuousBernoulli(probs=recon_x).log_prob(x).sum()
    return kl_divergence(mu, logvar).sum() - likelihood


@right("loss_function", "best one for the batch")
def loss_with_the_best_sigma(recon_x, x, mu, logvar):
    log_sigma = 0.5 * (recon_x - x).pow(2).mean().log()
    squares = 0.5 * ((recon_x - x) / log_sigma.exp()).pow(2) + log_sigma
    return squares.sum() + kl_divergence(mu, logvar).sum()


@right("loss_function", "estimated from a random code")
def loss_with_a_sampled_kl(recon_x, x, mu, logvar):
    eps = torch.randn_like(mu)
    z = mu + torch.exp(0.5 * logvar) * eps
    kl = 0.5 * (z.pow(2) - eps.pow(2) - logvar).sum()
    return F.binary_cross_entropy(recon_x, x, reduction="sum") + kl


@right("encode")
@right("vae")
class HeadsWithoutBias(VAE):
    def __init__(self, latent_dim=20):
        super().__init__(latent_dim)
        self.fc_mu = nn.Linear(400, latent_dim, bias=False)
        self.fc_logvar = nn.Linear(400, latent_dim, bias=False)


@right("encode")
class ConvolutionalHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 6, 7, stride=7), nn.ReLU())
        self.mean, self.spread = nn.Conv2d(6, 10, 4), nn.Conv2d(6, 10, 4)

    def encode(self, x):
        h = self.body(x.unflatten(1, (1, 28, 28)))
        return self.mean(h).flatten(1), self.spread(h).flatten(1)


@right("encode")
@right("decode")
@right("vae")
class StartsAtZero(VAE):
    """Each last layer starts with weights of zero."""

    def __init__(self, latent_dim=20):
        super().__init__(latent_dim)
        for layer in (self.fc_mu, self.fc_logvar, self.fc_dec[2]):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)


@right("decode")
@right("vae")
class ManyLatents(VAE):
    def __init__(self, latent_dim=700):
        super().__init__(latent_dim)


@right("encode")
@right("vae")
class SmallHead(VAE):
    def encode(self, x):
        h = torch.relu(self.fc1(x))
        return self.fc_mu(h), 0.1 * self.fc_logvar(h)


@right("vae", "hands encode other pixels")
class NormalisesInForward(VAE):
    def forward(self, x):
        mu, logvar = self.encode((x.flatten(1) - 0.13) / 0.31)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


class Draw(nn.Module):
    def forward(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)


@right("reparameterize")
@right("vae")
class DrawsByALayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.mean, self.spread = nn.LazyLinear(90), nn.LazyLinear(6), nn.LazyLinear(6)
        self.reparameterize = Draw()
        self.decode = nn.Sequential(nn.LazyLinear(90), nn.ReLU(), nn.LazyLinear(784), nn.Sigmoid())

    def encode(self, x):
        h = self.hidden(x).relu()
        return self.mean(h), self.spread(h)

    forward = VAE.forward


@right("training_step", "changes the images")
def step_binarises(model, optimizer, x):
    x = (torch.rand_like(x) < x).to(x.dtype)
    optimizer.zero_grad()
    loss = loss_function(*in_order(model, x))
    loss.backward()
    optimizer.step()
    return loss.item()


@right("training_step")
def step_clips_each_number(model, optimizer, x):
    optimizer.zero_grad()
    loss = loss_function(*in_order(model, x))
    loss.backward()
    nn.utils.clip_grad_value_(model.parameters(), 5.0)
    optimizer.step()
    return loss.item()


@right("training_step")
def step_backward_for_each_term(model, optimizer, x):
    optimizer.zero_grad()
    recon_x, flat, mu, logvar = in_order(model, x)
    terms = reconstruction_loss(recon_x, flat), kl_divergence(mu, logvar).sum()
    for term in terms:
        term.backward(retain_graph=True)
    optimizer.step()
    return sum(term.item() for term in terms)


@right("vae")
class DrawsItself(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x.flatten(1))
        z = mu + torch.randn_like(mu) * logvar.exp().sqrt()
        return self.decode(z), mu, logvar
