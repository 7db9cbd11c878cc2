"""Figures of the site that have few states: each is computed here, when the site is built, and drawn by `states.js`."""

from __future__ import annotations

import bz2
import itertools
import math
from typing import Any

import torch
from torch import Tensor

from vae_helpers import load_images, load_pretrained
from vae_helpers.devices import encoded
from vae_helpers.figures import BLUE, GREEN, GREY, ORANGE
from vae_helpers.objectives import bernoulli_log_likelihood, kl_divergence

Figure = tuple[str, str, dict[str, Any], dict[str, list[str]]]  # its text, module, state, files
WIDTHS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
DASHED = {"stroke-dasharray": "6 4"}
DARK_ORANGE = "#a84800"  # of words, which need more contrast than lines


def _figure(sliders: str, files: dict[str, list[str]] | None = None, **spec: Any) -> Figure:
    return (
        f"Sliders for {sliders}: run the cell to move them.",
        "states",
        {"spec": spec},
        files or {},
    )


def _choice(label: str, values: Any, start: Any) -> dict[str, Any]:
    return {"label": label, "values": [str(v) for v in values], "start": list(values).index(start)}


def _plot(label: str, marks: list[Any], x: Any, y: Any, **axes: Any) -> dict[str, Any]:
    return {"label": label, "marks": marks, "axes": {"x": x, "y": y} | axes}


def _rounded(values: Tensor) -> Any:
    return values.double().mul(1e5).round().div(1e5).tolist()


@torch.no_grad()
def patches(store: Any) -> Figure:
    """Lesson 03: an image, its patch made wider, and both terms of its loss."""
    digits, model = load_images("mnist"), load_pretrained("vae-mnist-2")
    x = torch.stack([digits.test_x[digits.test_y == digit][0].flatten() for digit in range(10)])
    eps = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    mu, logvar = encoded(model, x)
    states = []
    for digit, width in itertools.product(range(10), WIDTHS):
        sigma = width * torch.exp(0.5 * logvar[digit])
        z = mu[digit] + sigma * eps
        recon = -bernoulli_log_likelihood(model.decode(z), x[digit].expand(400, -1)).mean().item()
        kl = kl_divergence(mu[digit][None], 2 * sigma.log()[None]).item()
        patch = ["ellipse", *_rounded(torch.cat([mu[digit], 2 * sigma])), {"stroke": ORANGE}]
        marks = [[patch], [["bar", 0, recon, BLUE], ["bar", 1, kl, ORANGE]]]
        said = f"Reconstruction {recon:.1f} and KL {kl:.1f}, together {recon + kl:.1f} nats."
        states.append({"image": digit, "codes": _rounded(z[:12]), "marks": marks, "said": said})
    grey = DASHED | {"stroke": GREY, "stroke-width": 1}
    prior = [["ellipse", 0, 0, radius, radius, grey] for radius in (1, 2, 3)]
    ends, ticks = [-3.3, 3.3], [-3, 0, 3]
    plane = {"xTicks": ticks, "yTicks": ticks, "xName": "z[0]", "yName": "z[1]"}
    bars = {"xTicks": [[0, "recon"], [1, "KL"]], "yTicks": [0, 100, 200, 300], "yName": "nats"}
    plots = [
        _plot(
            "The patch, twelve draws, the prior", prior, ends, ends, width=340, height=320, **plane
        ),
        _plot("Two bars", [], [-0.6, 1.6], [0, 320], width=240, height=320, **bars),
    ]
    images = (x * 255).round().byte().numpy().tobytes()
    return _figure(
        "digit, width",
        {"blob": [store.file("vae-mnist-2")], "images": [store.data("ten-images", images)]},
        name="One image, its patch and its loss",
        choices=[_choice("digit", range(10), 0), _choice("width", WIDTHS, 1.0)],
        plots=plots,
        states=states,
        decoder=store.network("vae-mnist-2")["decoder"],
        note="The image, and twelve draws from its patch, decoded. The reconstruction is averaged over 400.",
    )


def bounds(_: Any) -> Figure:
    """Lesson 08: how far the bounds lie below log p(x), where q is the posterior, shifted and scaled.

    In the posterior's own units that is N(0, I), whatever the image: log w − log p(x) = log N(u; 0, I) − log q(u).
    """
    generator = torch.Generator().manual_seed(0)
    draws = {k: torch.randn(k, 4_000, 2, generator=generator) for k in (1, 5, 50)}
    shifts, scales = [i / 4 for i in range(13)], [i / 4 for i in range(1, 13)]
    states = []
    for shift, scale in itertools.product(shifts, scales):
        marks: list[Any] = []
        for i, (k, eps) in enumerate(draws.items()):
            log_w = 0.5 * (eps**2 - (shift + scale * eps) ** 2).sum(-1) + 2 * math.log(scale)
            gap = max(math.log(k) - torch.logsumexp(log_w, dim=0).mean().item(), 0.0)
            number = ["text", f"{gap:.2f}", i, gap + 0.4, "#111", {"text-anchor": "middle"}]
            marks += [["bar", i, gap, (BLUE, GREEN, ORANGE)[i]], number]
        q = ["ellipse", shift, shift, 2 * scale, 2 * scale, DASHED | {"stroke": ORANGE}]
        numbers = [mark[1] for mark in marks if mark[0] == "text"]
        said = f"Nats below log p(x): {', '.join(numbers)} for k = 1, 5, 50."
        states.append({"marks": [[q], marks], "said": said})
    posterior = [
        ["ellipse", 0, 0, 2, 2, {"stroke": BLUE}],
        ["text", "— posterior", -5.6, 8.2, BLUE],
    ]
    posterior.append(["text", "- - q", -5.6, 7.2, DARK_ORANGE])
    ends, ticks = [-6, 9], [-6, -3, 0, 3, 6, 9]
    plane = {"xTicks": ticks, "yTicks": ticks, "xName": "latent 1", "yName": "latent 2"}
    bars = {"xTicks": [[i, f"k = {k}"] for i, k in enumerate(draws)], "yTicks": [0, 5, 10, 15]}
    two, three = "Two ellipses of two standard deviations", "How far each bound lies below log p(x)"
    return _figure(
        "shift, scale",
        name="A wrong q, and the bounds",
        choices=[_choice("shift", shifts, 1.0), _choice("scale", scales, 1.0)],
        plots=[
            _plot(two, posterior, ends, ends, width=340, height=320, **plane),
            _plot(three, [], [-0.6, 2.6], [0, 16], width=340, height=320, yName="nats", **bars),
        ],
        states=states,
        note="The axes count from the posterior's mean, in its standard deviations.",
    )


def used_latents(_: Any) -> Figure:
    """Lesson 08: the KL of each latent in the best linear VAE, max(0, ½ log(λ/σ²)), as the lesson has measured."""
    x = load_images("mnist").train_x.flatten(1)
    variances = torch.linalg.eigvalsh(torch.cov(x.double().T, correction=0)).flip(0)[:20]
    sigmas = [i / 10 for i in range(3, 26)]
    states = []
    for sigma in sigmas:
        kl = 0.5 * torch.log(variances / sigma**2).clamp(min=0)
        noise = ["curve", [[1, sigma**2], [20, sigma**2]], ORANGE, DASHED]
        bars = [["bar", i, nats, BLUE] for i, nats in enumerate(_rounded(kl), 1)]
        said = f"{int((kl > 0.01).sum())} of 20 latents are used."
        states.append({"marks": [[noise], bars], "said": said})
    points = list(enumerate(_rounded(variances), 1))
    left: list[Any] = [["curve", points, BLUE], *(["dot", *point, BLUE] for point in points)]
    left.append(["text", "— the digits' variance λ", 7, 6, BLUE])
    left.append(["text", "- - the noise's, σ²", 7, 5.4, DARK_ORANGE])
    directions = {"xName": "principal direction", "yName": "variance", "yTicks": [0, 2, 4, 6]}
    latents = {"xName": "latent", "yName": "nats per image", "yTicks": [0, 1, 2]}
    ends: dict[str, Any] = {"x": [0, 21], "xTicks": [1, 10, 20], "width": 360}
    return _figure(
        "σ",
        name="What varies, and the latents that are used",
        choices=[_choice("σ", sigmas, 1.0)],
        plots=[
            _plot("20 variances, falling, and the noise's", left, y=[0, 6.5], **ends, **directions),
            _plot("The KL of each latent", [], y=[0, 2.2], **ends, **latents),
        ],
        states=states,
        note="The bars are those of the formula above.",
    )


@torch.no_grad()
def bills(_: Any) -> Figure:
    """Lesson 12: what an image costs with models of several β, by both terms of −ELBO."""
    x = (load_images("mnist").test_x.flatten(1) >= 0.5).float()
    betas, states, totals = ("0.1", "0.3", "1", "2", "4", "7", "10"), [], []
    for i, beta in enumerate(betas):
        model = load_pretrained(f"vae-mnist-beta-{beta}")
        mu, logvar = encoded(model, x[:500])
        eps = torch.randn(mu.shape, generator=torch.Generator().manual_seed(0))
        recon_x = model.decode(mu + torch.exp(0.5 * logvar) * eps)
        nats = kl_divergence(mu, logvar).mean(), -bernoulli_log_likelihood(recon_x, x[:500]).mean()
        code, pixels = (term.item() / math.log(2) for term in nats)
        totals.append((code + pixels) * len(x) / 8)
        said = f"Code {code:.0f}, pixels {pixels:.0f}, together {code + pixels:.0f} bits an image."
        bars = [["bar", 0, code, GREEN], ["bar", 1, pixels, BLUE]]
        states.append({"marks": [bars, [["dot", i, totals[i], ORANGE, 8]]], "said": said})
    packed = len(bz2.compress(x.byte().numpy().tobytes()))
    points = list(enumerate(totals))
    files: list[Any] = [["curve", points, GREY], *(["dot", *point, GREY] for point in points)]
    files.append(["curve", [[-0.4, packed], [6.4, packed]], "#111", {"stroke-dasharray": "2 4"}])
    files.append(["text", "··· bz2", 4.6, packed - 2_200])
    names = {"xTicks": [[0, "code, net"], [1, "pixels"]], "yTicks": [0, 100, 200]}
    sizes = {"yTicks": [[k * 1000, f"{k}k"] for k in (30, 40, 50, 60)], "xName": "β in training"}
    return _figure(
        "β",
        name="Which β makes the smallest file",
        choices=[_choice("β", betas, "0.1")],
        plots=[
            _plot(
                "Two bars", [], [-0.6, 1.6], [0, 260], yName="bits per image", width=240, **names
            ),
            _plot(
                "The file's size for each β, and bz2's",
                files,
                [-0.4, 6.4],
                [30_000, 60_000],
                xTicks=list(enumerate(betas)),
                yName="bytes for 2,000 digits",
                **sizes,
            ),
        ],
        states=states,
        note="Computed from −ELBO; the files of this lesson meet it within 1 %.",
    )
