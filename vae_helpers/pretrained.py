"""The weights that come with the course."""

from __future__ import annotations

import difflib
import hashlib
import json
from pathlib import Path
from typing import Any

from .convolutional import ConvVAE
from .models import GAN, VAE, Autoencoder, Classifier, ConditionalVAE, DenseClassifier
from .sequences import Alphabet, SequenceVAE

WEIGHTS = Path(__file__).parent / "weights"
Pretrained = (
    VAE | ConvVAE | Autoencoder | ConditionalVAE | GAN | Classifier | DenseClassifier | SequenceVAE
)
KINDS: dict[str, type[Pretrained]] = {
    kind.__name__: kind
    for kind in (
        VAE,
        ConvVAE,
        Autoencoder,
        ConditionalVAE,
        GAN,
        Classifier,
        DenseClassifier,
        SequenceVAE,
    )
}
REMEDY = "Restore it with `git checkout -- vae_helpers/weights`, or install the course again."


def pretrained_names() -> list[str]:
    """The names that `load_pretrained` knows."""
    return sorted(path.stem for path in WEIGHTS.glob("*.json"))


def pretrained_info(name: str) -> dict[str, Any]:
    """How a shipped model was trained, and how it does on the test images.

    Raises:
        ValueError: there is no model of that name.
    """
    names = pretrained_names()
    if name not in names:
        near = difflib.get_close_matches(str(name).lower(), names, n=1, cutoff=0.3)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"There are no weights {name!r}.{hint} The course has: {', '.join(names)}."
        )
    info: dict[str, Any] = json.loads((WEIGHTS / f"{name}.json").read_text(encoding="utf-8"))
    return info


def load_pretrained(name: str) -> Any:
    """Load a trained model by name, in evaluation mode, its file verified.

    It is of the kind that `pretrained_info(name)["model"]` names: a class of `vae_helpers`.

    Raises:
        ValueError: there is no model of that name.
        OSError: its file is missing or damaged, or its weights do not fit the model.
    """
    from safetensors.torch import load

    info = pretrained_info(name)
    path = WEIGHTS / f"{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"The weights {path} are missing. {REMEDY}")
    payload = path.read_bytes()
    if hashlib.sha256(payload).hexdigest() != info["sha256"]:
        raise OSError(
            f"The weights {path} are damaged: their hash is not the one in {name}.json. {REMEDY}"
        )
    arguments = dict(info["arguments"])
    if "alphabet" in info:
        arguments["alphabet"] = Alphabet.of(**info["alphabet"])
    model = KINDS[info["model"]](**arguments)
    try:
        model.load_state_dict(load(payload))  # float16 becomes float32 as it is copied
    except RuntimeError as error:
        raise OSError(
            f"The weights {path} do not fit {info['model']}({info['arguments']}): {error} {REMEDY}"
        ) from error
    return model.eval()
