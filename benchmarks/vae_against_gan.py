"""VAEs, GANs and autoencoders, with and without a fitted prior: stability, samples, codes, likelihood, over learning
rates and seeds.

    python benchmarks/vae_against_gan.py FOLDER [--share 1/2]

Each run trains on the 10,000 embedded digits, on one thread, until its budget of processor seconds is spent; about as
many weights for each family. A contestant is a family and where its codes come from: the prior N(0, I), or a density
fitted to the codes of the training images (for a VAE, to their means μ), one Gaussian or a mixture of ten. Where one is
fitted, the training ends two seconds earlier. Each run's figures go into FOLDER as they are ready, and a run that is
there is not made again: so the benchmark can be stopped and goes on where it was. `--share 1/2` makes every second
run, for two processes. Once all runs are there, they are written to results/vae_against_gan.json: all of them, the
failed ones too.

A run has FAILED if its loss stopped being finite, if its samples are further from the test images in LeNet-FID than
those of one Gaussian fitted to the pixels, or if they show fewer than 5 classes, effectively.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import record
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor
from tqdm import tqdm

from vae_helpers.data import ImageSet, load_images
from vae_helpers.evaluation import (
    knn_accuracy,
    log_likelihood,
    memorisation_ratio,
    sample_quality,
)
from vae_helpers.gan_training import fit_gan
from vae_helpers.latents import interpolate
from vae_helpers.models import GAN, VAE, Autoencoder, Classifier
from vae_helpers.objectives import Bernoulli, Gaussian, NegativeELBO, Reconstruction
from vae_helpers.pretrained import load_pretrained
from vae_helpers.training import fit
from vae_helpers.training_runs import History

BUDGET = 45.0  # processor seconds of training
RESERVE = 2.0  # of them, for fitting a density to the codes
LEARNING_RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
SEEDS = range(5)
SIGMAS = (1.0, 0.3, 0.1)  # of the Gaussian likelihood, at the learning rate 1e-3
SAMPLES, COMPONENTS, K, LIKELIHOOD_IMAGES = 2_000, 10, 200, 1_000


@dataclass(frozen=True)
class Run:
    """One training. `sigma` is that of a Gaussian likelihood; None means Bernoulli."""

    family: str
    lr: float
    seed: int
    sigma: float | None = None

    @property
    def name(self) -> str:
        """A name for its file."""
        end = "" if self.sigma is None else f"-sigma{self.sigma:g}"
        return f"{self.family.replace(' ', '')}-lr{self.lr:g}{end}-seed{self.seed}"


def runs() -> list[Run]:
    """Every run, seed by seed, so that an early look shows all families."""
    found = []
    for seed in SEEDS:
        found += [Run(f, lr, seed) for lr in LEARNING_RATES for f in ("VAE", "GAN", "AE")]
        found += [Run("VAE", 1e-3, seed, sigma) for sigma in SIGMAS]
    return found


@dataclass(frozen=True)
class Sampler:
    """How a contestant makes images: its model, where codes come from, how they are joined."""

    contestant: str
    model: Any
    draw: Callable[[int], Tensor]
    spherical: bool


def prior(count: int) -> Tensor:
    """Codes from N(0, I), shape (count, 20)."""
    return torch.randn(count, 20)


def _until(budget: float, keep: Callable[[], None] | None = None) -> Callable[[History], None]:
    """A progress callback that presses the stop button once the processor seconds are spent; `keep` is called
    RESERVE seconds before."""
    start, kept = time.process_time(), False

    def progress(_: History) -> None:
        nonlocal kept
        spent = time.process_time() - start
        if keep and not kept and spent >= budget - RESERVE:
            kept = True
            keep()
        if spent >= budget:
            raise KeyboardInterrupt

    return progress


def train(run: Run, digits: ImageSet) -> tuple[list[Sampler], History]:
    """Train the run's model within its budget; every contestant that it gives."""
    torch.manual_seed(run.seed)
    settings: dict[str, Any] = {
        "epochs": 100_000,
        "lr": run.lr,
        "generator": torch.Generator().manual_seed(run.seed),
    }
    if run.family == "GAN":
        gan = GAN()
        history = fit_gan(gan, digits.train_x, progress=_until(BUDGET), **settings)
        return [Sampler("GAN", gan.eval(), prior, True)], history
    if run.family == "AE":
        model = Autoencoder()
        settings |= {"objective": Reconstruction(), "progress": _until(BUDGET - RESERVE)}
        history = fit(model, digits.train_x, **settings)
        fitted = [
            Sampler(f"AE + {name}", model, fit_codes(model, digits, run.seed, components), False)
            for name, components in (("Gaussian", 1), ("mixture", COMPONENTS))
        ]
        return fitted, history
    vae, earlier = VAE(), VAE()
    goal = NegativeELBO(likelihood=Bernoulli() if run.sigma is None else Gaussian(run.sigma))
    settings |= {
        "objective": goal,
        "progress": _until(BUDGET, lambda: (earlier.load_state_dict(vae.state_dict()), None)[1]),
    }
    history = fit(vae, digits.train_x, **settings)
    found = [Sampler("VAE", vae, prior, True)]
    if run.sigma is None:
        draw = fit_codes(earlier, digits, run.seed, COMPONENTS)
        found.append(Sampler("VAE + mixture", earlier, draw, False))
    return found, history


def fit_codes(model: Any, digits: ImageSet, seed: int, components: int) -> Callable[[int], Tensor]:
    """A mixture of Gaussians fitted to the codes of the training images; what draws from it."""
    mixture = GaussianMixture(components, random_state=seed, reg_covar=1e-4)
    mixture.fit(codes_of(model, digits.train_x).double().numpy())

    def draw(count: int) -> Tensor:
        found = torch.from_numpy(mixture.sample(count)[0]).float()
        return found[torch.randperm(count)]  # sample() returns them component by component

    return draw


@torch.no_grad()
def codes_of(model: Any, x: Tensor) -> Tensor:
    """An autoencoder's codes, or a VAE's means."""
    codes = model.encode(x)
    only: Tensor = codes[0] if isinstance(codes, tuple) else codes
    return only


@torch.no_grad()
def measure(run: Run, sampler: Sampler, digits: ImageSet, classifier: Classifier) -> dict[str, Any]:
    """All figures of a contestant. What it does not have is None."""
    model, plain_vae = sampler.model, sampler.contestant == "VAE"
    z = sampler.draw(2 * SAMPLES)
    images = model.decode(z)
    found: dict[str, Any] = {
        "samples": sample_quality(images[:SAMPLES], digits.test_x, digits.train_x, classifier),
        "with_noise": None,
        "code_accuracy": None,
        "log_likelihood": None,
    }
    if plain_vae:
        drawn = (
            torch.bernoulli(images)
            if run.sigma is None
            else (images + run.sigma * torch.randn_like(images)).clamp(0, 1)
        )
        found["with_noise"] = sample_quality(
            drawn[:SAMPLES], digits.test_x, digits.train_x, classifier
        )
    classes = classifier(images).argmax(dim=1)
    half = classes[:SAMPLES].bincount(minlength=10)
    found["class_from_z"] = {
        "accuracy": knn_accuracy(z[:SAMPLES], classes[:SAMPLES], z[SAMPLES:], classes[SAMPLES:]),
        "largest_class": half.max().item() / SAMPLES,
    }
    found["paths"] = _paths(sampler, z[:400], classifier)
    if run.family != "GAN":
        train_codes, test_codes = (codes_of(model, x) for x in (digits.train_x, digits.test_x))
        found["code_accuracy"] = knn_accuracy(
            train_codes, digits.train_y, test_codes, digits.test_y
        )
    if plain_vae and run.sigma is None:
        generator = torch.Generator().manual_seed(0)
        binary = torch.bernoulli(digits.test_x[:LIKELIHOOD_IMAGES], generator=generator)
        estimate = log_likelihood(model, binary, K, generator=generator)
        found["log_likelihood"] = {"mean": estimate.mean, "standard_error": estimate.standard_error}
    return found


def _paths(sampler: Sampler, z: Tensor, classifier: Classifier) -> dict[str, float]:
    """Along paths of 21 codes between pairs: the changes of class, and the classifier's confidence."""
    changes, middle, ends = [], [], []
    for a, b in zip(z[::2], z[1::2], strict=True):
        path = interpolate(a, b, 21, spherical=sampler.spherical)
        confidence, classes = classifier(sampler.model.decode(path)).softmax(dim=1).max(dim=1)
        changes.append((classes[1:] != classes[:-1]).sum().item())
        middle.append(confidence[5:16].mean().item())
        ends.append(confidence[[0, -1]].mean().item())
    return {
        "class_changes": float(np.mean(changes)),
        "confidence_middle": float(np.mean(middle)),
        "confidence_ends": float(np.mean(ends)),
    }


def references(digits: ImageSet, classifier: Classifier) -> dict[str, Any]:
    """What real digits give against real digits, and one Gaussian fitted to the pixels."""
    torch.manual_seed(0)
    x = digits.train_x.flatten(1)
    real = sample_quality(x[:SAMPLES], digits.test_x, x[SAMPLES:], classifier)
    real["memorised"] = memorisation_ratio(digits.test_x, x)
    covariance = torch.cov(x.T.double()) + 1e-6 * torch.eye(784, dtype=torch.float64)
    gaussian = torch.distributions.MultivariateNormal(x.double().mean(dim=0), covariance)
    drawn = gaussian.sample((SAMPLES,)).clamp(0, 1).float()
    return {
        "real against real": real,
        "one Gaussian on pixels": sample_quality(drawn, digits.test_x, x, classifier),
    }


def failed(figures: dict[str, Any], floor: float) -> bool:
    """The definition at the top of this file."""
    if figures["error"]:
        return True
    return bool(figures["samples"]["lenet_fid"] > floor or figures["samples"]["classes"] < 5)


def make(run: Run, digits: ImageSet, classifier: Classifier) -> list[dict[str, Any]]:
    """Train and measure; a loss that stopped being finite is a result too."""
    start = time.process_time()
    row: dict[str, Any] = asdict(run) | {"error": None}
    try:
        samplers, history = train(run, digits)
    except ValueError as error:  # what `fit` and `fit_gan` raise where the loss stops being finite
        row |= {"error": str(error), "seconds": round(time.process_time() - start, 1)}
        return [row | {"contestant": run.family}]
    row["seconds"] = round(time.process_time() - start, 1)
    row["epochs"] = history.finished
    row["loss"] = {name: values[-1] for name, values in history.train.items()}
    return [
        row | {"contestant": one.contestant} | measure(run, one, digits, classifier)
        for one in samplers
    ]


def collect(folder: Path, digits: ImageSet, classifier: Classifier) -> None:
    """Write the result, once every run is there."""
    texts = [(folder / f"{run.name}.json").read_text("utf-8") for run in runs()]
    rows = [row for text in texts for row in json.loads(text)]
    known = references(digits, classifier)
    floor = known["one Gaussian on pixels"]["lenet_fid"]
    for row in rows:
        row["failed"] = failed(row, floor)
    weights = {"VAE": VAE(), "GAN": GAN(), "AE": Autoencoder()}
    sizes = {name: sum(p.numel() for p in model.parameters()) for name, model in weights.items()}
    sizes["mixture"] = COMPONENTS * (1 + 20 + 20 * 21 // 2)
    settings = {
        "data": "the 10,000 embedded MNIST training images, grey; tested on the 2,000 embedded test images",
        "budget": f"{BUDGET:g} processor seconds a run, one thread",
        "weights": sizes,
        "batch_size": {"VAE": 128, "GAN": 64, "AE": 128},
        "latent_dim": 20,
        "samples": SAMPLES,
        "mixture_components": COMPONENTS,
        "likelihood": f"Bernoulli, or Gaussian where sigma is given; measured on {LIKELIHOOD_IMAGES} test images, "
        f"binarised once, k = {K}",
        "failed": "loss not finite, or LeNet-FID above that of one Gaussian on pixels, or effective classes below 5",
    }
    rounded = json.loads(json.dumps(rows), parse_float=lambda text: float(f"{float(text):.4g}"))
    record.write("vae_against_gan", {"settings": settings, "references": known, "runs": rounded})


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare VAEs, GANs and autoencoders.")
    parser.add_argument("folder", type=Path, help="where each run's figures are kept")
    parser.add_argument("--share", default="1/1", help="which part of the runs to make, as in 1/2")
    arguments = parser.parse_args()
    part, parts = map(int, arguments.share.split("/"))
    arguments.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    digits, classifier = load_images("mnist"), load_pretrained("classifier-mnist")
    for run in tqdm(runs()[part - 1 :: parts]):
        path = arguments.folder / f"{run.name}.json"
        if not path.exists():
            result = make(run, digits, classifier)
            path.with_suffix(".part").write_text(json.dumps(result), encoding="utf-8")
            path.with_suffix(".part").rename(path)
    if all((arguments.folder / f"{run.name}.json").exists() for run in runs()):
        collect(arguments.folder, digits, classifier)


if __name__ == "__main__":
    main()
