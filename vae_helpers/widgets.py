"""Sliders for the lessons, made of ipywidgets. They decode with the learner's model; they have none of their own.

JupyterLab may run a callback in another thread than a cell, also while a cell trains the model. So a callback
here decodes from a copy of the model, draws its own random numbers, and touches no state of pyplot.
"""

from __future__ import annotations

import copy
import io
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from . import figures
from .models import PIXELS
from .objectives import bernoulli_log_likelihood, kl_divergence
from .training_runs import model_lock
from .validation import Model, prepare_images

SIDE = 28


class _Snapshot:
    """A copy of a model in evaluation mode, brought up to date before each picture.

    PyTorch's fused optimizers do not count up a tensor's version, so nothing tells whether the weights changed.
    """

    def __init__(self, model: Model) -> None:
        needed = ["given" if hasattr(model, "given") else "encode", "decode"]
        if hasattr(model, "latent_dim") and not hasattr(model, "encode"):
            needed = ["decode"]  # the generator of a GAN
        missing = [name for name in needed if not callable(getattr(model, name, None))]
        if not isinstance(model, nn.Module) or missing:
            raise TypeError(
                f"Sliders need a torch.nn.Module with encode and decode, not {type(model).__name__}."
            )
        self.model = model
        with model_lock(model):
            self.copy: Model = copy.deepcopy(model, _attached_tensors(model)).eval()
        self._theirs = [*model.parameters(), *model.buffers()]
        self._ours = [*self.copy.parameters(), *self.copy.buffers()]
        whole: Model = model  # nn.Module names no such attributes
        self.classes: int | None = whole.classes if "given" in needed else None
        self.latent_dim = self._count_latents() if "encode" in needed else int(whole.latent_dim)

    def _count_latents(self) -> int:
        with torch.inference_mode():
            code = self.copy.encode(torch.zeros(2, PIXELS, device=self._device))
        code = code[0] if isinstance(code, tuple | list) else code
        if code.ndim != 2 or len(code) != 2:
            raise ValueError(
                f"encode must give codes of shape (B, D); for two images it gave {tuple(code.shape)}."
            )
        return int(code.shape[1])

    @property
    def _device(self) -> torch.device:
        return self._ours[0].device if self._ours else torch.device("cpu")

    def decode(self, z: Tensor, label: int = 0) -> Tensor:
        """Codes, shape (B, D), to images on the CPU, shape (B, 784); of the class `label` if the model has classes."""
        with torch.inference_mode():
            with model_lock(self.model):
                for ours, theirs in zip(self._ours, self._theirs, strict=True):
                    ours.data.copy_(theirs.data)
            decoder = self.copy if self.classes is None else self.copy.given(label)
            images: Tensor = decoder.decode(z.to(self._device))
            if images.shape[0] != len(z) or images.numel() != len(z) * PIXELS:
                raise ValueError(
                    f"decode(z) must have the shape ({len(z)}, {PIXELS}), not {tuple(images.shape)}."
                )
            return images.reshape(len(z), PIXELS).cpu()


def _attached_tensors(model: Model) -> dict[int, Any]:
    """A memo for deepcopy: results that a learner keeps on the model (self.mu = mu) cannot be copied otherwise."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach()
    return memo


def latents_by_effect(model: Model) -> list[int]:
    """The latents in the order of how much moving each one from −2 to 2 changes the decoded picture."""
    return _by_effect(_Snapshot(model))


def _by_effect(snapshot: _Snapshot) -> list[int]:
    generator = torch.Generator().manual_seed(0)
    latents = snapshot.latent_dim
    base = torch.randn(16, latents, generator=generator)
    low, high = (base.repeat(latents, 1, 1) for _ in range(2))
    for latent in range(latents):
        low[latent, :, latent], high[latent, :, latent] = -2.0, 2.0
    change = snapshot.decode(high.flatten(0, 1)) - snapshot.decode(low.flatten(0, 1))
    effect = change.square().sum(dim=1).reshape(latents, -1).mean(dim=1)
    return effect.argsort(descending=True).tolist()


def _check_latents(latents: int | Sequence[int] | None, order: list[int]) -> list[int]:
    """The latents that get a slider: all, the most informative few, or those that were named."""
    size = len(order)
    if latents is None:
        return order
    if isinstance(latents, int):
        if not 1 <= latents <= size:
            raise ValueError(
                f"This model has {size} latents: ask for 1 to {size} sliders, not {latents}."
            )
        return order[:latents]
    chosen = list(latents)
    for latent in chosen:
        if isinstance(latent, bool) or not isinstance(latent, int):
            raise TypeError(f"A latent is named by a whole number, not {latent!r}.")
        if not 0 <= latent < size:
            raise ValueError(
                f"There is no latent {latent}: this model has {size}, numbered 0 to {size - 1}."
            )
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"Name at least one latent, and each only once; you named {chosen}.")
    return chosen


def _png(image: Tensor, size: int) -> bytes:
    """One image of 784 numbers as a PNG of size × size pixels."""
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).reshape(SIDE, SIDE).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC).save(
        buffer, "PNG", compress_level=1
    )
    return buffer.getvalue()


class LatentSliders(widgets.VBox):
    """A slider for each latent, and the picture that the decoder makes of them.

    `latents` says which: None for all, the most informative first; a number for the most informative few; or the
    latents themselves. `z` is the code to start from, shape (D,), zeros by default; latents without a slider
    keep it. Each slider goes from −`limit` to `limit`. "new sample" draws z ~ N(0, I). The picture is `size`
    pixels wide. `sliders` maps each latent to its slider, `z` is the present code, `image` the picture. A
    `ConditionalVAE` has a menu of its classes too, `class_menu`, which starts at `label`; a `GAN` has its generator.

    Raises:
        TypeError: not a module with encode and decode, or a latent that is no whole number.
        ValueError: a latent out of range, a `z` of another shape, or a label that the model does not have.
    """

    def __init__(
        self,
        model: Model,
        latents: int | Sequence[int] | None = None,
        *,
        z: Tensor | None = None,
        label: int = 0,
        limit: float = 3.0,
        size: int = 224,
        seed: int = 0,
    ) -> None:
        if not (math.isfinite(limit) and limit > 0):
            raise ValueError(
                f"limit, the end of each slider, must be positive and finite, not {limit}."
            )
        self._snapshot = _Snapshot(model)
        self._latent_dim = self._snapshot.latent_dim
        start = torch.zeros(self._latent_dim) if z is None else self._check_z(z)
        self._generator = torch.Generator().manual_seed(seed)
        self._drawing, self._quiet = threading.RLock(), False
        self._size, self._limit, self._start = size, limit, start
        chosen = _check_latents(latents, _by_effect(self._snapshot))
        self.sliders = {latent: self._slider(latent) for latent in chosen}
        self.image = widgets.Image(format="png", width=size, height=size)
        self.image.layout.min_width = f"{size}px"
        self.random_button = widgets.Button(
            description="new sample", tooltip="draw z from the prior N(0, I)"
        )
        self.reset_button = widgets.Button(
            description="reset", tooltip="back to the code at the start"
        )
        for button in (self.random_button, self.reset_button):
            button.layout.width = "108px"
        self.random_button.on_click(lambda _: self.sample())
        self.reset_button.on_click(lambda _: self.reset())
        columns = 1 if len(chosen) <= 8 else 2
        grid = widgets.GridBox(
            list(self.sliders.values()),
            layout=widgets.Layout(
                grid_template_columns=f"repeat({columns}, 310px)", align_content="flex-start"
            ),
        )
        buttons = widgets.HBox([self.random_button, self.reset_button])
        self.class_menu = self._menu(label)
        menu = [] if self.class_menu is None else [self.class_menu]
        picture = widgets.VBox([*menu, self.image, buttons])
        super().__init__(
            [widgets.HBox([picture, grid], layout=widgets.Layout(flex_flow="row wrap"))]
        )
        self.z = start

    def _menu(self, label: int) -> widgets.Dropdown | None:
        count = self._snapshot.classes
        if label not in range(count or 1):
            has = f"classes 0 to {count - 1}" if count else "no classes"
            raise ValueError(f"There is no class {label!r}: this model has {has}.")
        if count is None:
            return None
        menu = widgets.Dropdown(
            options=list(range(count)),
            value=label,
            description="class",
            layout=widgets.Layout(width="220px"),
            style={"description_width": "44px"},
        )
        menu.observe(self._on_change, names="value")
        return menu

    def _slider(self, latent: int) -> widgets.FloatSlider:
        slider = widgets.FloatSlider(
            min=-self._limit,
            max=self._limit,
            step=0.1,
            description=f"z[{latent}]",
            readout_format=".1f",
            layout=widgets.Layout(width="300px"),
            style={"description_width": "44px"},
        )
        slider.observe(self._on_change, names="value")
        return slider

    def _check_z(self, z: Tensor) -> Tensor:
        z = torch.as_tensor(z, dtype=torch.float32).detach().cpu()
        if z.shape != (self._latent_dim,):
            raise ValueError(f"z must have the shape ({self._latent_dim},), not {tuple(z.shape)}.")
        if not z.isfinite().all():
            raise ValueError("z holds a number that is not finite.")
        return z.clone()

    @property
    def z(self) -> Tensor:
        """The present code, shape (D,). A latent with a slider takes the slider's value."""
        with self._drawing:
            z = self._base.clone()
            for latent, slider in self.sliders.items():
                z[latent] = slider.value
        return z

    @z.setter
    def z(self, z: Tensor) -> None:
        z = self._check_z(z)
        with self._drawing:
            self._base, self._quiet = z, True
            try:
                for latent, slider in self.sliders.items():
                    slider.value = float(z[latent])
            finally:
                self._quiet = False
            self._draw()

    def __repr__(self) -> str:
        return f"Sliders for {', '.join(f'z[{latent}]' for latent in self.sliders)}: run the cell to move them."

    def reset(self) -> None:
        """Go back to the code at the start."""
        self.z = self._start

    def sample(self) -> None:
        """Draw a new code from the prior."""
        self.z = torch.randn(self._latent_dim, generator=self._generator)

    def _on_change(self, change: Any) -> None:
        if not self._quiet:
            self._draw()

    def _draw(self) -> None:
        with self._drawing:
            label = 0 if self.class_menu is None else self.class_menu.value
            self.image.value = _png(self._snapshot.decode(self.z[None], label)[0], self._size)


class FigureSliders(widgets.VBox):
    """A figure that is drawn anew whenever a slider moves.

    `draw(figure, **values)` draws on a new matplotlib figure; a string that it returns is shown below it.
    Each keyword is a slider: (low, high, start) or (low, high, start, step), or a list of the values to choose
    from, the first one to start with. `sliders` maps each keyword to its slider, `image` is the picture.

    Raises:
        ValueError: there is no slider, or one that is not of these forms.
    """

    def __init__(
        self,
        draw: Callable[..., str | None],
        *,
        figsize: tuple[float, float] = (7.0, 3.6),
        labels: Mapping[str, str] | None = None,
        **controls: tuple[float, ...] | list[Any],
    ) -> None:
        if not controls:
            raise ValueError("Name at least one slider, as in FigureSliders(draw, mu=(-3, 3, 0)).")
        self._draw, self._figsize, self._drawing = draw, figsize, threading.RLock()
        names = labels or {}
        self.sliders = {
            key: _control(key, names.get(key, key), spec) for key, spec in controls.items()
        }
        self.image = widgets.Image(format="png")
        self.image.layout.max_width = "100%"
        self.text = widgets.HTML()
        for slider in self.sliders.values():
            slider.observe(lambda _: self.redraw(), names="value")
        super().__init__([*self.sliders.values(), self.image, self.text])
        self.redraw()

    def __repr__(self) -> str:
        names = ", ".join(slider.description for slider in self.sliders.values())
        return f"Sliders for {names}: run the cell to move them."

    def redraw(self) -> None:
        """Draw the figure for the sliders' present values."""
        with self._drawing:
            figure = Figure(figsize=self._figsize, layout="constrained")
            said = self._draw(figure, **{key: slider.value for key, slider in self.sliders.items()})
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=80, pil_kwargs={"compress_level": 1})
            self.image.value = buffer.getvalue()
            self.text.value = said or ""


def _control(key: str, label: str, spec: tuple[float, ...] | list[Any]) -> widgets.Widget:
    layout, style = widgets.Layout(width="420px"), {"description_width": "110px"}
    if isinstance(spec, list) and spec:
        return widgets.SelectionSlider(
            options=spec, value=spec[0], description=label, layout=layout, style=style
        )
    if not isinstance(spec, tuple) or len(spec) not in (3, 4) or not spec[0] <= spec[2] <= spec[1]:
        raise ValueError(
            f"The slider {key} must be (low, high, start) or a list of values, not {spec!r}."
        )
    low, high, start = spec[:3]
    step = spec[3] if len(spec) == 4 else (high - low) / 60
    return widgets.FloatSlider(
        min=low, max=high, value=start, step=step, description=label, layout=layout, style=style
    )


# --- the sliders of lessons 02 and 03 -----------------------------------------------------------


def gaussian_sliders(*, draws: int = 40, seed: int = 0) -> FigureSliders:
    """Sliders for μ and log σ² of one Gaussian; the same ε is used again at each move, z = μ + σ·ε."""
    eps = torch.randn(draws, generator=torch.Generator().manual_seed(seed)).numpy()

    def draw(figure: Figure, mu: float, logvar: float) -> str:
        sigma = math.exp(0.5 * logvar)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        upper.set_xlim(-8, 8)
        figures.draw_gaussian(
            upper, 0, 1, color=figures.GREY, linestyle="--", label="N(0, 1), where ε comes from"
        )
        figures.draw_gaussian(
            upper, mu, sigma, color=figures.ORANGE, label="N(μ, σ²), where z comes from"
        )
        upper.set_ylim(0, 1.2)
        upper.set_ylabel("density")
        upper.legend(loc="upper left")
        lower.scatter(eps, np.ones(draws), color=figures.GREY, s=18)
        lower.scatter(mu + sigma * eps, np.zeros(draws), color=figures.ORANGE, s=18)
        for e in eps:
            lower.plot([e, mu + sigma * e], [1, 0], color="black", linewidth=0.4, alpha=0.5)
        lower.set_yticks([0, 1], ["z", "ε"])
        lower.set_ylim(-0.4, 1.4)
        lower.set_xlabel("value")
        return f"σ = exp(½ log σ²) = {sigma:.2f}. The {draws} draws of ε stay where they are; each z follows μ and σ."

    return FigureSliders(
        draw,
        labels={"mu": "μ", "logvar": "log σ²"},
        mu=(-3.0, 3.0, 0.0, 0.1),
        logvar=(-4.0, 2.0, 0.0, 0.1),
    )


def two_gaussian_sliders() -> FigureSliders:
    """Sliders for μ and log σ² of q = N(μ, σ²), beside the prior p = N(0, 1), and their KL divergence in nats."""

    def draw(figure: Figure, mu: float, logvar: float) -> str:
        sigma = math.exp(0.5 * logvar)
        parts = [0.5 * mu**2, 0.5 * (sigma**2 - 1 - logvar)]
        left, right = figure.subplots(1, 2, width_ratios=(3, 1.3))
        left.set_xlim(-6, 6)
        left.set_ylim(0, 1.5)
        figures.draw_gaussian(
            left, 0, 1, color=figures.GREY, linestyle="--", label="p(z) = N(0, 1)"
        )
        figures.draw_gaussian(left, mu, sigma, color=figures.BLUE, label="q(z|x) = N(μ, σ²)")
        left.set_xlabel("z")
        left.set_ylabel("density")
        left.legend(loc="upper left")
        right.bar(
            ["mean\n½μ²", "spread\n½(σ²−1−log σ²)"], parts, color=[figures.BLUE, figures.ORANGE]
        )
        right.set_ylim(0, 5)
        right.set_ylabel("nats")
        right.set_title(f"KL = {sum(parts):.2f} nats")
        return f"σ = {sigma:.2f}: the mean costs {parts[0]:.2f} nats and the spread {parts[1]:.2f}."

    return FigureSliders(
        draw,
        figsize=(9, 3.6),
        labels={"mu": "μ", "logvar": "log σ²"},
        mu=(-3.0, 3.0, 1.0, 0.1),
        logvar=(-4.0, 2.0, 0.0, 0.1),
    )


def beta_slider(
    models: Mapping[float, Model], x: Tensor, *, shown: int = 10, seed: int = 0
) -> FigureSliders:
    """A slider over models trained with different weights β: reconstructions of `x` and samples from the prior.

    The terms below the picture are averages over all of `x`, in nats per image; `shown` images are drawn.
    """
    if not models:
        raise ValueError("There are no models to choose from.")
    x = prepare_images(x)
    pictures, sentences = {}, {}
    for beta, model in sorted(models.items()):
        generator = torch.Generator().manual_seed(seed)
        with torch.inference_mode():
            mu, logvar = model.encode(x)
            noise = torch.randn(mu.shape, generator=generator)
            recon_x = model.decode(mu + torch.exp(0.5 * logvar) * noise)
            samples = model.decode(torch.randn(shown, mu.shape[1], generator=generator))
            recon = -bernoulli_log_likelihood(recon_x, x).mean().item()
            kl = kl_divergence(mu, logvar).mean().item()
        pictures[beta] = torch.cat([x[:shown], recon_x[:shown], samples])
        sentences[beta] = (
            f"β = {beta:g}: reconstruction {recon:.1f} nats, KL {kl:.1f} nats, per image."
        )

    def draw(figure: Figure, beta: float) -> str:
        rows = ("image x", "recon_x", "z ~ N(0, I)")
        figures.draw_images(figure.subplots(), pictures[beta], columns=shown, row_labels=rows)
        return sentences[beta]

    return FigureSliders(draw, figsize=(9, 3.0), labels={"beta": "β"}, beta=sorted(models))
