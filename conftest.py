"""Lesson 10 needs the extra 'molecules'; where it is not installed, that lesson is left out of the tests."""

from importlib.util import find_spec

collect_ignore = (
    [] if find_spec("rdkit") and find_spec("selfies") else ["notebooks/10_molecules.ipynb"]
)
