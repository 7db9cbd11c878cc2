"""Notebooks to hand in, for the tests of grading."""

import inspect
import json

from vae_helpers import answers

IMPORTS = "import torch\nimport torch.nn.functional as F\nfrom torch import nn, Tensor"
PROJECT = ("prior_grid", "principal_plane", "walk")
EXERCISE = ("VAE", "kl_divergence", "reconstruction_loss", "loss_function", "training_step")


def source_of(*names):
    """The course's own answers of these names, one cell each."""
    return [inspect.getsource(getattr(answers, name)) for name in names]


def notebook(*cells, **metadata):
    """A notebook of format 4 as bytes."""
    made = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
        | {"source": cell.splitlines(keepends=True)}
        for cell in cells
    ]
    held = {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(held).encode()


RIGHT = notebook(IMPORTS, *source_of(*PROJECT))


def with_walk(*cells):
    """Right answers to the mini project, but these cells in place of `walk`."""
    return notebook(IMPORTS, *source_of(*PROJECT[:2]), *cells)
