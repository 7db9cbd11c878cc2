"""Helpers of an interactive course on Variational Autoencoders.

Each name is loaded when it is first used, so that importing the package costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .checks import check as check
    from .convolutional import ConvVAE as ConvVAE
    from .data import ImageSet as ImageSet
    from .data import TextSet as TextSet
    from .data import load_benchmark as load_benchmark
    from .data import load_images as load_images
    from .data import load_texts as load_texts
    from .evaluation import LogLikelihood as LogLikelihood
    from .evaluation import active_units as active_units
    from .evaluation import class_coverage as class_coverage
    from .evaluation import effective_beta as effective_beta
    from .evaluation import frechet_distance as frechet_distance
    from .evaluation import kl_per_latent as kl_per_latent
    from .evaluation import knn_accuracy as knn_accuracy
    from .evaluation import log_likelihood as log_likelihood
    from .evaluation import memorisation_ratio as memorisation_ratio
    from .evaluation import precision_recall_density_coverage as precision_recall_density_coverage
    from .evaluation import sample_quality as sample_quality
    from .evaluation import sharpness as sharpness
    from .gan_training import fit_gan as fit_gan
    from .interactive.latent_lab import LatentLab as LatentLab
    from .interactive.lesson_sliders import beta_slider as beta_slider
    from .interactive.lesson_sliders import gaussian_sliders as gaussian_sliders
    from .interactive.lesson_sliders import two_gaussian_sliders as two_gaussian_sliders
    from .interactive.predictions import predict as predict
    from .interactive.predictions import prediction_summary as prediction_summary
    from .interactive.report import save_report as save_report
    from .interactive.sliders import FigureSliders as FigureSliders
    from .interactive.sliders import LatentSliders as LatentSliders
    from .interactive.xray import XRay as XRay
    from .latents import interpolate as interpolate
    from .models import GAN as GAN
    from .models import VAE as VAE
    from .models import Autoencoder as Autoencoder
    from .models import Classifier as Classifier
    from .models import ConditionalVAE as ConditionalVAE
    from .models import DenseClassifier as DenseClassifier
    from .objectives import bernoulli_log_likelihood as bernoulli_log_likelihood
    from .objectives import elbo as elbo
    from .objectives import gaussian_log_likelihood as gaussian_log_likelihood
    from .objectives import importance_weighted_bound as importance_weighted_bound
    from .objectives import kl_divergence as kl_divergence
    from .objectives import loss_function as loss_function
    from .pretrained import load_pretrained as load_pretrained
    from .pretrained import pretrained_info as pretrained_info
    from .training import fit as fit
    from .training_runs import History as History

_HOME = {
    "checks": ["check"],
    "convolutional": ["ConvVAE"],
    "data": ["ImageSet", "TextSet", "load_benchmark", "load_images", "load_texts"],
    "evaluation": [
        "LogLikelihood",
        "active_units",
        "class_coverage",
        "effective_beta",
        "frechet_distance",
        "kl_per_latent",
        "knn_accuracy",
        "log_likelihood",
        "memorisation_ratio",
        "precision_recall_density_coverage",
        "sample_quality",
        "sharpness",
    ],
    "gan_training": ["fit_gan"],
    "interactive.latent_lab": ["LatentLab"],
    "interactive.lesson_sliders": ["beta_slider", "gaussian_sliders", "two_gaussian_sliders"],
    "interactive.predictions": ["predict", "prediction_summary"],
    "interactive.report": ["save_report"],
    "interactive.sliders": ["FigureSliders", "LatentSliders"],
    "interactive.xray": ["XRay"],
    "latents": ["interpolate"],
    "models": ["GAN", "VAE", "Autoencoder", "Classifier", "ConditionalVAE", "DenseClassifier"],
    "objectives": [
        "bernoulli_log_likelihood",
        "elbo",
        "gaussian_log_likelihood",
        "importance_weighted_bound",
        "kl_divergence",
        "loss_function",
    ],
    "pretrained": ["load_pretrained", "pretrained_info"],
    "training": ["fit"],
    "training_runs": ["History"],
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605 - of the names above
__version__ = "1.0.0"


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
