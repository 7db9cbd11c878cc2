"""What holds for the tests and for the lessons among them."""

import os
from importlib.util import find_spec

# On a machine that does other things too, threads that spin while they wait can slow training tenfold.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Tests that run beside each other share the cores.
beside = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if beside > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // beside)))

# Two lessons need an extra, 'molecules' and 'compression'; where it is not installed, they are left out of the tests.
NEEDS = {
    "notebooks/10_molecules.ipynb": ("rdkit", "selfies"),
    "notebooks/12_compression.ipynb": ("constriction", "zstandard"),
}
collect_ignore = [path for path, names in NEEDS.items() if not all(map(find_spec, names))]
