"""Molecules as strings: SMILES and SELFIES, whether they mean something, what they weigh, how they look.

A molecule is a SMILES (Weininger 1988), as ``load_texts("molecules")`` gives it. A SELFIES (Krenn et al. 2020) is a
list of symbols, for `sequences.Alphabet`. This module needs the extra "molecules": RDKit and selfies.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

try:
    import selfies
    from rdkit import Chem, DataStructs, rdBase
    from rdkit.Chem import Crippen, Descriptors, Draw, rdFingerprintGenerator
    from rdkit.Chem.Draw import rdMolDraw2D
except ImportError as error:
    raise ImportError(
        "Lesson 10 needs two more packages, RDKit and selfies. In the course's folder, with its environment "
        "active: python -m pip install -e '.[molecules]', and start the notebook's kernel again."
    ) from error
import torch
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from PIL import Image
from torch import Tensor

# The table of selfies lacks silicon, and would let it have eight bonds, which RDKit refuses.
selfies.set_semantic_constraints(selfies.get_semantic_constraints() | {"Si": 4})
PROPERTIES = {
    "logP": Crippen.MolLogP,
    "weight": Descriptors.MolWt,
    "largest ring": lambda molecule: max(map(len, molecule.GetRingInfo().AtomRings()), default=0),
}


def canonical(smiles: str) -> str | None:
    """The canonical SMILES of a molecule; None where the string is the formula of none.

    A string means a molecule if RDKit can read it: brackets and rings close, and each atom has a valence it can have.
    """
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        return None
    written: str = Chem.MolToSmiles(molecule)
    return written


def to_selfies(smiles: str) -> list[str]:
    """A molecule as the list of its SELFIES symbols.

    Raises:
        ValueError: the string is the formula of no molecule, or of one that SELFIES cannot write.
    """
    try:
        return list(selfies.split_selfies(selfies.encoder(smiles)))
    except selfies.EncoderError as error:
        raise ValueError(f"{smiles!r} cannot be written as SELFIES: {error}") from error


def from_selfies(text: str) -> str:
    """A SELFIES, its symbols written one after another, as SMILES. Every row of its symbols is a molecule, or nothing.

    Raises:
        ValueError: it holds something that is not a symbol.
    """
    try:
        smiles: str = selfies.decoder(text)
    except selfies.DecoderError as error:
        raise ValueError(f"{text!r} is no SELFIES: {error}") from error
    return smiles


@dataclass(frozen=True)
class SampleCounts:
    """What of some samples is a molecule, distinct, and new: shares, with the definitions of Brown et al. 2019.

    `valid`: of all samples, those that are molecules. `unique`: of the valid ones, how many different molecules there
    are. `novel`: of the different ones, those that are not in the training set.
    """

    valid: float
    unique: float
    novel: float


def count_samples(samples: Sequence[str], training: Iterable[str]) -> SampleCounts:
    """Validity, uniqueness and novelty of SMILES; two are the same molecule if their canonical SMILES are.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("There are no samples to count.")
    valid = [found for smiles in samples if (found := canonical(smiles)) is not None]
    different = set(valid)
    new = different - {canonical(smiles) for smiles in training}
    return SampleCounts(
        len(valid) / len(samples),
        len(different) / len(valid) if valid else 0.0,
        len(new) / len(different) if different else 0.0,
    )


def measure_molecules(molecules: Iterable[str], name: str) -> Tensor:
    """A property of each molecule, shape (N,): 'logP', 'weight' or 'largest ring'.

    logP is the logarithm, to base 10, of how much more of a substance dissolves in octanol than in water, estimated as
    a sum over atoms (Wildman and Crippen 1999). The weight is in atomic mass units, the largest ring in atoms: 0
    without a ring.

    Raises:
        ValueError: an unknown property, or a string that is the formula of no molecule.
    """
    if name not in PROPERTIES:
        raise ValueError(f"There is no property {name!r}: choose from {', '.join(PROPERTIES)}.")
    return torch.tensor([float(PROPERTIES[name](_read(smiles))) for smiles in molecules])


def nearest_similarity(molecules: Sequence[str], others: Sequence[str]) -> Tensor:
    """For each molecule the greatest Tanimoto similarity to any of `others`, from 0 to 1, shape (N,).

    Shared among all the circular neighbourhoods of radius 2, hashed to 2,048 bits (Rogers and Hahn 2010).

    Raises:
        ValueError: there are no others, or a string is the formula of no molecule.
    """
    if not others:
        raise ValueError("There are no other molecules to compare with.")
    make = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048).GetFingerprint
    references = [make(_read(smiles)) for smiles in others]
    return torch.tensor(
        [
            max(DataStructs.BulkTanimotoSimilarity(make(_read(smiles)), references))
            for smiles in molecules
        ]
    )


def draw_molecules(
    ax: Axes,
    molecules: Sequence[str],
    *,
    columns: int = 4,
    legends: Sequence[str] | None = None,
    title: str | None = None,
) -> AxesImage:
    """Draw molecules in rows on one axes, all at one scale, each with its legend below.

    Raises:
        ValueError: there are no molecules, a string is the formula of none, or the legends are not as many.
    """
    if not molecules:
        raise ValueError("There are no molecules to draw.")
    if legends is not None and len(legends) != len(molecules):
        raise ValueError(f"There are {len(legends)} legends for {len(molecules)} molecules.")
    options = rdMolDraw2D.MolDrawOptions()
    options.drawMolsSameScale = True  # so that a large molecule looks large
    options.legendFontSize = 26
    options.legendFraction = 0.2  # or a large molecule runs into its legend
    options.minFontSize = 17  # or the letters of a small drawing cannot be read
    options.padding = 0.02
    options.bondLineWidth = 3
    png = Draw.MolsToGridImage(
        [_read(smiles) for smiles in molecules],
        molsPerRow=min(columns, len(molecules)),
        subImgSize=(320, 230),
        legends=list(legends) if legends is not None else None,
        drawOptions=options,
        returnPNG=True,
    )
    data = png if isinstance(png, bytes) else png.data
    picture = ax.imshow(Image.open(io.BytesIO(data)))
    ax.set_axis_off()
    if title:
        ax.set_title(title)
    return picture


def _read(smiles: str) -> Chem.Mol:
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise ValueError(f"{smiles!r} is the formula of no molecule.")
    return molecule
