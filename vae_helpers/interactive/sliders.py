"""Sliders made of ipywidgets. They decode with the learner's model; they have none of their own.

JupyterLab may run a callback in another thread than a cell, also while a cell trains the model. So a callback
here decodes from a copy of the model, draws its own random numbers, and touches no state of pyplot.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from vae_helpers.validation import Model

from .snapshot import Snapshot, latents_by_effect

SIDE, SHOWN_SIDE = 28, 224  # pixels of an image, and of the picture, each way
LIMIT = 3.0  # the end of each slider, in standard deviations of the prior


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


def _png(image: Tensor) -> bytes:
    """One image of 784 numbers as a PNG of 224 × 224 pixels."""
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).reshape(SIDE, SIDE).numpy()
    picture = Image.fromarray(pixels).resize((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class LatentSliders(widgets.VBox):
    """A slider for each latent, and the picture that the decoder makes of them.

    `latents` says which: None for all, the most informative first; a number for the most informative few; or the
    latents themselves. `z` is the code to start from, shape (D,), zeros by default; latents without a slider keep it.
    Each slider goes from −3 to 3. "new sample" draws z ~ N(0, I). `sliders` maps each latent to its slider, `z` is the
    present code, `image` the picture. A `ConditionalVAE` has a menu of its classes too, `class_menu`, which starts at
    `label`; a `GAN` has its generator.

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
        seed: int = 0,
    ) -> None:
        self._snapshot = Snapshot(model)
        self._latent_dim = self._snapshot.latent_dim
        start = torch.zeros(self._latent_dim, device="cpu") if z is None else self._check_z(z)
        self._generator = torch.Generator().manual_seed(seed)
        self._drawing, self._quiet = threading.RLock(), False
        self._start = start
        chosen = _check_latents(latents, latents_by_effect(self._snapshot))
        self.sliders = {latent: self._slider(latent) for latent in chosen}
        self.image = widgets.Image(format="png", width=SHOWN_SIDE, height=SHOWN_SIDE)
        self.image.layout.min_width = f"{SHOWN_SIDE}px"
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
            min=-LIMIT,
            max=LIMIT,
            step=0.1,
            description=f"z[{latent}]",
            readout_format=".1f",
            layout=widgets.Layout(width="300px"),
            style={"description_width": "44px"},
        )
        slider.observe(self._on_change, names="value")
        return slider

    def _check_z(self, z: Tensor) -> Tensor:
        z = torch.as_tensor(z).detach().cpu().float()
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
        self.z = torch.randn(
            self._latent_dim, generator=self._generator, device="cpu", dtype=torch.float32
        )

    def _on_change(self, change: Any) -> None:
        if not self._quiet:
            self._draw()

    def _draw(self) -> None:
        with self._drawing:
            label = 0 if self.class_menu is None else self.class_menu.value
            self.image.value = _png(self._snapshot.decode(self.z[None], label)[0])


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
