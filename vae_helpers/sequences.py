"""Strings: as numbers, a recurrent VAE of them, and the n-gram that it is compared with. No loss, no plot.

x holds the symbols of each string as whole numbers, shape (B, T), int64: the string, then END, then PAD to the right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from .models import check_sizes
from .objectives import PAD
from .validation import prepare_symbols

START, END, MASK = 1, 2, 3  # with PAD, 0, the numbers before those of the symbols


class Alphabet:
    """The symbols of some strings, each with its number, from 4 on.

    A string is any sequence of symbols: "ANNA", or a list whose symbols have several letters. `symbols` lists them in
    order, `length` is that of the longest string and its END, and `len()` counts the symbols and the four numbers
    before them: PAD, START, END and MASK.

    Raises:
        ValueError: there are no strings, or none has a symbol.
    """

    def __init__(self, strings: Iterable[Sequence[str]]) -> None:
        every = list(strings)
        self.symbols = sorted({symbol for string in every for symbol in string})
        if not self.symbols:
            raise ValueError("There are no strings to take symbols from.")
        self.length = max(map(len, every)) + 1
        self._number = {symbol: n for n, symbol in enumerate(self.symbols, start=MASK + 1)}

    @classmethod
    def of(cls, symbols: Sequence[str], length: int) -> Alphabet:
        """The alphabet of these symbols, for strings of up to `length` − 1 of them: as it was when it was kept."""
        return cls([[symbol] for symbol in symbols] + [[symbols[0]] * (length - 1)])

    def __len__(self) -> int:
        return MASK + 1 + len(self.symbols)

    def encode(self, strings: Iterable[Sequence[str]]) -> Tensor:
        """Strings to numbers, shape (N, length), int64.

        Raises:
            TypeError: one string where a list of them belongs.
            ValueError: a string is too long, or holds a symbol that is not of this alphabet.
        """
        if isinstance(strings, str):
            raise TypeError(f"encode takes a list of strings: write [{strings!r}].")
        rows = []
        for string in strings:
            if len(string) >= self.length:
                raise ValueError(
                    f"{string!r} has {len(string)} symbols; the longest that fits has {self.length - 1}."
                )
            strange = [symbol for symbol in string if symbol not in self._number]
            if strange:
                raise ValueError(f"{string!r} holds {strange[0]!r}, which is not in the alphabet.")
            row = [self._number[symbol] for symbol in string] + [END]
            rows.append(row + [PAD] * (self.length - len(row)))
        return torch.tensor(rows, dtype=torch.int64, device="cpu").reshape(-1, self.length)

    def decode(self, x: Tensor) -> list[str]:
        """Numbers, shape (N, T), to strings, each up to its END.

        Raises:
            TypeError, ValueError: not int64 of shape (N, T), or a number that is not of this alphabet.
        """
        found = []
        for numbers in prepare_symbols(x).tolist():
            row = numbers[: numbers.index(END)] if END in numbers else numbers
            strange = [n for n in row if not MASK < n < len(self)]
            if strange:
                raise ValueError(
                    f"{strange[0]} is the number of no symbol: those go from 4 to {len(self) - 1}."
                )
            found.append("".join(self.symbols[n - MASK - 1] for n in row))
        return found


class SequenceVAE(nn.Module):
    """A VAE of strings: one GRU reads a string; another, given z, writes it symbol by symbol.

    The encoder's last state gives the mean and the log-variance of q(z|x). The decoder's first state is a function of
    z; at each step it is given z again and the symbol before, and gives the logits of the next one: p(x|z) is
    Π_t p(x_t | x_1 … x_{t−1}, z) (Bowman et al. 2016, section 3). While it is trained, each symbol that the decoder is
    given is replaced by MASK with the probability `word_dropout` (the same, section 3.1).

    From the `alphabet` come the number of `symbols` and the `length` of the longest string.

    Raises:
        TypeError, ValueError: a size is not a whole number of at least 1, or `word_dropout` not a probability.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        latent_dim: int = 16,
        *,
        hidden_dim: int = 128,
        embedding_dim: int = 32,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_sizes(latent_dim=latent_dim, hidden_dim=hidden_dim, embedding_dim=embedding_dim)
        if not 0 <= word_dropout <= 1:
            raise ValueError(f"word_dropout must be a probability, not {word_dropout}.")
        self.alphabet, self.symbols, self.length = alphabet, len(alphabet), alphabet.length
        self.latent_dim, self.word_dropout = latent_dim, word_dropout
        self.embedding = nn.Embedding(self.symbols, embedding_dim, padding_idx=PAD)
        self.encoder = nn.GRU(embedding_dim, hidden_dim, batch_first=True)
        self.fc_mu = nn.Linear(hidden_dim, latent_dim)
        self.fc_logvar = nn.Linear(hidden_dim, latent_dim)
        self.fc_start = nn.Linear(latent_dim, hidden_dim)
        self.decoder = nn.GRU(embedding_dim + latent_dim, hidden_dim, batch_first=True)
        self.fc_out = nn.Linear(hidden_dim, self.symbols)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Strings, shape (B, T), to the mean and the log-variance of q(z|x), both of shape (B, D).

        Raises:
            TypeError, ValueError: not int64 of shape (B, T), or a number that is not of the alphabet.
        """
        if prepare_symbols(x).max() >= self.symbols:
            raise ValueError(
                f"The strings hold the number {int(x.max())}; this model's alphabet ends at {self.symbols - 1}."
            )
        states, _ = self.encoder(self.embedding(x))
        ends = x == END
        last = torch.where(ends.any(dim=1), ends.int().argmax(dim=1), x.shape[1] - 1)
        h = states[torch.arange(len(x), device=x.device), last]
        return self.fc_mu(h), self.fc_logvar(h)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """Draw z = μ + σ·ε with ε ~ N(0, I), shape (B, D) (Kingma and Welling 2014, section 2.4)."""
        std = torch.exp(0.5 * logvar)
        return mu + std * torch.randn_like(std)

    def decode_logits(self, z: Tensor, x: Tensor) -> Tensor:
        """The logits of each symbol of x, given z, shape (B, D), and the symbols before it: shape (B, T, symbols)."""
        given = torch.cat([torch.full_like(x[:, :1], START), x[:, :-1]], dim=1)
        if self.training and self.word_dropout:
            hidden = torch.rand(given.shape, device=x.device) < self.word_dropout
            given = given.masked_fill(hidden & (given > MASK), MASK)
        logits, _ = self._step(given, z, self._first_state(z))
        return logits

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Strings to the logits of their symbols, and the mean and the log-variance of q(z|x)."""
        mu, logvar = self.encode(x)
        return self.decode_logits(self.reparameterize(mu, logvar), x), mu, logvar

    @torch.no_grad()
    def decode(
        self, z: Tensor, *, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """A string for each code, shape (B, length): at each step the likeliest symbol, or one drawn at random.

        At `temperature` 1 symbols are drawn from p(x_t | x_1 … x_{t−1}, z); below it from p^(1 / temperature), made
        to sum to one; at 0 the likeliest is taken. PAD, START and MASK are never drawn.

        Raises:
            ValueError: `temperature` is negative, or z does not have the shape (B, D).
        """
        if not temperature >= 0:
            raise ValueError(f"temperature must be 0 or more, not {temperature}.")
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"z must have the shape (B, {self.latent_dim}), not {tuple(z.shape)}.")
        state = self._first_state(z)
        symbol = torch.full((len(z), 1), START, dtype=torch.int64, device=z.device)
        done = torch.zeros_like(symbol, dtype=torch.bool)
        found = []
        for _ in range(self.length):
            logits, state = self._step(symbol, z, state)
            symbol = _choose(logits[:, 0], temperature, generator).masked_fill(done, PAD)
            found.append(symbol)
            done = done | (symbol == END)
        return torch.cat(found, dim=1)

    def _first_state(self, z: Tensor) -> Tensor:
        return torch.tanh(self.fc_start(z))[None]

    def _step(self, given: Tensor, z: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The logits after each of the symbols given, and the state after the last."""
        inputs = torch.cat(
            [self.embedding(given), z[:, None].expand(-1, given.shape[1], -1)], dim=2
        )
        states, state = self.decoder(inputs, state)
        return self.fc_out(states), state


class NGram:
    """A model of strings without latents: each symbol depends on the n − 1 before it, by counting.

    Counts are smoothed as by Witten and Bell: p_n(s|c) = (N(c, s) + T(c) · p_{n−1}(s|c′)) / (N(c) + T(c)), where c are
    the n − 1 symbols before s, c′ the same without the first, N(c, s) and N(c) count in the training strings, and T(c)
    is how many different symbols followed c (Chen and Goodman 1999, section 2.5). p_0 is the same for every symbol.

    `x` are the training strings, shape (N, T), int64.

    Raises:
        TypeError, ValueError: `x` is not as described, or n is not from 1 to 5.
    """

    def __init__(self, x: Tensor, alphabet: Alphabet, n: int) -> None:
        if n not in range(1, 6):
            raise ValueError(f"n must be from 1 to 5, not {n!r}: the table has as many dimensions.")
        self.n, self.symbols, self.length = n, len(alphabet), alphabet.length
        windows = self._windows(prepare_symbols(x).cpu())
        windows = windows[windows[:, -1] != PAD]
        possible = torch.ones(self.symbols, device="cpu")
        possible[[PAD, START, MASK]] = 0
        shares = (possible / possible.sum())[None]
        for order in range(1, n + 1):
            counts = torch.bincount(
                self._index(windows[:, n - order :]), minlength=self.symbols**order
            ).reshape(-1, self.symbols)
            total, kinds = counts.sum(1, keepdim=True), (counts > 0).sum(1, keepdim=True)
            lower = shares.repeat(len(counts) // len(shares), 1)
            shares = torch.where(total > 0, (counts + kinds * lower) / (total + kinds), lower)
        self._shares = shares  # (symbols ** (n − 1), symbols): a row for each context

    def _windows(self, x: Tensor) -> Tensor:
        """Each symbol with the n − 1 before it, shape (N · T, n); before the first stands START."""
        before = torch.full_like(x[:, :1], START).expand(-1, self.n - 1)
        return torch.cat([before, x], dim=1).unfold(1, self.n, 1).reshape(-1, self.n)

    def _index(self, symbols: Tensor) -> Tensor:
        """The place of each row of symbols in a table with one dimension for each."""
        place = symbols.new_zeros(len(symbols))
        for column in symbols.unbind(1):
            place = place * self.symbols + column
        return place

    def log_likelihood(self, x: Tensor) -> Tensor:
        """log p(x) in nats per string, shape (B,), for strings of shape (B, T). It is exact."""
        windows = self._windows(prepare_symbols(x).cpu())
        log_p = self._shares.reshape(-1)[self._index(windows)].log()
        return log_p.masked_fill(windows[:, -1] == PAD, 0.0).reshape(x.shape).sum(dim=1)

    def sample(
        self, count: int, *, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw strings, shape (count, length); those that reach the length without an end are cut there.

        Symbols are drawn from p^(1 / temperature), made to sum to one.

        Raises:
            ValueError: `temperature` is not positive.
        """
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, not {temperature}.")
        x = torch.full((count, self.n - 1), START, dtype=torch.int64, device="cpu")
        done = torch.zeros(count, 1, dtype=torch.bool, device="cpu")
        for _ in range(self.length):
            rows = self._index(x[:, x.shape[1] - self.n + 1 :])
            symbol = torch.multinomial(
                self._shares[rows] ** (1 / temperature), 1, generator=generator
            )
            x = torch.cat([x, symbol.masked_fill(done, PAD)], dim=1)
            done = done | (symbol == END)
        return x[:, self.n - 1 :]


@torch.no_grad()
def fill_in(
    log_likelihood: Callable[[Tensor], Tensor], x: Tensor, place: Tensor, alphabet: Alphabet
) -> Tensor:
    """Which symbol stands at one place of each string, given all the others: probabilities, shape (B, S).

    Every symbol is tried: p(symbol | the others) = p(string with it) / Σ p(string with each), by Bayes' rule.
    `log_likelihood` gives log p(x) or a bound of it, shape (B,), for strings (B, T); `place`, shape (B,), is where;
    the S symbols are those of `alphabet.symbols`, in their order.

    Raises:
        TypeError, ValueError: x is not int64 of shape (B, T), or a place is not within its string.
    """
    rows = torch.arange(len(prepare_symbols(x)), device=x.device)
    if (
        place.shape != rows.shape
        or place.min() < 0
        or place.max() >= x.shape[1]
        or (x[rows, place] <= END).any()
    ):
        raise ValueError("`place` must name, for each string, a place before its end.")
    scores = []
    for number in range(MASK + 1, len(alphabet)):
        tried = x.clone()
        tried[rows, place] = number
        scores.append(log_likelihood(tried))
    return torch.softmax(torch.stack(scores, dim=1), dim=1)


def _choose(logits: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    """One symbol for each row of logits, shape (B, 1); never PAD, START or MASK."""
    logits[:, [PAD, START, MASK]] = -torch.inf
    if temperature == 0:
        return logits.argmax(dim=1, keepdim=True)
    shares = torch.softmax(logits / temperature, dim=1)
    return torch.multinomial(shares, 1, generator=generator)
