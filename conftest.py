"""What holds for the tests and for the lessons among them."""

import os
from importlib.util import find_spec

# On a machine that does other things too, threads that spin while they wait can slow training tenfold.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Lesson 10 needs the extra 'molecules'; where it is not installed, that lesson is left out of the tests.
collect_ignore = (
    [] if find_spec("rdkit") and find_spec("selfies") else ["notebooks/10_molecules.ipynb"]
)
