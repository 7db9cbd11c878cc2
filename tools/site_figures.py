"""What the live figures of the site compute with.

A notebook's widget is found by its call. `FIGURES` says what the page computes in its place; the widget itself is made
here, of the package and the shipped weights, and its text must be the one that was committed with the notebook.
"""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from site_states import Figure, bills, bounds, patches, used_latents
from torch import nn

from vae_helpers import (
    ConditionalVAE,
    LatentLab,
    LatentSliders,
    XRay,
    load_images,
    load_pretrained,
)
from vae_helpers.devices import encoded
from vae_helpers.figures import CLASS_COLOURS
from vae_helpers.interactive.lesson_sliders import (
    beta_slider,
    gaussian_sliders,
    two_gaussian_sliders,
)
from vae_helpers.interactive.pages import Packer, network_of

VIEW = "application/vnd.jupyter.widget-view+json"
WIDGETS = (
    "LatentLab",
    "LatentSliders",
    "FigureSliders",
    "gaussian_sliders",
    "two_gaussian_sliders",
    "beta_slider",
    "XRay",
)
BETAS = (0.0, 0.1, 0.3, 1.0, 2.0, 4.0, 7.0, 10.0)
STILL = "These controls move in JupyterLab alone: they need what the lesson computes. A figure below shows some states."
WITHOUT = "This figure moves where the page comes from a server and may run JavaScript."


class Store:
    """The files that the figures load, below `folder`: each model once, as half-precision weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layers: dict[str, Any] = {}
        (folder / "models").mkdir()
        (folder / "data").mkdir()

    def data(self, name: str, content: bytes) -> str:
        """Write a file of bytes once; gives its address."""
        address = f"data/{name}.bin"
        (self.folder / address).write_bytes(content)
        return address

    def network(self, name: str) -> Any:
        """The layers of a shipped model: whole, or the decoder alone of what the page need not encode with."""
        if name not in self.layers:
            model, packer = load_pretrained(name), Packer()
            if isinstance(model, ConditionalVAE):
                self.layers[name] = {"decoder": packer.layers(model.fc_dec)}
            elif hasattr(model, "generator"):
                self.layers[name] = {"decoder": packer.layers(_without_norms(model.generator))}
            elif "beta" in name:
                self.layers[name] = {"decoder": packer.layers(model.fc_dec)}
            elif isinstance(model, nn.Sequential):
                self.layers[name] = packer.layers(model)
            else:
                self.layers[name] = network_of(model, packer, "The site")
            self.path(name).write_bytes(packer.half().numpy().tobytes())
        return self.layers[name]

    def beginning(self, names: list[str]) -> dict[str, int]:
        """The size of models in one piece, and how much of it the first one's decoder takes: it comes first."""
        last = [layer for layer in self.network(names[0])["decoder"] if layer[0] == "linear"][-1]
        _, inputs, outputs, start = last
        size = sum(self.path(name).stat().st_size for name in names)
        return {"size": size, "enough": 2 * (start + inputs * outputs + outputs)}

    def file(self, name: str) -> str:
        """The address of a model's weights, which are written if need be."""
        self.network(name)
        return self.path(name).relative_to(self.folder).as_posix()

    def path(self, name: str) -> Path:
        """Where a model's weights lie."""
        return self.folder / "models" / f"{name}.bin"


def _without_norms(layers: nn.Sequential) -> nn.Sequential:
    """The same network with each batch norm, as it is after the training, within the linear layer before it."""
    kept: list[Any] = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm1d):
            kept[-1] = torch.nn.utils.fusion.fuse_linear_bn_eval(kept[-1], layer)
        else:
            kept.append(layer)
    return nn.Sequential(*kept)


def latent_sliders(store: Store, name: str, latents: int | None = None, **more: Any) -> Figure:
    """LatentSliders of a shipped model."""
    widget = LatentSliders(load_pretrained(name), latents, **more)
    menu = widget.class_menu
    spec = {
        "decoder": store.network(name)["decoder"],
        "latents": list(widget.sliders),
        "z": widget.z.tolist(),
        "classes": menu and len(menu.options),
        "label": menu and menu.value,
    }
    return repr(widget), "latent_sliders", {"spec": spec}, {"blob": [store.file(name)]}


def seven_sliders(store: Store) -> Figure:
    """The sliders of lesson 00, which begin at the code of the first test image."""
    seven, _ = encoded(load_pretrained("vae-mnist-20"), load_images("mnist").test_x[:1])
    return latent_sliders(store, "vae-mnist-20", 8, z=seven[0].detach())


def lab(store: Store, vae: str, autoencoder: str | None = None) -> Figure:
    """The latent lab of shipped models."""
    names = [vae, *([autoencoder] if autoencoder else []), "lab-classifier-mnist"]
    widget = LatentLab(
        load_pretrained(vae),
        autoencoder=load_pretrained(autoencoder) if autoencoder else None,
        classifier=load_pretrained(names[-1]),
        images=load_images("mnist"),
    )
    files = {
        "blob": [store.file(name) for name in names],
        "codes": [store.data(f"codes-{vae}", bytes(widget.codes))],
        "images": [store.data("images", bytes(widget.images))],
    }
    blob = b"".join(store.path(name).read_bytes() for name in names)
    assert blob == bytes(widget.blob), "the lab packs its models in another order"
    return repr(widget), "latent_lab", {"spec": widget.spec, "z": widget.z, "x": widget.x}, files


def gaussians(store: Store) -> Figure:
    """The Gaussian of lesson 02."""
    eps = torch.randn(40, generator=torch.Generator().manual_seed(0)).tolist()
    return repr(gaussian_sliders()), "gaussian_sliders", {"spec": {"eps": eps}}, {}


def two_gaussians(store: Store) -> Figure:
    """The two Gaussians of lesson 03; all they need is a formula."""
    return repr(two_gaussian_sliders()), "two_gaussian_sliders", {"spec": {}}, {}


@torch.no_grad()
def betas(store: Store) -> Figure:
    """The models of lesson 03: the codes and the averages come from here, the pictures from the page."""
    x = load_images("mnist").test_x
    models = {beta: load_pretrained(f"vae-mnist-beta-{beta:g}") for beta in BETAS}
    widget = beta_slider(models, x)
    codes, sentences, decoders, at = {}, {}, {}, 0
    for beta, model in models.items():
        name = f"{beta:g}"
        # the draws of beta_slider, in its order
        generator = torch.Generator().manual_seed(0)
        mu, logvar = encoded(model, x)
        z = mu + torch.exp(0.5 * logvar) * torch.randn(mu.shape, generator=generator)
        codes[name] = z[:10].tolist()
        samples = torch.randn(10, mu.shape[1], generator=generator).tolist()
        widget.sliders["beta"].value = beta
        sentences[name] = widget.text.value
        layers = store.network(f"vae-mnist-beta-{name}")["decoder"]
        decoders[name] = [
            (*layer[:3], at + layer[3]) if len(layer) > 1 else layer for layer in layers
        ]
        at += store.path(f"vae-mnist-beta-{name}").stat().st_size // 2
    spec = {"decoders": list(decoders.values()), "codes": list(codes.values()), "samples": samples}
    spec |= {"betas": list(decoders), "sentences": list(sentences.values())}
    files = {
        "blob": [store.file(f"vae-mnist-beta-{name}") for name in decoders],
        "images": [store.data("first-images", (x[:10] * 255).round().byte().numpy().tobytes())],
    }
    return repr(widget), "beta_slider", {"spec": spec}, files


@torch.no_grad()
def patch(store: Store) -> Figure:
    """The patch of lesson 01: that of the first two among the test images."""
    digits = load_images("mnist")
    mu, logvar = encoded(load_pretrained("vae-mnist-2"), digits.test_x)
    chosen = int(torch.nonzero(digits.test_y == 2)[0])
    low, high = mu[:400].min(dim=0).values - 0.3, mu[:400].max(dim=0).values + 0.3
    spec = {
        "decoder": store.network("vae-mnist-2")["decoder"],
        "mu": mu[chosen].tolist(),
        "sigma": torch.exp(0.5 * logvar[chosen]).tolist(),
        "eps": torch.randn(18, 2, generator=torch.Generator().manual_seed(1)).tolist(),
        "codes": [[round(c, 3) for c in code] for code in mu[:400].tolist()],
        "labels": digits.test_y[:400].tolist(),
        "colours": list(CLASS_COLOURS),
        "limits": torch.stack([low, high], dim=1).tolist(),
    }
    text = "Sliders for width: run the cell to move them."
    return text, "patch", {"spec": spec}, {"blob": [store.file("vae-mnist-2")]}


def xray(store: Store) -> Figure:
    """The x-ray of the VAE whose weights lessons 02 and 03 load."""
    widget = XRay(load_pretrained("vae-mnist-20"), load_images("mnist"))
    layers = store.network("vae-mnist-20")
    assert store.path("vae-mnist-20").read_bytes() == bytes(widget.blob)
    files = {
        "blob": [store.file("vae-mnist-20")],
        "images": [store.data("images", bytes(widget.images))],
    }
    return repr(widget), "xray", {"spec": {"network": layers}}, files


# What is made of a model that the lesson trains has no figure.
FIGURES: dict[str, dict[str, Callable[[Store], Figure] | None]] = {
    "00_start_here": {
        "LatentSliders(flat_vae)": lambda store: latent_sliders(store, "vae-mnist-2"),
        "LatentSliders(vae, latents=8, z=seven[0])": seven_sliders,
        "LatentLab(vae, images=digits, classifier=load_pretrained('lab-classifier-mnist'))": lambda store: (
            lab(store, "vae-mnist-20")
        ),
    },
    "01_key_concepts": {
        "FigureSliders(draw_patch, figsize=(9, 3.8), width=(0.1, 15.0, 1.0, 0.1))": patch,
        "LatentLab(vae, autoencoder=autoencoder, images=digits, classifier=classifier)": lambda store: (
            lab(store, "vae-mnist-2", "autoencoder-mnist-2")
        ),
    },
    "02_architecture": {"gaussian_sliders()": gaussians, "XRay(model, digits)": xray},
    "03_loss": {
        "beta_slider(models, digits.test_x)": betas,
        "two_gaussian_sliders()": two_gaussians,
        "FigureSliders(draw_pass, figsize=(11, 3.2), digit=list(range(10)), width=(0.1, 8.0, 1.0, 0.1))": patches,
        "XRay(vae, digits)": xray,
    },
    "04_why_it_matters": {
        "LatentLab(vae, images=digits, classifier=load_pretrained('lab-classifier-mnist'))": lambda store: (
            lab(store, "vae-mnist-20")
        ),
        "LatentSliders(conditional, latents=6, label=5)": lambda store: latent_sliders(
            store, "conditional-vae-mnist-20", 6, label=5
        ),
    },
    "05_vae_and_gan": {
        "LatentSliders(shipped_gan, latents=6, seed=1)": lambda store: latent_sliders(
            store, "gan-mnist-20", 6, seed=1
        ),
    },
    "06_exercise": {"LatentSliders(model, latents=8)": None},
    "07_mini_project": {"LatentLab(flat, images=images)": None},
    "08_how_good_is_it": {
        "FigureSliders(draw_bounds, figsize=(10, 3.6), labels={'shift': 'shift', 'scale': 'scale'}, "
        "shift=(0.0, 3.0, 1.0, 0.25), scale=(0.25, 3.0, 1.0, 0.25))": bounds,
        "FigureSliders(draw_used, figsize=(10, 3.6), labels={'sigma': 'σ'}, sigma=(0.3, 2.5, 1.0, 0.1))": used_latents,
    },
    "12_compression": {
        "FigureSliders(draw_bill, figsize=(9, 3.8), labels={'beta': 'β'}, beta=betas)": bills,
    },
}


# Where a lesson computes the answer to a prediction: what it prints, and how the answer comes from these numbers.
TOLD: dict[str, dict[str, tuple[str, Callable[..., float]]]] = {
    "06_exercise": {
        "first_loss": (r"the course's is (\d+) nats", float),
        "third_epoch": (r"epoch 3: (\d+) nats", float),
    },
    "07_mini_project": {
        "cost": (
            r"2 latents +loss (\d+).*\n20 latents +loss (\d+)",
            lambda flat, deep: flat - deep,
        ),
        "two_numbers": (r"(\d+)% right", lambda percent: percent / 100),
        "told": (
            r"β = +1\.0:.* right ([\d.]+).*\nβ = +4\.0:.* right ([\d.]+)",
            lambda one, four: four - one,
        ),
        "in_plane": (r"(\d+)% of the variance", lambda percent: percent / 100),
    },
    "08_how_good_is_it": {"expected": (r"([\d.]+)  60,000 digits, 10 epochs", float)},
    "12_compression": {"size": (r"([\d,]+) bytes in all", float)},
}


def place(figure: Figure, instead: str, *, begin: dict[str, int] | None = None) -> str:
    """A place where a figure comes alive; until then, it shows `instead`.

    With `begin` it plays, and does so as soon as `enough` of the `size` bytes of its weights are there.
    """
    _, module, state, files = figure
    data = {"state": state, "bytes": files, "begin": begin}
    text = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    return (
        f'<div data-figure="{module}"{" data-plays" if begin else ""}>'
        f'<script type="application/json">{text}</script>{instead}</div>'
    )


class Lesson:
    """The widgets of one notebook, and the places that stand for them."""

    def __init__(self, stem: str, cells: list[Any], store: Store) -> None:
        self.known, self.store = dict(FIGURES.get(stem, {})), store
        code = [cell for cell in cells if cell.cell_type == "code"]
        calls = [call for cell in code for call in _calls(ast.parse(cell.source))]
        printed = "".join(output.get("text", "") for cell in code for output in cell.outputs)
        told = TOLD.get(stem, {})
        self.answers = {
            name: (
                _answer(call.args[0], printed, told.get(name)),
                next((ast.literal_eval(word.value) for word in call.keywords), None),
            )
            for call in calls
            if isinstance(call.func, ast.Attribute) and call.func.attr == "reveal"
            for name in [ast.unparse(call.func.value)]
        }
        self.questions = [
            ast.literal_eval(call.args[0]) for call in calls if _name(call) == "predict"
        ]

    def instead(self, cell: Any, said: str) -> str:
        """What the page shows in place of a cell's widget; `said` is the widget's committed text.

        Raises:
            ValueError: the widget is unknown here, or is another one than was committed.
        """
        tree = ast.parse(cell.source)
        calls = _calls(tree)
        for call in calls:
            if _name(call) == "predict":
                return self._prediction(tree, call)
            if _name(call) == "prediction_summary":
                figure: Figure = (
                    "",
                    "prediction_summary",
                    {"spec": {"questions": self.questions}},
                    {},
                )
                return place(figure, _sentence("With JavaScript this line counts your guesses."))
        (call,) = (node for node in calls if _name(node) in WIDGETS)
        name = ast.unparse(call)
        if name not in self.known and _name(call) != "FigureSliders":
            raise ValueError(f"The site does not know {name}: see FIGURES.")
        make = self.known.pop(name, None)
        if make is None:
            return _sentence(STILL)
        figure = make(self.store)
        if figure[0] != said:
            raise ValueError(f"{ast.unparse(call)} makes {figure[0]!r}; the notebook has {said!r}.")
        return place(figure, _sentence(f"{WITHOUT} The figure below shows some of its positions."))

    def _prediction(self, tree: ast.Module, call: ast.Call) -> str:
        (variable,) = (
            node.targets[0].id  # type: ignore[attr-defined]
            for node in tree.body
            if isinstance(node, ast.Assign) and node.value is call
        )
        given = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
        values = [ast.literal_eval(value) for value in call.args]
        answer, within = self.answers[variable]
        limits = given.get("range")
        spec = {
            "question": values[0],
            "choices": values[1] if len(values) > 1 else None,
            "range": limits,
            "unit": given.get("unit", ""),
            "answer": answer,
            "within": within or (limits and (limits[1] - limits[0]) / 10),
        }
        said = (
            "Make your guess before you open what follows; with JavaScript you commit to it here."
        )
        return place(("", "prediction", {"spec": spec}, {}), _sentence(said))


def _calls(tree: ast.Module) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def _answer(revealed: ast.expr, printed: str, told: tuple[str, Callable[..., float]] | None) -> Any:
    """What a lesson reveals: a constant, or what it computed, read from what it printed."""
    if isinstance(revealed, ast.Constant):
        return revealed.value
    assert told, f"TOLD does not say where {ast.unparse(revealed)} is printed."
    numbers = re.findall(told[0], printed)
    assert len(numbers) == 1, f"{told[0]!r} is printed {len(numbers)} times."
    found = numbers[0] if isinstance(numbers[0], tuple) else numbers
    value = told[1](*(float(number.replace(",", "")) for number in found))
    if not isinstance(revealed, ast.IfExp):
        return value
    (name,) = {node.id for node in ast.walk(revealed) if isinstance(node, ast.Name)} - {"abs"}
    return eval(ast.unparse(revealed), {name: value})  # one of the choices


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _sentence(text: str) -> str:
    return f'<p class="still">{html.escape(text)}</p>'
