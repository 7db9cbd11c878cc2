"""Posterior collapse of a VAE of names, with and without each cure, beside n-grams; over several seeds.

    python benchmarks/text.py [--seeds 5] [--epochs 6]

The model of lesson 09: `SequenceVAE` with 16 latents and GRUs of 128, batch 256, Adam 8e-3, on 16,000 surnames, and
2,000 others held out. For each training: the terms on the held-out names after each epoch, in nats per name; active
units; log p(x) with k = 50; the share of held-out names that come back whole; of 1,000 samples the share that is not
in the training set ("new"), the share of the new ones that are surnames of other people ("real"), and the nats that
a 4-gram of 68,161 other names gives them ("judged"); and how often the right letter is the likeliest where one within
a name is hidden, on 200 names (k = 20).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from record import write
from torch import Tensor

from vae_helpers import (
    active_units,
    fit,
    importance_weighted_bound,
    load_texts,
    log_likelihood,
)
from vae_helpers.objectives import NegativeELBO
from vae_helpers.sequences import END, Alphabet, NGram, SequenceVAE, fill_in

CURES: dict[str, dict[str, float]] = {
    "none": {},
    "annealing": {"warm_up": 3},
    "word dropout": {"word_dropout": 0.5},
    "annealing, word dropout": {"warm_up": 3, "word_dropout": 0.5},
    "free bits": {"free_bits": 0.3},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6)
    arguments = parser.parse_args()
    names = load_texts("surnames")
    alphabet = Alphabet([*names.train, *names.test, *names.others])
    train_x, test_x, other_x = map(alphabet.encode, (names.train, names.test, names.others))
    judge = NGram(other_x, alphabet, 4)
    known, elsewhere = set(names.train), {*names.test, *names.others}

    def of_samples(x: Tensor) -> dict[str, float]:
        """New, real and judged, of samples as numbers."""
        new = [name for name in alphabet.decode(x) if name not in known]
        return {
            "new": len(new) / len(x),
            "real": sum(name in elsewhere for name in new) / len(new),
            "judged": -judge.log_likelihood(x).mean().item(),
        }

    hidden = test_x[:200]
    ends = (hidden == END).int().argmax(dim=1)
    place = 1 + (torch.rand(200, generator=torch.Generator().manual_seed(0)) * (ends - 2)).long()

    def filled_in(score: Callable[[Tensor], Tensor]) -> float:
        """How often the right letter is the likeliest."""
        best = fill_in(score, hidden, place, alphabet).argmax(dim=1)
        right = hidden[torch.arange(200), place] - hidden[hidden > END].min()
        return (best == right).float().mean().item()

    ngrams = {}
    for n in range(1, 6):
        ngram = NGram(train_x, alphabet, n)
        counted = {"nll": -ngram.log_likelihood(test_x).mean().item()}
        counted |= of_samples(ngram.sample(1_000, generator=torch.Generator().manual_seed(0)))
        ngrams[str(n)] = counted | {"filled_in": filled_in(ngram.log_likelihood)}
    real = {"judged": -judge.log_likelihood(test_x).mean().item()}

    cures: dict[str, list[dict[str, Any]]] = {}
    for seed in range(arguments.seeds):
        for name, options in CURES.items():
            torch.manual_seed(seed)
            model = SequenceVAE(alphabet, word_dropout=options.get("word_dropout", 0.0))
            history = fit(
                model,
                train_x,
                epochs=arguments.epochs,
                batch_size=256,
                lr=8e-3,
                objective=NegativeELBO(
                    likelihood="categorical",
                    warm_up=options.get("warm_up", 0.0),
                    free_bits=options.get("free_bits", 0.0),
                ),
                test_x=test_x,
                progress=False,
            )
            model.eval()
            codes, _ = model.encode(test_x)
            back = model.decode(codes)
            generator = torch.Generator().manual_seed(seed)
            drawn = model.decode(
                torch.randn(1_000, model.latent_dim, generator=generator),
                temperature=1.0,
                generator=generator,
            )

            def score(x: Tensor, model: SequenceVAE = model) -> Tensor:
                return importance_weighted_bound(model, x, 20, likelihood="categorical")

            found = log_likelihood(model, test_x, 50, likelihood="categorical", generator=generator)
            row: dict[str, Any] = {
                "seed": seed,
                "test": history.test,
                "active_units": int(active_units(model, test_x).sum()),
                "nll": -found.mean,
                "back": (back == test_x).all(dim=1).float().mean().item(),
                "filled_in": filled_in(score),
                "seconds": sum(history.seconds),
            } | of_samples(drawn)
            cures.setdefault(name, []).append(row)
            last = {term: round(values[-1], 2) for term, values in history.test.items()}
            print(
                name, last, {key: value for key, value in row.items() if key != "test"}, flush=True
            )
    settings = {"epochs": arguments.epochs, "cures": CURES, "unit": "nats per name"}
    write("text", {"settings": settings, "ngrams": ngrams, "held_out": real, "results": cures})


if __name__ == "__main__":
    main()
