"""Draw on given axes and return the artists. Nothing here shows a figure or changes matplotlib's settings."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.contour import QuadContourSet
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch
from torch import Tensor

from .devices import given_to
from .training_runs import History
from .validation import Model

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
GREY = "#5F5F5F"
PALE = ("#D3E6F3", "#FBE0CC", "#CFEBE0", "#EAEAEA")  # of the first three and of grey
# Ten colours that the colour-blind can tell apart (Paul Tol's "muted" and black); each class also has its digit.
CLASS_COLOURS = (
    "#332288",
    "#CC6677",
    "#117733",
    "#AA4499",
    "#44AA99",
    "#882255",
    "#88CCEE",
    "#999933",
    "#000000",
    "#DDAA33",
)


def tile(images: Tensor, columns: int, *, gap: int = 2) -> Tensor:
    """Lay images, shape (N, 784) or (N, 1, 28, 28), out as one picture with white gaps between them."""
    if len(images) == 0:
        raise ValueError("There are no images to lay out.")
    images = images.detach().reshape(-1, 28, 28).cpu()
    rows = math.ceil(len(images) / columns)
    step = 28 + gap
    canvas = torch.ones(rows * step - gap, columns * step - gap, device="cpu")
    for index, image in enumerate(images):
        top, left = index // columns * step, index % columns * step
        canvas[top : top + 28, left : left + 28] = image
    return canvas


def draw_images(
    ax: Axes,
    images: Tensor,
    *,
    columns: int | None = None,
    title: str | None = None,
    row_labels: Sequence[str] | None = None,
) -> AxesImage:
    """Draw images, shape (N, 784) or (N, 1, 28, 28), in rows on one axes; `row_labels` names each row."""
    columns = columns or min(len(images), 10)
    picture = ax.imshow(tile(images, columns).numpy(), cmap="gray", vmin=0, vmax=1)
    ax.set_xticks([])
    ax.set_yticks([])
    if row_labels:
        ax.set_yticks([13.5 + 30 * row for row in range(len(row_labels))], row_labels)
        ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    if title:
        ax.set_title(title)
    return picture


def draw_history(ax: Axes, history: History, *, term: str = "loss") -> list[Line2D]:
    """Draw one term of a training run against the epoch, in nats per image."""
    lines = []
    for name, values, marker in (("training", history.train, "o"), ("test", history.test, "s")):
        if values.get(term):
            epochs = range(1, len(values[term]) + 1)
            lines += ax.plot(
                epochs, values[term], marker=marker, markersize=4, label=f"{name} images"
            )
    ax.set_xlabel("epoch")
    ax.set_ylabel(f"{term} (nats per image)")
    if lines:
        ax.legend()
    return lines


def draw_codes(
    ax: Axes,
    codes: Tensor,
    labels: Tensor,
    *,
    names: Sequence[str] | None = None,
    size: float = 28.0,
) -> list[PathCollection]:
    """Scatter codes, shape (N, 2): each class has its colour, and its digit (or its letter) as marker."""
    if codes.ndim != 2 or codes.shape[1] != 2:
        raise ValueError(f"Codes to draw must have the shape (N, 2), not {tuple(codes.shape)}.")
    points = codes.detach().cpu().numpy()
    drawn = []
    for label in sorted(set(labels.tolist())):
        chosen = points[labels.cpu().numpy() == label]
        name = names[label] if names else str(label)
        drawn.append(
            ax.scatter(
                chosen[:, 0],
                chosen[:, 1],
                s=size,
                marker=f"${name[0]}$",
                color=CLASS_COLOURS[label % 10],
                linewidths=0,
                label=name,
            )
        )
    _name_latents(ax)
    return drawn


@torch.no_grad()
def draw_regions(
    ax: Axes, codes: Tensor, classes: Tensor, *, neighbours: int = 20, side: int = 120
) -> AxesImage:
    """Colour the plane by the class that prevails among the nearest codes: the stronger, the more of them agree.

    Codes, (N, 2), and their classes, (N,); the picture covers all but the outermost hundredth of them. A place that
    is farther from its nearest code than a tenth of the picture's width stays white.
    """
    codes, classes = codes.float().cpu(), classes.cpu()
    low, high = (codes.quantile(share, dim=0) for share in (0.01, 0.99))
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    across, up = (torch.linspace(low[i].item(), high[i].item(), side) for i in (0, 1))
    picture = torch.ones(side * side, 4)
    colours = torch.tensor([to_rgba(colour) for colour in CLASS_COLOURS])
    places = torch.cartesian_prod(up, across).flip(1)
    for part, rgba in zip(places.split(1_000), picture.split(1_000), strict=True):
        distances, nearest = torch.cdist(part, codes).topk(neighbours, largest=False)
        votes = (
            torch.nn.functional.one_hot(classes[nearest], len(CLASS_COLOURS)).float().mean(dim=1)
        )
        share, winner = votes.max(dim=1)
        rgba[:] = colours[winner]
        near = distances[:, 0] < 0.1 * (high - low).max()
        rgba[:, 3] = 0.6 * (5 * share**2).round() / 5 * near  # in steps: a small file
    shown = ax.imshow(
        picture.reshape(side, side, 4).numpy(),
        extent=(*across[[0, -1]].tolist(), *up[[0, -1]].tolist()),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        zorder=0,
    )
    _name_latents(ax)
    return shown


@torch.no_grad()
def draw_holes(ax: Axes, codes: Tensor, radius: float, *, side: int = 150) -> QuadContourSet:
    """Shade what lies farther than `radius` from each of the codes, (N, 2), within the axes' present limits."""
    codes = codes.float().cpu()
    across, up = torch.linspace(*ax.get_xlim(), side), torch.linspace(*ax.get_ylim(), side)
    places = torch.cartesian_prod(up, across).flip(1)
    distances = torch.cat([torch.cdist(part, codes).amin(dim=1) for part in places.split(1_000)])
    return ax.contourf(
        across.numpy(),
        up.numpy(),
        distances.reshape(side, side).numpy(),
        levels=[radius, math.inf],
        colors=["#D9D9D9"],
        zorder=0,
    )


def draw_groups(
    ax: Axes,
    groups: Mapping[str, Sequence[float]],
    colours: Sequence[str],
    *,
    reference: float | None = None,
) -> list[PathCollection]:
    """Draw each group of numbers as marks in a row of its own, named at the left, the first group at the top.

    Colours and markers go round in turn; a dashed line stands at `reference`.

    Raises:
        ValueError: there is no group, or no colour.
    """
    if not groups or not colours:
        raise ValueError("There must be at least one group of numbers, and one colour.")
    rows = []
    for row, values in enumerate(groups.values()):
        look: dict[str, Any] = {"color": colours[row % len(colours)], "marker": "osD^v<>"[row % 7]}
        rows.append(ax.scatter(values, [row] * len(values), s=36, alpha=0.8, **look))
    if reference is not None:
        ax.axvline(reference, color="black", linestyle="--", linewidth=1)
    ax.set_yticks(range(len(groups)), list(groups))
    ax.set_ylim(len(groups) - 0.5, -0.5)
    return rows


def draw_posteriors(
    ax: Axes, mu: Tensor, logvar: Tensor, *, radius: float = 2.0, **style: Any
) -> list[Ellipse]:
    """Draw each q(z|x), shapes (N, 2), as the ellipse at `radius` standard deviations."""
    look: dict[str, Any] = {"facecolor": "none", "edgecolor": BLUE, "linewidth": 1.5} | style
    ellipses = []
    for mean, std in zip(mu.tolist(), torch.exp(0.5 * logvar).tolist(), strict=True):
        ellipse = Ellipse((mean[0], mean[1]), 2 * radius * std[0], 2 * radius * std[1], **look)
        ax.add_patch(ellipse)
        ellipses.append(ellipse)
    _name_latents(ax)
    return ellipses


def draw_prior(ax: Axes, *, radii: Sequence[float] = (1.0, 2.0, 3.0)) -> list[Ellipse]:
    """Draw the prior p(z) = N(0, I) of two latents as circles at 1, 2 and 3 standard deviations."""
    circles = []
    for radius in radii:
        circle = Ellipse(
            (0, 0),
            2 * radius,
            2 * radius,
            facecolor="none",
            edgecolor=GREY,
            linestyle="--",
            linewidth=1.2,
        )
        ax.add_patch(circle)
        circles.append(circle)
    return circles


@torch.no_grad()
def draw_manifold(ax: Axes, model: Model, *, side: int = 15, limit: float = 2.5) -> AxesImage:
    """Decode a grid of codes of a model with two latents, z[0] to the right and z[1] upwards, from −limit to limit."""
    axis = torch.linspace(-limit, limit, side, device="cpu")
    z = torch.cartesian_prod(axis.flip(0), axis).flip(1)  # rows from the top, columns from the left
    edge = limit * side / (side - 1)  # so that the middle of each picture lies at its code
    picture = ax.imshow(
        tile(model.decode(given_to(model, z)), side, gap=0).numpy(),
        cmap="gray",
        vmin=0,
        vmax=1,
        extent=(-edge, edge, -edge, edge),
    )
    _name_latents(ax)
    return picture


def _name_latents(ax: Axes) -> None:
    ax.set_xlabel("z[0]")
    ax.set_ylabel("z[1]")


def _box(ax: Axes, x: float, y: float, width: float, height: float, colour: str) -> FancyBboxPatch:
    """A box with round corners around (x, y)."""
    patch = FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle="round,pad=0.02,rounding_size=0.12",
        facecolor=colour,
        edgecolor="black",
        linewidth=1.4,
    )
    ax.add_patch(patch)
    return patch


def draw_architecture(
    ax: Axes, *, pixels: int = 784, hidden: int = 400, latents: int = 20
) -> list[FancyBboxPatch]:
    """Draw the VAE as boxes and arrows, each with its name in the code and its shape."""
    boxes: list[FancyBboxPatch] = []

    def box(x: float, y: float, text: str, shape: str, colour: str) -> None:
        boxes.append(_box(ax, x, y, 1.52, 1.0, colour))
        ax.text(x, y + 0.14, text, ha="center", va="center", fontsize=15, fontweight="bold")
        ax.text(x, y - 0.24, shape, ha="center", va="center", fontsize=13)

    def arrow(
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        label: str = "",
        dy: float = 0.2,
        side: str = "center",
    ) -> None:
        ax.annotate(
            "", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "-|>", "lw": 1.6, "color": "black"}
        )
        if label:
            ax.text(
                (x0 + x1) / 2,
                (y0 + y1) / 2 + dy,
                label,
                ha=side,
                fontsize=13,
                family="monospace",
            )

    pale_blue, pale_orange, pale_green, pale_grey = PALE
    box(0.0, 0, "x", f"(B, {pixels})", pale_grey)
    box(2.4, 0, "h", f"(B, {hidden})", pale_blue)
    box(4.9, 1.1, "mu", f"(B, {latents})", pale_blue)
    box(4.9, -1.1, "logvar", f"(B, {latents})", pale_blue)
    box(7.6, 0, "z", f"(B, {latents})", pale_orange)
    box(7.6, -2.2, "ε ~ N(0, I)", f"(B, {latents})", pale_orange)
    box(10.1, 0, "h′", f"(B, {hidden})", pale_green)
    box(12.6, 0, "recon_x", f"(B, {pixels})", pale_green)
    arrow(0.76, 0, 1.64, 0, "fc1")
    arrow(3.16, 0.15, 4.14, 0.95, "fc_mu", 0.12, "right")
    arrow(3.16, -0.15, 4.14, -0.95, "fc_logvar", -0.36, "right")
    arrow(5.66, 0.95, 6.84, 0.15)
    arrow(5.66, -0.95, 6.84, -0.15)
    arrow(7.6, -1.66, 7.6, -0.56)
    arrow(8.36, 0, 9.34, 0)
    arrow(10.86, 0, 11.84, 0)
    ax.plot([8.4, 8.4, 11.8, 11.8], [0.75, 0.9, 0.9, 0.75], color="black", linewidth=1.6)
    ax.text(10.1, 1.0, "fc_dec", ha="center", fontsize=13, family="monospace")
    for x, text, colour in (
        (2.4, "encoder\nq(z|x) = N(μ, σ²)", BLUE),
        (7.6, "reparameterization\nz = μ + σ·ε", ORANGE),
        (11.4, "decoder\np(x|z)", GREEN),
    ):
        ax.text(
            x, 1.75, text, ha="center", va="bottom", fontsize=15, color=colour, fontweight="bold"
        )
    ax.set_xlim(-0.95, 13.5)
    ax.set_ylim(-2.8, 2.6)
    ax.set_aspect("equal")
    ax.axis("off")
    return boxes


def draw_gradient_paths(ax: Axes, *, reparameterized: bool) -> list[FancyArrowPatch]:
    """Draw how numbers pass from μ and σ through z to the loss, and the gradient back; the latter's arrows.

    Either z is drawn from N(μ, σ²), and the gradient ends at the draw; or z = μ + σ·ε is computed.
    """
    pale_blue, pale_orange, pale_green, pale_grey = PALE
    back: list[FancyArrowPatch] = []

    def box(place: tuple[float, float], text: str, colour: str, width: float = 1.0) -> None:
        _box(ax, *place, width, 0.9, colour)
        ax.text(*place, text, ha="center", va="center", fontsize=15)

    def path(*places: tuple[float, float], forward: bool) -> None:
        for start, end in itertools.pairwise(places):
            arrow = FancyArrowPatch(
                start,
                end,
                arrowstyle="-|>",
                mutation_scale=16,
                shrinkA=24,
                shrinkB=24,
                linewidth=1.6 if forward else 2.6,
                color="black" if forward else ORANGE,
                connectionstyle=f"arc3,rad={0.0 if forward else 0.32}",
            )
            ax.add_patch(arrow)
            if not forward:
                back.append(arrow)

    mu, sigma, z, loss = (0.0, 1.3), (0.0, -1.3), (5.6, 0.0), (7.8, 0.0)
    box(mu, "μ", pale_blue)
    box(sigma, "σ", pale_blue)
    box(z, "z", pale_orange)
    box(loss, "loss", pale_green)
    if reparameterized:
        times, plus, eps = (2.0, -1.3), (3.7, 0.0), (2.0, -3.0)
        box(times, "×", pale_grey)
        box(plus, "+", pale_grey)
        box(eps, "ε", pale_orange)
        for start, end in (
            (mu, plus),
            (sigma, times),
            (eps, times),
            (times, plus),
            (plus, z),
            (z, loss),
        ):
            path(start, end, forward=True)
        path(loss, z, plus, mu, forward=False)
        path(plus, times, sigma, forward=False)
    else:
        draw = (2.8, 0.0)
        box(draw, "draw", pale_grey, 1.2)
        for start, end in ((mu, draw), (sigma, draw), (draw, z), (z, loss)):
            path(start, end, forward=True)
        path(loss, z, draw, forward=False)
        ax.text(draw[0] - 1.3, draw[1], "✕", ha="center", va="center", fontsize=30, color=ORANGE)
    ax.set_xlim(-0.8, 8.6)
    ax.set_ylim(-3.7, 2.1)
    ax.set_aspect("equal")
    ax.axis("off")
    return back


def draw_gaussian(ax: Axes, mu: float, sigma: float, **style: Any) -> list[Line2D]:
    """Draw the density of N(μ, σ²) over the axes' current width."""
    grid = np.linspace(*ax.get_xlim(), 400)
    density = np.exp(-0.5 * ((grid - mu) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
    return ax.plot(grid, density, **style)
