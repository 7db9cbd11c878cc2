"""A published likelihood, reproduced: the one-layer network of Burda, Grosse and Salakhutdinov (2016), Table 1.

    python benchmarks/likelihood.py [vae_k1 …] [--root FOLDER] [--checkpoints FOLDER] [--hold-out 5000]

All 60,000 digits, binarised anew each time they are seen; 784-200-200-50 with tanh; evaluated with L = 5,000 codes on
the 10,000 test images, binarised once. A killed run goes on from its checkpoint, with the same result. `--hold-out N`
trains on all but the last N training images and evaluates on these: that is how settings are chosen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import record
import torch
import torch.nn.functional as F
from pytorch_optimizer import SOAP
from torch import Tensor, nn

from vae_helpers import VAE, active_units, importance_weighted_bound, load_images
from vae_helpers.objectives import NegativeELBO


@dataclass(frozen=True)
class Settings:
    """How one row of the table is trained; `backward` codes go through the backward pass, 0 means all k."""

    k: int = 1
    backward: int = 0
    epochs: int = 100
    batch_size: int = 800
    lr: float = 1e-2
    warm_up_epochs: float = 4.0
    beta2: float = 0.98
    precondition_frequency: int = 20
    seed: int = 0


# Chosen on the last 5,000 training images, in trainings of 120 s (nats, k = 100): Adam, batch 200, lr 4e-3: 93.8; SOAP,
# batch 400, lr 4e-3, 8e-3, 1.6e-2: 93.9, 92.2, 92.3; batch 250, lr 8e-3: 93.6; batch 800, lr 1.2e-2: 91.7.
ROWS = {
    "vae_k1": Settings(epochs=800),
    "vae_k1_100_epochs": Settings(),
    "iwae_k5_100_epochs": Settings(k=5),
    "iwae_k50_100_epochs": Settings(k=50, backward=5),
}
PAPER = {  # Table 1: nats, active units
    "vae_k1": (86.76, 19),
    "iwae_k5": (85.54, 22),
    "iwae_k50": (84.78, 25),
}


class Network(VAE):
    """The network of the paper: two tanh layers of 200 in the encoder, and two in the decoder."""

    def __init__(self) -> None:
        super().__init__(latent_dim=50, hidden_dim=200)
        layers = nn.Linear(784, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh()
        self.fc1 = nn.Sequential(*layers)  # type: ignore[assignment]
        self.fc_dec = nn.Sequential(
            *(nn.Linear(50, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh()),
            *(nn.Linear(200, 784), nn.Sigmoid()),
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 784) to the mean and the log-variance, each (B, 50)."""
        h = self.fc1(x)
        return self.fc_mu(h), self.fc_logvar(h)

    def decode_logits(self, z: Tensor) -> Tensor:
        """The decoder's output before the sigmoid, shape (B, 784)."""
        logits: Tensor = self.fc_dec[:-1](z)
        return logits


def start_at_the_mean(model: Network, x: Tensor) -> None:
    """Let the decoder's last bias give each pixel its frequency in the training images."""
    mean = x.mean(dim=0).clamp(1e-3, 1 - 1e-3)
    last = model.fc_dec[-2]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.bias.copy_(torch.logit(mean))


def learning_rate(step: int, steps: int, warm_up: int, top: float) -> float:
    """Up in a straight line, then down on a cosine to nothing."""
    if step < warm_up:
        return top * (step + 1) / warm_up
    share = (step - warm_up) / max(1, steps - warm_up)
    return top * 0.5 * (1 + math.cos(math.pi * share))


def sampled_bound(model: Network, x: Tensor, k: int, backward: int) -> tuple[Tensor, Tensor]:
    """The importance-weighted bound, shape (B,), and a number whose gradient is, on average, that of its sum.

    The gradient of the bound is Σ w̃_i ∇ log w_i with the normalised weights w̃ (Burda et al. 2016, equation 14). In
    place of all k codes, `backward` of them are drawn in proportion to w̃, and their mean goes through the backward
    pass: without bias (the same, section 3), and cheaper.
    """
    with torch.no_grad():
        mu, logvar = model.encode(x)
        eps = torch.randn(k, *mu.shape)
        log_w = log_weights(model, x, mu, logvar, eps)
        chosen = torch.multinomial(log_w.softmax(dim=0).T, backward, replacement=True).T
        eps = eps.gather(0, chosen[:, :, None].expand(-1, -1, mu.shape[1]))
    mu, logvar = model.encode(x)
    surrogate = log_weights(model, x, mu, logvar, eps).mean(dim=0).sum()
    return torch.logsumexp(log_w, dim=0) - math.log(k), surrogate


def log_weights(model: Network, x: Tensor, mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """log p(x|z) + log p(z) − log q(z|x) of the codes z = μ + σ·ε, for ε of shape (k, B, D); shape (k, B).

    One code an image at a time: what the pixels take then fits the processor's cache, and that halves the time.
    """
    z = mu + torch.exp(0.5 * logvar) * eps
    log_p = []
    for each in z:
        logits = model.decode_logits(each)
        log_p.append((logits * x).sum(dim=1) - F.softplus(logits).sum(dim=1))
    return torch.stack(log_p) - 0.5 * (z.square() - eps.square() - logvar).sum(dim=2)


def train(
    settings: Settings,
    x: Tensor,
    checkpoint: Path,
    *,
    every: int = 5,
    report: Callable[[str], None] = print,
) -> tuple[Network, dict[str, Any]]:
    """Train from the checkpoint, if there is one, else from the start; the model, and seconds and losses."""
    torch.manual_seed(settings.seed)
    model = Network()
    start_at_the_mean(model, x)
    # Adam in the eigenbasis of each weight matrix's gradients, on the sides of at most 300 (Vyas et al. 2024).
    optimizer = SOAP(
        model.parameters(),
        lr=settings.lr,
        betas=(0.95, settings.beta2),
        weight_decay=0.0,
        precondition_frequency=settings.precondition_frequency,
        max_precondition_dim=300,
    )
    done: dict[str, Any] = {"epoch": 0, "seconds": 0.0, "loss": []}
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        if kept["settings"] != asdict(settings) or kept["images"] != len(x):
            raise ValueError(f"{checkpoint} is of other settings: move it away to start anew.")
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        torch.set_rng_state(kept["rng"])
        done = kept["done"]
    batches = math.ceil(len(x) / settings.batch_size)
    steps, warm_up = settings.epochs * batches, round(settings.warm_up_epochs * batches)
    objective = NegativeELBO()
    while done["epoch"] < settings.epochs:
        start, total = time.perf_counter(), torch.zeros(())
        for number, batch in enumerate(torch.randperm(len(x)).split(settings.batch_size)):
            rate = learning_rate(done["epoch"] * batches + number, steps, warm_up, settings.lr)
            optimizer.param_groups[0]["lr"] = rate
            images = torch.bernoulli(x[batch])
            if settings.backward:
                bound, surrogate = sampled_bound(model, images, settings.k, settings.backward)
                # the value of the bound, with the gradient of the few codes
                loss = surrogate.detach() - surrogate - bound.sum()
            elif settings.k == 1:
                loss = objective(model, images)["loss"]
            else:
                loss = -importance_weighted_bound(model, images, settings.k).sum()
            optimizer.zero_grad()
            (loss / len(batch)).backward()
            optimizer.step()
            total += loss.detach()
        done["epoch"] += 1
        done["seconds"] += time.perf_counter() - start
        done["loss"].append(round(total.item() / len(x), 3))
        if done["epoch"] % every == 0 or done["epoch"] == settings.epochs:
            state: dict[str, Any] = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
            }
            state |= {"rng": torch.get_rng_state(), "done": done, "images": len(x)}
            part = checkpoint.with_suffix(".part")
            torch.save(state | {"settings": asdict(settings)}, part)
            part.replace(checkpoint)
            report(f"epoch {done['epoch']}: loss {done['loss'][-1]:.2f}, {done['seconds']:.0f} s")
    return model.eval(), done


@torch.inference_mode()
def evaluate(model: Network, x: Tensor, *, codes: int = 5_000, part: int = 500) -> Tensor:
    """log p(x) of each binary image, estimated with `codes` codes; in nats, shape (N,)."""
    found = []
    for number, images in enumerate(x.split(part)):
        generator = torch.Generator().manual_seed(number)
        found.append(
            importance_weighted_bound(model, images, codes, generator=generator, max_rows=2_000)
        )
    return torch.cat(found)


def main() -> None:
    """Train and evaluate the rows that are asked for, and write each into the result as it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)} (default: all)")
    parser.add_argument("--root", type=Path, help="folder of the full image sets")
    parser.add_argument("--checkpoints", type=Path, default=Path(".vae_checkpoints"))
    parser.add_argument("--hold-out", type=int, default=0, metavar="N")
    parser.add_argument("--codes", type=int, default=5_000)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="other settings")
    given = parser.parse_args()
    unknown = set(given.rows) - set(ROWS)
    if unknown:
        parser.error(f"there is no row {', '.join(unknown)}; there are {', '.join(ROWS)}.")
    images = load_images("mnist", full=True, root=given.root)
    x, test_x = images.train_x.flatten(1), images.test_x.flatten(1)
    if given.hold_out:
        x, test_x = x[: -given.hold_out], x[-given.hold_out :]
    test_x = torch.bernoulli(test_x, generator=torch.Generator().manual_seed(0))
    given.checkpoints.mkdir(exist_ok=True)
    for row in given.rows or ROWS:
        changed = {
            k: type(getattr(ROWS[row], k))(float(v)) for k, v in (s.split("=") for s in given.set)
        }
        settings = Settings(**(asdict(ROWS[row]) | changed))
        digest = hashlib.sha256(repr((settings, given.hold_out)).encode()).hexdigest()[:8]
        model, done = train(settings, x, given.checkpoints / f"{row}-{digest}.pt")
        start = time.perf_counter()
        log_p = evaluate(model, test_x, codes=given.codes)
        result = {
            "nll": -log_p.mean().item(),
            "standard_error": (log_p.std() / len(log_p) ** 0.5).item(),
            "k": given.codes,
            "n_test": len(log_p),
            "seconds": done["seconds"],
            "seconds_of_evaluation": time.perf_counter() - start,
            "active_units": int(active_units(model, test_x).sum()),
            "train_loss": done["loss"][-1],
            "settings": asdict(settings),
        }
        print(row, json.dumps(result, indent=1))
        if not given.hold_out and not changed:
            path = record.RESULTS / "likelihood.json"
            kept = json.loads(path.read_text("utf-8"))["results"] if path.exists() else {}
            record.write("likelihood", {"paper": PAPER, "results": kept | {row: result}})


if __name__ == "__main__":
    main()
