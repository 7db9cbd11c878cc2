"""Molecules as strings; where the extra "molecules" is missing, the message alone is tested."""

import importlib.util
import subprocess
import sys

import pytest
import torch

EXTRA = importlib.util.find_spec("rdkit") and importlib.util.find_spec("selfies")
needs_extra = pytest.mark.skipif(not EXTRA, reason="needs the extra 'molecules'")
if EXTRA:
    from matplotlib.figure import Figure
    from rdkit import Chem
    from rdkit.Chem import rdFingerprintGenerator

    from vae_helpers import (
        active_units,
        elbo,
        load_pretrained,
        load_texts,
        molecules,
        pretrained_info,
    )

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


@pytest.mark.parametrize("missing", ["rdkit", "selfies"])
def test_without_the_extra_the_message_says_what_to_install(missing):
    program = f"import sys; sys.modules['{missing}'] = None; import vae_helpers.molecules"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "python -m pip install -e '.[molecules]'" in done.stderr


@needs_extra
def test_one_molecule_has_one_canonical_smiles():
    assert molecules.canonical("OCC") == molecules.canonical("C(O)C") == "CCO"
    for nothing in ("", "C(", "c1ccccc", "C(C)(C)(C)(C)C", "nonsense"):
        assert molecules.canonical(nothing) is None, nothing


@needs_extra
def test_to_selfies_and_back():
    for smiles in (ASPIRIN, *load_texts("molecules").test[:50]):
        text = "".join(molecules.to_selfies(smiles))
        assert molecules.canonical(molecules.from_selfies(text)) == molecules.canonical(smiles)
    assert molecules.to_selfies("CC=O") == ["[C]", "[C]", "[=O]"]
    with pytest.raises(ValueError, match=r"'C\(' cannot be written as SELFIES"):
        molecules.to_selfies("C(")
    with pytest.raises(ValueError, match=r"'\[C\]\[Xx!\]' is no SELFIES"):
        molecules.from_selfies("[C][Xx!]")


@needs_extra
def test_any_row_of_selfies_symbols_is_a_molecule():
    symbols = load_pretrained("sequence-vae-selfies").alphabet.symbols
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(len(symbols), (200, 30), generator=generator).tolist()
    texts = ["[C]" + "".join(symbols[n] for n in row) for row in rows]
    assert all(molecules.canonical(molecules.from_selfies(text)) for text in texts)


@needs_extra
def test_samples_are_counted_by_the_definitions():
    found = molecules.count_samples(
        ["CCO", "OCC", "C", "c1ccccc1", "C(", "CC", "CC", "CC"], ["C1=CC=CC=C1", "N"]
    )
    assert found == molecules.SampleCounts(valid=7 / 8, unique=4 / 7, novel=3 / 4)
    assert molecules.count_samples(["C("], ["C"]) == molecules.SampleCounts(0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="no samples"):
        molecules.count_samples([], ["C"])


@needs_extra
def test_properties_against_known_values():
    weights = molecules.measure_molecules(["O", "CCO"], "weight")
    torch.testing.assert_close(weights, torch.tensor([18.015, 46.069]), atol=1e-3, rtol=0)
    # benzene: six aromatic carbons and six hydrogens of Wildman and Crippen's table 1
    (benzene,) = molecules.measure_molecules(["c1ccccc1"], "logP").tolist()
    assert benzene == pytest.approx(6 * 0.1581 + 6 * 0.1230, abs=1e-4)
    rings = molecules.measure_molecules(["CCO", "c1ccccc1", "C1CC1CCC1CCCCCCC1"], "largest ring")
    assert rings.tolist() == [0, 6, 8]
    with pytest.raises(ValueError, match="choose from logP, weight, largest ring"):
        molecules.measure_molecules(["C"], "taste")
    with pytest.raises(ValueError, match=r"'C\(' is the formula of no molecule"):
        molecules.measure_molecules(["C("], "weight")


@needs_extra
def test_similarity_is_what_is_shared_over_what_either_has():
    make = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048).GetFingerprint
    bits = [set(make(Chem.MolFromSmiles(s)).GetOnBits()) for s in (ASPIRIN, "CCO", "c1ccccc1O")]
    best = max(len(bits[0] & other) / len(bits[0] | other) for other in bits[1:])
    found = molecules.nearest_similarity([ASPIRIN, "OCC"], ["CCO", "c1ccccc1O"])
    assert found.tolist() == pytest.approx([best, 1.0])
    assert 0 < best < 1
    with pytest.raises(ValueError, match="no other molecules"):
        molecules.nearest_similarity(["C"], [])


@needs_extra
def test_drawing():
    ax = Figure().subplots()
    picture = molecules.draw_molecules(ax, [ASPIRIN, "CCO", "C"], columns=2, title="Three")
    pixels = torch.as_tensor(picture.get_array())
    assert pixels.shape[:2] == (2 * 230, 2 * 320)
    dark = (pixels[..., :3].float().mean(dim=2) < 128).float()
    assert dark[:230, :320].mean() > 0.003
    assert dark[230:, 320:].sum() == 0  # the fourth place is empty
    assert ax.get_title() == "Three"
    with pytest.raises(ValueError, match="no molecules to draw"):
        molecules.draw_molecules(ax, [])
    with pytest.raises(ValueError, match="1 legends for 2 molecules"):
        molecules.draw_molecules(ax, ["C", "N"], legends=["methane"])


@needs_extra
@pytest.mark.parametrize("kind", ["selfies", "smiles"])
def test_the_shipped_models_know_the_strings_of_their_kind(kind):
    model, info = load_pretrained(f"sequence-vae-{kind}"), pretrained_info(f"sequence-vae-{kind}")
    texts = load_texts("molecules")
    kept = [s for s in texts.train if len(molecules.to_selfies(s)) <= info["longest"]]
    strings = [molecules.to_selfies(s) if kind == "selfies" else list(s) for s in kept]
    assert len(strings) == info["train_strings"]
    x = model.alphabet.encode(strings)
    assert model.alphabet.decode(x[:5]) == ["".join(string) for string in strings[:5]]
    kept = [s for s in texts.test if len(molecules.to_selfies(s)) <= info["longest"]]
    test_x = model.alphabet.encode(
        [molecules.to_selfies(s) if kind == "selfies" else list(s) for s in kept]
    )
    torch.manual_seed(1)
    losses = -elbo(model, test_x, likelihood="categorical")
    assert losses.mean().item() == pytest.approx(info["test"]["loss"], abs=1)
    assert int(active_units(model, test_x).sum()) == info["test"]["active_units"]
