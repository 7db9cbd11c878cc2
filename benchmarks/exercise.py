"""What a right answer to lesson 06 reaches: the loss after 1, 3 and 10 epochs, over several seeds.

    python benchmarks/exercise.py [--root FOLDER] [--seeds 5]

The exercise's model (784-400-20-400-784), batch 128, Adam 1e-3, grey pixels, on the 10,000 embedded digits (2,000
test images) and on all 60,000 (10,000 test images). FOLDER holds the full set.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from record import write

from vae_helpers import fit, load_images
from vae_helpers.answers import VAE, loss_function

EPOCHS = (1, 3, 10)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="folder of the full image sets")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    sets = {
        "embedded": load_images("mnist"),
        "full": load_images("mnist", full=True, root=arguments.root),
    }
    results: dict[str, dict[str, dict[str, list[float]]]] = {}
    for name, images in sets.items():
        rows: dict[str, dict[str, list[float]]] = {"train": {}, "test": {}, "seconds": {}}
        for seed in range(arguments.seeds):
            torch.manual_seed(seed)
            history = fit(
                VAE(),
                images.train_x,
                epochs=max(EPOCHS),
                objective=loss_function,
                test_x=images.test_x,
                progress=False,
            )
            for epoch in EPOCHS:
                for part, losses in (("train", history.train), ("test", history.test)):
                    rows[part].setdefault(str(epoch), []).append(
                        round(losses["loss"][epoch - 1], 2)
                    )
                spent = round(sum(history.seconds[:epoch]), 1)
                rows["seconds"].setdefault(str(epoch), []).append(spent)
            print(name, seed, {epoch: rows["test"][str(epoch)][-1] for epoch in EPOCHS}, flush=True)
        results[name] = rows
    settings = {
        "model": "784-400-20-400-784",
        "batch_size": 128,
        "lr": 1e-3,
        "pixels": "grey",
        "unit": "nats per image, the loss averaged over an epoch (train) and after it (test)",
        "seeds": arguments.seeds,
    }
    write("exercise", {"settings": settings, "results": results})


if __name__ == "__main__":
    main()
