"""Dense and convolutional VAEs, autoencoders and GANs, each with every prior that it can take, over seeds.

    python benchmarks/sharper.py FOLDER [--share 1/2] [--seeds 0 1 2 3 4]

The measures, the references and the digits are those of vae_against_gan.py. Each run trains one model on the 10,000
embedded digits, with about 650,000 weights, for the passes that take 45 processor seconds on one thread of the machine
named in the result (SECONDS a pass, counted beforehand, so that a run comes out the same on a busy machine). Where a
prior is fitted to the codes afterwards, the training ends earlier by what the fit costs: 2 seconds for a Gaussian or a
mixture, 12 for a diffusion model. The priors:

- its own: N(0, I), or for a VampPrior the mixture that is trained along with it;
- Gaussian, mixture: one Gaussian, or ten, fitted to the codes of the training images (for a VAE, to their means);
- diffusion: a small diffusion model of the same codes, drawn from in 20 steps.

Learning rates: RATES, chosen by LeNet-FID, of the mixture for a VAE and an autoencoder, of its own prior for the rest.
Those of the dense VAE, autoencoder and GAN are the best of lesson 05's five, 0.0001 to 0.01, over five seeds
(vae_against_gan.py). The others are the best of 0.001, 0.003 and 0.01 with seed 100 (`--search`); where the best of
the three was the largest or the smallest, a fourth beyond it was tried too. One exception: the convolutional
autoencoder's best was 0.01 with seed 100, but not with seed 0, where it came to three times the distance; it has 0.003,
the second best.

Each run's figures go into FOLDER as they are ready, and a run that is there is not made again. Once a seed's runs are
all there, its rows go into results/sharper.json: the failed ones too.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import record
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor
from tqdm import tqdm
from vae_against_gan import codes_of, failed, prior, references

from vae_helpers.convolutional import ConvAutoencoder, ConvGAN, ConvVAE, count_weights
from vae_helpers.data import ImageSet, load_images
from vae_helpers.evaluation import active_units, frechet_distance, sample_quality
from vae_helpers.gan_training import fit_gan
from vae_helpers.latent_priors import (
    LatentDiffusion,
    MixtureOfPosteriors,
    NegativeELBOWithPrior,
    gaussian_log_density,
)
from vae_helpers.models import GAN, VAE, Autoencoder, Classifier
from vae_helpers.objectives import NegativeELBO, Reconstruction, bernoulli_log_likelihood
from vae_helpers.pretrained import load_pretrained
from vae_helpers.training import fit
from vae_helpers.training_runs import History

BUDGET, SAMPLES, COMPONENTS, K, LIKELIHOOD_IMAGES, PSEUDO_INPUTS = 45, 2_000, 10, 100, 500, 50
DIFFUSION_STEPS = 3_000
KINDS = {
    ("dense", "VAE"): VAE, ("dense", "AE"): Autoencoder, ("dense", "GAN"): GAN,
    ("conv", "VAE"): ConvVAE, ("conv", "AE"): ConvAutoencoder, ("conv", "GAN"): ConvGAN,
}  # fmt: skip
# processor seconds of one pass over the 10,000 digits
SECONDS = {
    ("dense", "VAE"): 0.86, ("dense", "AE"): 0.86, ("dense", "GAN"): 2.38, ("dense", "VampVAE"): 1.26,
    ("conv", "VAE"): 3.5, ("conv", "AE"): 3.4, ("conv", "GAN"): 10.8, ("conv", "VampVAE"): 4.5,
}  # fmt: skip
RATES = {
    ("dense", "VAE"): 3e-3, ("dense", "AE"): 3e-3, ("dense", "GAN"): 1e-2, ("dense", "VampVAE"): 3e-3,
    ("conv", "VAE"): 3e-3, ("conv", "AE"): 3e-3, ("conv", "GAN"): 1e-2, ("conv", "VampVAE"): 1e-3,
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One training. `passes` over the digits are what the budget buys."""

    architecture: str
    family: str
    seed: int
    beta: float = 1.0
    lr: float = 0.0

    @property
    def name(self) -> str:
        """A name for its file."""
        return f"{self.architecture}-{self.family}-beta{self.beta:g}-lr{self.lr:g}-seed{self.seed}"

    def passes(self, reserve: float = 0.0) -> int:
        """How many passes over the digits fit into the budget, less what a prior costs."""
        return round((BUDGET - reserve) / SECONDS[self.architecture, self.family])


def runs(seeds: list[int]) -> list[Run]:
    """Every run, seed by seed."""
    found = []
    for seed in seeds:
        for (architecture, family), lr in RATES.items():
            found.append(Run(architecture, family, seed, lr=lr))
        found += [Run("conv", "VAE", seed, beta, RATES["conv", "VAE"]) for beta in (0.1, 0.01)]
    return found


def search() -> list[Run]:
    """The runs that chose the learning rates of what lesson 05 did not have."""
    new = [("conv", family) for family in ("VAE", "AE", "GAN", "VampVAE")] + [("dense", "VampVAE")]
    found = [Run(*kind, 100, lr=lr) for lr in (1e-3, 3e-3, 1e-2) for kind in new]
    beyond = [("AE", 3e-2), ("GAN", 3e-2), ("VampVAE", 3e-4)]
    return found + [Run("conv", family, 100, lr=lr) for family, lr in beyond]


Draw = Callable[[int], Tensor]
LogPrior = Callable[[Tensor], Tensor]


def train(run: Run, digits: ImageSet) -> tuple[dict[int, dict[str, Tensor]], Any, History]:
    """Train; the weights after each number of passes that is asked for, the model, the history."""
    torch.manual_seed(run.seed)
    settings: dict[str, Any] = {
        "epochs": run.passes(),
        "lr": run.lr,
        "generator": torch.Generator().manual_seed(run.seed),
    }
    wanted, kept = {run.passes(r) for r in (0, 2, 12)}, {}

    def keep(history: History) -> None:
        if history.finished in wanted:
            kept[history.finished] = {k: v.clone() for k, v in model.state_dict().items()}

    model: Any
    if run.family == "VampVAE":
        starts = digits.train_x[torch.randperm(len(digits.train_x))[:PSEUDO_INPUTS]]
        model = MixtureOfPosteriors(KINDS[run.architecture, "VAE"](), starts)
        goal: Any = NegativeELBOWithPrior(run.beta)
    else:
        model = KINDS[run.architecture, run.family]()
        goal = NegativeELBO(run.beta) if run.family == "VAE" else Reconstruction()
    if run.family == "GAN":
        history = fit_gan(model, digits.train_x, progress=keep, **settings)
    else:
        history = fit(
            model,
            digits.train_x,
            test_x=digits.test_x,
            objective=goal,
            progress=keep,
            **settings,
        )
    return kept, model.eval(), history


def log_likelihood(model: Any, x: Tensor, log_priors: dict[str, LogPrior]) -> dict[str, float]:
    """log p(x) by importance sampling under several priors at once, from the same codes, in nats per image
    (as `importance_weighted_bound`, which knows N(0, I) alone)."""
    mu, logvar = model.encode(x)
    ratios: dict[str, list[Tensor]] = {name: [] for name in log_priors}
    for _ in range(K):
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        rest = bernoulli_log_likelihood(model.decode(z), x) - gaussian_log_density(z, mu, logvar)
        for name, log_prior in log_priors.items():
            ratios[name].append(rest + log_prior(z))
    return {
        name: (torch.logsumexp(torch.stack(found), dim=0) - math.log(K)).mean().item()
        for name, found in ratios.items()
    }


def log_normal(z: Tensor) -> Tensor:
    """log N(z; 0, I)."""
    return gaussian_log_density(z, torch.zeros_like(z), torch.zeros_like(z))


def fitted(codes: Tensor, components: int, seed: int) -> tuple[Draw, LogPrior]:
    """A mixture of Gaussians fitted to codes: what draws from it, and its log density."""
    mixture = GaussianMixture(components, random_state=seed, reg_covar=1e-4)
    mixture.fit(codes.double().numpy())

    def draw(count: int) -> Tensor:
        found = torch.from_numpy(mixture.sample(count)[0]).float()
        return found[torch.randperm(count)]

    return draw, lambda z: torch.from_numpy(mixture.score_samples(z.double().numpy())).float()


@torch.no_grad()
def measure(
    model: Any, draw: Draw, digits: ImageSet, judges: tuple[Classifier, Any]
) -> dict[str, float]:
    """The figures of 2,000 samples; the Fréchet distance also in the features of another network."""
    images = model.decode(draw(SAMPLES)).flatten(1)
    found = sample_quality(images, digits.test_x, digits.train_x, judges[0])
    return found | {"other_fid": other_fid(images, digits, judges[1])}


@torch.no_grad()
def other_fid(images: Tensor, digits: ImageSet, judge: Any) -> float:
    """The Fréchet distance in the hidden layer of the fully connected classifier of the latent lab."""
    hidden = torch.nn.Sequential(*list(judge)[:3])
    return frechet_distance(hidden(images), hidden(digits.test_x.flatten(1)))


def make(
    run: Run, digits: ImageSet, judges: tuple[Classifier, Any], *, search: bool = False
) -> list[dict[str, Any]]:
    """Train, fit the priors, measure each contestant; a loss that stopped being finite is a result too.

    A search of learning rates needs its own prior and the mixture alone.
    """
    start = time.process_time()
    row: dict[str, Any] = asdict(run) | {"error": None, "passes": run.passes()}
    try:
        kept, model, history = train(run, digits)
    except ValueError as error:
        return [row | {"prior": "own", "error": str(error)}]
    row["seconds"] = round(time.process_time() - start, 1)
    row["loss"] = {name: values[-1] for name, values in history.train.items()}
    if run.family != "GAN":
        row["test_loss"] = [round(v, 2) for v in history.test["loss"]]
        row["reconstructed_sharpness"] = reconstructed(model, digits)
    found = []

    def add(name: str, draw: Draw, **more: Any) -> None:
        torch.manual_seed(run.seed)
        found.append(
            row | {"prior": name} | more | {"samples": measure(model, draw, digits, judges)}
        )

    if run.family == "GAN":
        add("own", prior)
        return found
    generator = torch.Generator().manual_seed(0)
    binary = torch.bernoulli(digits.test_x[:LIKELIHOOD_IMAGES].flatten(1), generator=generator)
    vae = run.family != "AE"
    if vae:
        own_draw, own_log = (
            (model.draw, model.log_prior) if run.family == "VampVAE" else (prior, log_normal)
        )
        more: dict[str, float] = {}
        if not search:
            with torch.no_grad():
                more["log_likelihood"] = log_likelihood(model, binary, {"own": own_log})["own"]
                more["active_units"] = int(active_units(model, digits.test_x).sum())
        add("own", own_draw, **more)
    if run.family == "VampVAE":
        return found
    model.load_state_dict(kept[run.passes(2)])
    codes = codes_of(model, digits.train_x)
    if search:
        add("mixture", fitted(codes, COMPONENTS, run.seed)[0])
        return found
    draws = {"Gaussian": fitted(codes, 1, run.seed), "mixture": fitted(codes, COMPONENTS, run.seed)}
    values: dict[str, float] = {}
    if vae:  # a density of codes as they are drawn, not of their means, is what a likelihood needs
        with torch.no_grad():
            z = model.reparameterize(*model.encode(digits.train_x))
            draws["mixture of z"] = fitted(z, COMPONENTS, run.seed)
            values = log_likelihood(model, binary, {name: log for name, (_, log) in draws.items()})
    for name, (draw, _) in draws.items():
        add(name, draw, **({"log_likelihood": values[name]} if vae else {}))
    model.load_state_dict(kept[run.passes(12)])
    codes = codes_of(model, digits.train_x)
    torch.manual_seed(run.seed)
    diffusion, begun = LatentDiffusion(codes), time.process_time()
    diffusion.fit(codes, steps=DIFFUSION_STEPS)
    add("diffusion", diffusion.draw, fit_seconds=round(time.process_time() - begun, 1))
    return found


@torch.no_grad()
def reconstructed(model: Any, digits: ImageSet) -> dict[str, float]:
    """The sharpness of reconstructed test images, as a multiple of theirs: from the code, and from a drawn one."""
    from vae_helpers.evaluation import sharpness

    x = digits.test_x.flatten(1)
    real, codes = sharpness(x).mean(), model.encode(x)
    mu = codes[0] if isinstance(codes, tuple) else codes
    found = {"of mu": (sharpness(model.decode(mu)).mean() / real).item()}
    if isinstance(codes, tuple):
        z = mu + torch.exp(0.5 * codes[1]) * torch.randn_like(mu)
        found["of z"] = (sharpness(model.decode(z)).mean() / real).item()
    return found


def is_whole(folder: Path, seed: int) -> bool:
    """Whether every run of a seed is there."""
    return all((folder / f"{run.name}.json").exists() for run in runs([seed]))


def collect(
    folder: Path, seeds: list[int], digits: ImageSet, judges: tuple[Classifier, Any]
) -> None:
    """Write the result of the seeds that are whole."""
    whole = [seed for seed in seeds if is_whole(folder, seed)]
    rows = [
        row
        for run in runs(whole)
        for row in json.loads((folder / f"{run.name}.json").read_text("utf-8"))
    ]
    searched = [folder / f"{run.name}.json" for run in search()]
    known = references(digits, judges[0])
    x = digits.train_x.flatten(1)
    known["real against real"]["other_fid"] = other_fid(x[:SAMPLES], digits, judges[1])
    floor = known["one Gaussian on pixels"]["lenet_fid"]
    for row in rows:
        row["failed"] = failed(row, floor)
    sizes = {" ".join(key): count_weights(kind()) for key, kind in KINDS.items()}
    sizes["diffusion"] = count_weights(LatentDiffusion(torch.randn(10, 20)))
    settings = {
        "data": "the 10,000 embedded MNIST training images, grey; tested on the 2,000 embedded test images",
        "budget": f"passes over the digits that take {BUDGET} processor seconds, priors included; one thread",
        "seconds_a_pass": {" ".join(key): value for key, value in SECONDS.items()},
        "weights": sizes,
        "rates": {" ".join(key): value for key, value in RATES.items()},
        "batch_size": {"VAE": 128, "GAN": 64, "AE": 128},
        "latent_dim": 20,
        "samples": SAMPLES,
        "pseudo_inputs": PSEUDO_INPUTS,
        "diffusion": f"{DIFFUSION_STEPS} steps of 256 codes, drawn in 20 steps",
        "likelihood": f"Bernoulli; measured on {LIKELIHOOD_IMAGES} test images, binarised once, k = {K}",
        "failed": "loss not finite, or LeNet-FID above that of one Gaussian on pixels, or effective classes below 5",
        "seeds": whole,
    }
    chosen = [
        {k: row[k] for k in ("architecture", "family", "lr", "prior")}
        | {"lenet_fid": row["samples"]["lenet_fid"]}
        for path in searched
        if path.exists()
        for row in json.loads(path.read_text("utf-8"))
        if "samples" in row
    ]
    rounded = json.loads(
        json.dumps([rows, chosen]), parse_float=lambda text: float(f"{float(text):.4g}")
    )
    record.write(
        "sharper",
        {"settings": settings, "references": known, "search": rounded[1], "runs": rounded[0]},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Every model with every prior.")
    parser.add_argument("folder", type=Path, help="where each run's figures are kept")
    parser.add_argument("--share", default="1/1", help="which part of the runs to make, as in 1/2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--search", action="store_true", help="the runs that choose learning rates")
    arguments = parser.parse_args()
    part, parts = map(int, arguments.share.split("/"))
    arguments.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    digits = load_images("mnist")
    judges = load_pretrained("classifier-mnist"), load_pretrained("lab-classifier-mnist")
    chosen = search() if arguments.search else runs(arguments.seeds)
    for run in tqdm(chosen[part - 1 :: parts]):
        path = arguments.folder / f"{run.name}.json"
        if not path.exists():
            result = make(run, digits, judges, search=arguments.search)
            path.with_suffix(".part").write_text(json.dumps(result), encoding="utf-8")
            path.with_suffix(".part").rename(path)
        if not arguments.search and is_whole(arguments.folder, run.seed):
            collect(arguments.folder, arguments.seeds, digits, judges)


if __name__ == "__main__":
    main()
