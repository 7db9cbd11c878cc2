"""Strings: as numbers, their VAE, n-grams, and the objective on them."""

import itertools
import math
from collections import Counter

import pytest
import torch
from torch.distributions import Categorical, Normal

from vae_helpers import (
    active_units,
    elbo,
    fit,
    importance_weighted_bound,
    kl_divergence,
    kl_per_latent,
    load_texts,
    log_likelihood,
)
from vae_helpers import objectives as ob
from vae_helpers.sequences import END, MASK, PAD, START, Alphabet, NGram, SequenceVAE, fill_in

WORDS = ["ABBA", "BA", "CAB", "A", "ABC"]


@pytest.fixture
def alphabet():
    return Alphabet(WORDS)


@pytest.fixture
def names(alphabet):
    """A small VAE of words, not at its initialisation, so that z matters."""
    torch.manual_seed(0)
    model = SequenceVAE(alphabet, 3, hidden_dim=12, embedding_dim=5).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2.5)
    return model


# --- the alphabet -------------------------------------------------------------------------------


def test_words_to_numbers_and_back(alphabet):
    x = alphabet.encode(WORDS)
    assert (len(alphabet), alphabet.length, alphabet.symbols) == (7, 5, ["A", "B", "C"])
    assert x.dtype == torch.int64
    assert x[1].tolist() == [5, 4, END, PAD, PAD]
    assert alphabet.decode(x) == WORDS
    assert alphabet.encode([]).shape == (0, 5)


def test_symbols_of_several_letters():
    alphabet = Alphabet([["[C]", "[=O]"], ["[C]"]])
    x = alphabet.encode([["[=O]", "[C]"]])
    assert x.tolist() == [[4, 5, END]]  # "[=O]" comes before "[C]"
    assert alphabet.decode(x) == ["[=O][C]"]


def test_a_string_without_end_is_read_to_its_last_symbol(alphabet):
    assert alphabet.decode(torch.tensor([[4, 5, 6], [END, 4, 4]])) == ["ABC", ""]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a: Alphabet([]), ValueError, "no strings"),
        (lambda a: Alphabet([""]), ValueError, "no strings"),
        (lambda a: a.encode("ABBA"), TypeError, r"write \['ABBA'\]"),
        (lambda a: a.encode(["ABBAB"]), ValueError, "has 5 symbols; the longest that fits has 4"),
        (lambda a: a.encode(["AXA"]), ValueError, "holds 'X', which is not in the alphabet"),
        (lambda a: a.decode(torch.tensor([[4, MASK, END]])), ValueError, "3 is the number of no"),
        (lambda a: a.decode(torch.tensor([[7, END]])), ValueError, "go from 4 to 6"),
        (lambda a: a.decode(torch.ones(2, 3)), TypeError, "tensor of int64.*not torch.float32"),
        (lambda a: a.decode(torch.ones(3, dtype=torch.int64)), ValueError, r"\(N, T\), not \(3,\)"),
        (lambda a: a.decode(torch.tensor([[-1]])), ValueError, "negative"),
    ],
)
def test_what_an_alphabet_cannot_read_is_said(alphabet, call, error, message):
    with pytest.raises(error, match=message):
        call(alphabet)


def test_an_alphabet_that_was_kept(alphabet):
    again = Alphabet.of(alphabet.symbols, alphabet.length)
    assert (again.symbols, again.length) == (alphabet.symbols, alphabet.length)
    assert torch.equal(again.encode(WORDS), alphabet.encode(WORDS))


# --- the likelihood and the objective -----------------------------------------------------------


def test_the_likelihood_is_that_of_torch_distributions():
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 7)
    x = torch.tensor([[4, 5, 6, END], [4, END, PAD, PAD]])
    each = Categorical(logits=logits).log_prob(x)
    expected = torch.stack([each[0].sum(), each[1, :2].sum()])
    torch.testing.assert_close(ob.categorical_log_likelihood(logits, x), expected)
    with pytest.raises(ValueError, match=r"\(2, 3, 7\) and \(2, 4\)"):
        ob.categorical_log_likelihood(logits[:, :3], x)


def test_the_decoder_gives_probabilities_that_add_up_over_all_strings():
    """p(x|z) summed over every string of at most two symbols, and those that go on: one."""
    torch.manual_seed(0)
    alphabet = Alphabet(["AB", "C"])
    model = SequenceVAE(alphabet, 2, hidden_dim=8, embedding_dim=4).double().eval()
    z = torch.randn(1, 2, dtype=torch.float64)
    numbers = range(1, len(alphabet))  # any symbol but PAD may stand inside a string here
    total = 0.0
    for first, second in itertools.product(numbers, repeat=2):
        if first == END:
            continue
        x = torch.tensor([[first, second]])
        total += ob.categorical_log_likelihood(model.decode_logits(z, x), x).exp().item()
    x = torch.tensor([[END, PAD]])
    total += ob.categorical_log_likelihood(model.decode_logits(z, x), x).exp().item()
    first = torch.softmax(model.decode_logits(z, x)[0, 0], dim=0)
    assert total < 1
    # what is missing is PAD as the first symbol, and as the second
    missing = first[PAD].item()
    for number in set(numbers) - {END}:
        x = torch.tensor([[number, START]])
        second = torch.softmax(model.decode_logits(z, x)[0, 1], dim=0)
        missing += (first[number] * second[PAD]).item()
    assert total + missing == pytest.approx(1, abs=1e-12)


def test_a_symbols_logits_do_not_depend_on_it_or_what_follows(names, alphabet):
    x = alphabet.encode(["ABBA", "ABCA"])
    z = torch.randn(1, 3).expand(2, 3)
    logits = names.decode_logits(z, x)
    assert torch.equal(logits[0, :3], logits[1, :3])
    assert not torch.allclose(logits[0, 3], logits[1, 3])


def test_elbo_and_bound_of_strings_against_sums_by_hand(names, alphabet):
    x = alphabet.encode(WORDS)
    mu, logvar = names.encode(x)
    generator = torch.Generator().manual_seed(3)
    eps = torch.randn(1, *mu.shape, generator=torch.Generator().manual_seed(3))[0]
    z = mu + (0.5 * logvar).exp() * eps
    log_p = ob.categorical_log_likelihood(names.decode_logits(z, x), x)
    found = elbo(names, x, likelihood="categorical", generator=generator)
    torch.testing.assert_close(found, log_p - kl_divergence(mu, logvar))
    one = importance_weighted_bound(
        names, x, 1, likelihood="categorical", generator=torch.Generator().manual_seed(3)
    )
    log_ratio = Normal(0.0, 1.0).log_prob(z) - Normal(mu, (0.5 * logvar).exp()).log_prob(z)
    torch.testing.assert_close(one, log_p + log_ratio.sum(1))
    estimate = log_likelihood(names, x, 50, likelihood="categorical", generator=generator)
    assert estimate.images == 5


def test_active_units_and_kl_take_strings(names, alphabet):
    x = alphabet.encode(WORDS)
    mu, logvar = names.encode(x)
    torch.testing.assert_close(kl_per_latent(names, x).sum(), kl_divergence(mu, logvar).mean())
    assert torch.equal(active_units(names, x), mu.var(dim=0) > 0.01)


def terms(objective, model, x):
    torch.manual_seed(0)
    return {name: value.item() for name, value in objective(model, x).items()}


def test_the_objective_is_the_elbo_of_the_batch(names, alphabet):
    x = alphabet.encode(WORDS)
    plain = terms(ob.NegativeELBO(likelihood="categorical"), names, x)
    assert plain["loss"] == pytest.approx(plain["recon"] + plain["kl"], rel=1e-6)
    assert plain["kl"] == pytest.approx(kl_divergence(*names.encode(x)).sum().item(), rel=1e-6)
    torch.manual_seed(0)
    logits, _, _ = names(x)
    expected = -ob.categorical_log_likelihood(logits, x).sum().item()
    assert plain["recon"] == pytest.approx(expected, rel=1e-6)


def test_free_bits_are_paid_in_training_and_not_on_held_out_data(names, alphabet):
    x = alphabet.encode(WORDS)
    each = kl_per_latent(names, x)
    free = each.sort().values[1].item() * 1.01  # two latents lie below it
    objective = ob.NegativeELBO(likelihood="categorical", free_bits=free, beta=0.5)
    held_out = terms(objective, names, x)
    assert held_out["loss"] == pytest.approx(held_out["recon"] + 0.5 * held_out["kl"], rel=1e-6)
    found = terms(objective, names.train(), x)
    paid = 5 * each.clamp(min=free).sum().item()
    assert paid > held_out["kl"] * 1.0001
    assert found["loss"] == pytest.approx(found["recon"] + 0.5 * paid, rel=1e-5)
    assert found["kl"] == pytest.approx(held_out["kl"], rel=1e-6)


def test_the_weight_warms_up_in_a_straight_line(names, alphabet):
    x = alphabet.encode(WORDS)
    objective = ob.NegativeELBO(2.0, likelihood="categorical", warm_up=4)
    for epochs, weight in ((None, 0.0), (0.0, 0.0), (1.0, 0.5), (3.0, 1.5), (4.0, 2.0), (9.0, 2.0)):
        if epochs is not None:
            objective.at_epoch(epochs)
        found = terms(objective, names.train(), x)
        assert found["loss"] == pytest.approx(found["recon"] + weight * found["kl"], rel=1e-6)
        held_out = terms(objective, names.eval(), x)
        assert held_out["loss"] == pytest.approx(held_out["recon"] + 2 * held_out["kl"], rel=1e-6)


def test_fit_tells_the_objective_how_far_it_is(names, alphabet):
    told = []

    class Watched(ob.NegativeELBO):
        def at_epoch(self, epochs):
            told.append(epochs)
            super().at_epoch(epochs)

    objective = Watched(likelihood="categorical", warm_up=2)
    fit(names, alphabet.encode(WORDS), epochs=2, batch_size=2, objective=objective, progress=False)
    assert told == pytest.approx([0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3])


def test_a_warm_up_goes_on_from_a_checkpoint(alphabet, tmp_path):
    x = alphabet.encode(WORDS)

    def train(epochs, checkpoint):
        torch.manual_seed(0)
        model = SequenceVAE(alphabet, 2, hidden_dim=8, embedding_dim=4)
        objective = ob.NegativeELBO(likelihood="categorical", warm_up=3)
        return fit(model, x, epochs=epochs, batch_size=2, objective=objective,
                   checkpoint=checkpoint, progress=False)  # fmt: skip

    whole = train(4, tmp_path / "whole.pt")
    train(2, tmp_path / "parts.pt")
    assert train(4, tmp_path / "parts.pt").train == whole.train


@pytest.mark.parametrize("name", ["beta", "free_bits", "warm_up"])
@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_an_option_of_the_objective_out_of_range_is_said(name, value):
    with pytest.raises(ValueError, match=f"{name}, .*finite and not negative, not {value}"):
        ob.NegativeELBO(**{name: value})


def test_images_and_strings_are_not_taken_for_each_other(names, alphabet):
    with pytest.raises(TypeError, match="tensor of int64"):
        fit(
            names, torch.rand(4, 784), epochs=1, objective=ob.NegativeELBO(likelihood="categorical")
        )
    with pytest.raises(TypeError, match=r"Images must be float"):
        fit(names, alphabet.encode(WORDS), epochs=1)


# --- the model ----------------------------------------------------------------------------------


def test_shapes(names, alphabet):
    x = alphabet.encode(WORDS)
    logits, mu, logvar = names(x)
    assert logits.shape == (5, 5, 7)
    assert mu.shape == logvar.shape == (5, 3)
    assert names.decode(mu).shape == (5, 5)


def test_the_encoder_sees_nothing_behind_the_end(names, alphabet):
    x = alphabet.encode(["BA", "ABC"])
    changed = x.clone()
    changed[0, 3:] = 6
    torch.testing.assert_close(names.encode(changed)[0], names.encode(x)[0])
    longer = torch.cat([x, torch.full((2, 4), PAD)], dim=1)
    torch.testing.assert_close(names.encode(longer)[0], names.encode(x)[0])
    assert not torch.allclose(names.encode(x[:, :1])[0][0], names.encode(x)[0][0])


def test_decoding_takes_the_likeliest_symbol_at_each_step(names):
    z = 3 * torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    found = names.decode(z)
    logits = names.decode_logits(z, found)
    logits[:, :, [PAD, START, MASK]] = -torch.inf
    inside = found != PAD
    assert torch.equal(logits.argmax(dim=2)[inside], found[inside])
    assert len(found.unique(dim=0)) > 1
    after = (found == END).cumsum(dim=1) - (found == END).int() > 0
    assert torch.equal(after, ~inside)


def test_drawing_follows_the_probabilities_and_the_temperature(names):
    z = torch.randn(1, 3, generator=torch.Generator().manual_seed(0))
    logits = names.decode_logits(z, torch.tensor([[4]]))[0, 0]
    logits[[PAD, START, MASK]] = -torch.inf
    count = 40_000
    for temperature in (1.0, 0.5):
        drawn = names.decode(
            z.expand(count, 3), temperature=temperature, generator=torch.Generator().manual_seed(1)
        )[:, 0]
        shares = torch.bincount(drawn, minlength=7) / count
        expected = torch.softmax(logits / temperature, dim=0)
        assert ((shares - expected).abs() <= 6 * (expected * (1 - expected) / count).sqrt()).all()


def test_word_dropout_hides_symbols_in_training_alone(alphabet):
    torch.manual_seed(0)
    model = SequenceVAE(alphabet, 3, hidden_dim=12, word_dropout=1.0)
    x, z = alphabet.encode(["ABBA", "BBBA"]), torch.zeros(2, 3)
    hidden = model.train().decode_logits(z, x)
    torch.testing.assert_close(hidden[0], hidden[1])  # no symbol is seen, but where they end is
    shown = model.eval().decode_logits(z, x)
    assert not torch.allclose(shown[0, 1], shown[1, 1])
    given = []
    model.word_dropout = 0.3
    model.embedding.register_forward_hook(lambda module, args, output: given.append(args[0]))
    many = x[:1].expand(5_000, -1)
    model.train().decode_logits(torch.zeros(5_000, 3), many)
    assert (given[0][:, 0] == START).all()
    share = (given[0][:, 1:] == MASK).float().mean().item()
    assert share == pytest.approx(0.3, abs=6 * math.sqrt(0.21 / 20_000))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a, m: SequenceVAE(a, 0), ValueError, "latent_dim must be at least 1"),
        (lambda a, m: SequenceVAE(a, 2.0), TypeError, "latent_dim must be a whole number"),
        (lambda a, m: SequenceVAE(a, hidden_dim=True), TypeError, "hidden_dim"),
        (lambda a, m: SequenceVAE(a, embedding_dim=-1), ValueError, "embedding_dim"),
        (lambda a, m: SequenceVAE(a, word_dropout=1.5), ValueError, "probability, not 1.5"),
        (lambda a, m: m.encode(torch.tensor([[4, 9]])), ValueError, "number 9.*ends at 6"),
        (lambda a, m: m.decode(torch.zeros(2, 4)), ValueError, r"\(B, 3\), not \(2, 4\)"),
        (lambda a, m: m.decode(torch.zeros(3)), ValueError, r"\(B, 3\), not \(3,\)"),
        (lambda a, m: m.decode(torch.zeros(2, 3), temperature=-1), ValueError, "not -1"),
    ],
)
def test_what_the_model_cannot_take_is_said(alphabet, names, call, error, message):
    with pytest.raises(error, match=message):
        call(alphabet, names)


# --- n-grams ------------------------------------------------------------------------------------


def test_witten_bell_by_hand(alphabet):
    x = alphabet.encode(WORDS)
    text = [word + "." for word in WORDS]
    letters = Counter("".join(text))
    total, kinds = sum(letters.values()), len(letters)
    one = {s: (letters[s] + kinds / 4) / (total + kinds) for s in "ABC."}
    follow = Counter(pair for word in text for pair in itertools.pairwise(word))

    def two(s, c):
        seen = {b: n for (a, b), n in follow.items() if a == c}
        return (seen.get(s, 0) + len(seen) * one[s]) / (sum(seen.values()) + len(seen))

    first = Counter(word[0] for word in text)
    start = (first["C"] + len(first) * one["C"]) / (5 + len(first))
    expected = math.log(start * two("A", "C") * two("B", "A") * two(".", "B"))
    found = NGram(x, alphabet, 2).log_likelihood(alphabet.encode(["CAB"])).item()
    assert found == pytest.approx(expected, rel=1e-5)
    unigram = NGram(x, alphabet, 1).log_likelihood(alphabet.encode(["CA"])).item()
    assert unigram == pytest.approx(math.log(one["C"] * one["A"] * one["."]), rel=1e-5)


@pytest.mark.parametrize("n", [1, 3])
def test_what_an_ngram_draws_is_as_frequent_as_it_says(alphabet, n):
    model = NGram(alphabet.encode(WORDS), alphabet, n)
    drawn = Counter(
        alphabet.decode(model.sample(20_000, generator=torch.Generator().manual_seed(0)))
    )
    short = ["A", "BA", "AB", "CAB", "ABC", ""]
    p = model.log_likelihood(alphabet.encode(short)).exp()
    shares = torch.tensor([drawn[word] / 20_000 for word in short])
    assert ((shares - p).abs() <= 6 * (p * (1 - p) / 20_000).sqrt()).all()
    assert p.sum() > 0.3


def test_a_cooler_ngram_draws_likely_symbols_more_often(alphabet):
    model = NGram(alphabet.encode(WORDS), alphabet, 1)
    p = model.log_likelihood(torch.tensor([[4], [5], [6], [END]])).exp()
    drawn = model.sample(20_000, temperature=0.5, generator=torch.Generator().manual_seed(0))[:, 0]
    shares = torch.stack([(drawn == n).float().mean() for n in (4, 5, 6, END)])
    expected = p**2 / (p**2).sum()
    assert ((shares - expected).abs() <= 6 * (expected * (1 - expected) / 20_000).sqrt()).all()
    assert (p - expected).abs().max() > 0.05  # far more than the errors above
    with pytest.raises(ValueError, match="positive, not 0"):
        model.sample(2, temperature=0)


def test_a_longer_memory_describes_real_names_better():
    names = load_texts("surnames")
    alphabet = Alphabet([*names.train, *names.test])
    x, held_out = alphabet.encode(names.train), alphabet.encode(names.test)
    nats = [-NGram(x, alphabet, n).log_likelihood(held_out).mean().item() for n in (1, 2, 3, 4)]
    assert nats == sorted(nats, reverse=True)
    assert nats[-1] < 18
    with pytest.raises(ValueError, match="from 1 to 5, not 6"):
        NGram(x, alphabet, 6)


# --- filling in ---------------------------------------------------------------------------------


def test_filling_in_is_bayes_rule(alphabet):
    model = NGram(alphabet.encode(WORDS), alphabet, 3)
    x = alphabet.encode(["ABBA", "CAB"])
    found = fill_in(model.log_likelihood, x, torch.tensor([2, 0]), alphabet)
    p = model.log_likelihood(alphabet.encode(["ABAA", "ABBA", "ABCA"])).exp()
    torch.testing.assert_close(found[0], p / p.sum())
    p = model.log_likelihood(alphabet.encode(["AAB", "BAB", "CAB"])).exp()
    torch.testing.assert_close(found[1], p / p.sum())
    for place in ([4, 0], [2, 3], [-1, 0]):
        with pytest.raises(ValueError, match="a place before its end"):
            fill_in(model.log_likelihood, x, torch.tensor(place), alphabet)
    with pytest.raises(ValueError, match="for each string"):
        fill_in(model.log_likelihood, x, torch.tensor([1]), alphabet)
