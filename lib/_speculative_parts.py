"""The parts of `lib.speculative` that no exercise builds: a model that reads growing texts and
takes guesses back, the rule by which tokens are drawn, memories of which token followed which, a
count of what was gained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lib.attention import causal_mask
from lib.generation import Constraint, KVCache, Processor, new_cache
from lib.transformer import Transformer

Draft = tuple[Tensor, Tensor]
"""Guessed tokens (b n), −1 where a row's guess is over; and the distribution that each was drawn
from, (b n v), all zeros where there is none."""


# --- texts ----------------------------------------------------------------------------------------


def align_right(tokens: Tensor, width: int) -> Tensor:
    """Move every −1 of a row before its tokens, and keep the last `width` columns.

    Args:
        tokens: (b t), −1 where there is no token, anywhere in a row.
        width: of the longest row's tokens, at least.

    Returns:
        (b width): texts that end together.

    >>> align_right(torch.tensor([[-1, 5, 6, -1], [7, 8, -1, -1]]), 3).tolist()
    [[-1, 5, 6], [-1, 7, 8]]
    """
    if len(tokens) == 1:  # one text: nothing to order
        return tokens[:, : int((tokens >= 0).nonzero()[-1, 1]) + 1][:, -width:]
    order = (tokens >= 0).int().argsort(dim=1, stable=True)
    return tokens.gather(1, order)[:, -width:]


# --- drawing --------------------------------------------------------------------------------------


@dataclass
class Rule:
    """How a token is drawn: temperature and processors, the same for whoever guesses and whoever
    checks, and where the chance comes from.

    Attributes:
        temperature: as in `lib.generation.generate`, and so are the others.
        processors: what changes the logits. Each must be a function of the texts alone, with no
            memory from call to call: it is asked for several places of a text at once, and again
            after a guess was taken back. A `Constraint` has a memory; here it goes without.
        generator: where the chance comes from.
        prompt_lengths: of the texts, in tokens: for a `Constraint`, which starts after the prompt.
    """

    temperature: float = 1.0
    processors: Sequence[Processor] = ()
    generator: torch.Generator | None = None
    prompt_lengths: list[int] = field(default_factory=list)

    def probabilities(self, tokens: Tensor, logits: Tensor) -> Tensor:
        """What the next token is drawn from, after each of the last n tokens.

        Args:
            tokens: the texts, guesses at their end, (b t), −1 where there is no token.
            logits: after each of the last n of these t tokens, (b n v).

        Returns:
            (b n v), float32; at temperature 0, all on the likeliest token.
        """
        n_rows, n_places, n_vocab = logits.shape
        logits = logits.float() / (self.temperature or 1)
        if self.processors:
            # One text for each place: as long as the text was there, and padded on the left.
            width = tokens.size(1)
            texts = F.pad(tokens, (n_places - 1, 0), value=-1).unfold(1, width, 1)
            texts = texts.reshape(n_rows * n_places, width)
            if (texts[:, -1] < 0).any():  # a guess that is over: −1 at the end
                texts = align_right(texts, width)
            flat = logits.reshape(n_rows * n_places, n_vocab)
            for process in self.processors:
                if isinstance(process, Constraint):
                    flat = self.constrained(process, texts, flat)
                else:
                    flat = process(texts, flat)
            logits = flat.view(n_rows, n_places, n_vocab)
        if self.temperature == 0:
            likeliest = logits.argmax(dim=-1, keepdim=True)
            return torch.zeros_like(logits).scatter_(-1, likeliest, 1.0)
        return logits.softmax(dim=-1)

    def constrained(self, constraint: Constraint, texts: Tensor, logits: Tensor) -> Tensor:
        """What `constraint` leaves of the logits, its state worked out anew from each text.

        Texts that have left the language, as a guess may, keep their logits: nobody reads them.
        """
        per_row = len(texts) // max(len(self.prompt_lengths), 1)
        kept = torch.full_like(logits, float("-inf"))
        for i, text in enumerate(texts.tolist()):
            prompt = self.prompt_lengths[i // per_row] if self.prompt_lengths else len(text)
            state, ended, inside = 0, False, True
            for token in [token for token in text if token >= 0][prompt:]:
                if ended:
                    continue
                allowed = constraint.allowed(state)
                if not (inside := token in allowed):
                    break
                state, ended = allowed[token], token == constraint.end
            ids = [constraint.end] if ended else list(constraint.allowed(state))
            kept[i, ids if inside else slice(None)] = logits[i, ids if inside else slice(None)]
        return kept

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone."""
        if self.prompt_lengths:
            self.prompt_lengths = [self.prompt_lengths[row] for row in rows]


# --- reading --------------------------------------------------------------------------------------


class Reader:
    """A model that reads texts as they grow, each token once, and can take back what it read.

    Attributes:
        model: what reads.
        rule: how tokens are drawn from what it says.
        cache: what its layers remember. Its columns are those of the texts: all but the last few.
    """

    def __init__(self, model: Transformer, rule: Rule, n_tokens: int = 64) -> None:
        """
        Args:
            model: see above.
            rule: likewise.
            n_tokens: how long the texts will get; longer is possible.
        """
        self.model, self.rule = model, rule
        self.cache: list[KVCache] = new_cache(model, n_tokens)

    def logits(self, tokens: Tensor, n: int = 1) -> Tensor:
        """How the model scores the next token after each of the last `n` tokens: one call.

        It reads what the cache does not hold, and adds it to it: padding too, which counts as part
        of neither text nor positions, wherever it stands.

        Args:
            tokens: the texts from their beginning, (b t), −1 where there is no token.
            n: how many places, at most as many as the cache does not hold.

        Returns:
            (b n v)

        Raises:
            ValueError: the cache holds some of these tokens already: roll it back first.
        """
        n_cached, n_tokens = len(self.cache[0]), tokens.size(1)
        if n_cached + n > n_tokens:
            raise ValueError(
                f"the cache holds {n_cached} of {n_tokens} tokens, so the last {n} cannot be read "
                "again: roll it back first"
            )
        real = tokens >= 0
        positions = mask = None  # the model's own are right where nothing is padded
        if not real.all():
            positions = (real.cumsum(dim=1) - 1).clamp(min=0)[:, n_cached:]
            causal = causal_mask(n_tokens - n_cached, n_tokens, device=tokens.device)
            anywhere = ~real[:, None, n_cached:, None]  # padding may look anywhere: nobody reads it
            mask = causal & (real[:, None, None, :] | anywhere)
        new = tokens[:, n_cached:].clamp(min=0)
        head = self.model.head
        return self.model(new, positions, mask, self.cache, head=lambda x: head(x[:, -n:]))

    def probabilities(self, tokens: Tensor, n: int = 1) -> Tensor:
        """What the next token is drawn from, after each of the last `n` tokens, (b n v)."""
        return self.rule.probabilities(tokens, self.logits(tokens, n))

    def roll_back(self, n_tokens: int, accepted: Tensor) -> None:
        """Forget the guesses that were not accepted.

        Args:
            n_tokens: how many columns of the new texts the cache may hold at most.
            accepted: how many guessed tokens of each row were, (b). The texts end together, so
                rows that have accepted fewer than others are moved to the right, here as well.
        """
        kept = min(n_tokens, len(self.cache[0]))
        shifts = accepted.max() - accepted
        for shift in set(shifts.tolist()) - {0} if len(shifts) > 1 else ():
            rows = (shifts == shift).nonzero()[:, 0]
            for layer in self.cache:
                for buffer in layer.buffers or ():
                    buffer[rows, :, shift:kept] = buffer[rows, :, : kept - shift]
        for layer in self.cache:
            layer.truncate(kept)

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows of the texts alone."""
        for layer in self.cache:
            if layer.buffers is not None:
                keys, values = layer.buffers
                layer.buffers = keys[list(rows)], values[list(rows)]


class Drafter:
    """Whoever guesses the next tokens. Only `draft` must be written; the rest does nothing.

    Attributes:
        models: the models it asks, which `speculate` puts into eval mode.
    """

    models: Sequence[nn.Module] = ()

    def start(self, rule: Rule, model: Transformer, n_tokens: int) -> None:
        """New texts begin.

        Args:
            rule: how tokens are drawn, guesses too.
            model: the one that will check.
            n_tokens: how long the texts may get.
        """

    def draft(self, tokens: Tensor, n: int) -> Draft:
        """Guess the next `n` tokens of each text, or fewer.

        How many it guesses may depend on all that it has seen before it draws a token, never on
        that token: to hold back an unlikely one after it was drawn would change the distribution.

        Args:
            tokens: the texts so far, (b t), −1 before the shorter ones.
            n: how many at most.
        """
        raise NotImplementedError

    def heard(self, drafted: Sequence[int], accepted: Sequence[int]) -> None:
        """How many tokens it guessed in each row, and how many of them were accepted."""

    def roll_back(self, n_tokens: int, accepted: Tensor) -> None:
        """As `Reader.roll_back`."""

    def select(self, rows: Sequence[int]) -> None:
        """As `Reader.select`."""


# --- memories -------------------------------------------------------------------------------------

_FACTOR, _BITS = 6364136223846793005, (1 << 64) - 1


class TextStore:
    """Which token came most often after these, in all the texts of a collection.

    A table for each length of context; contexts are kept as hashes of 64 bits. Two that share one
    would only make a worse guess. About 100 bytes for each context: a million tokens take half a
    gigabyte, 200,000 a tenth.
    """

    def __init__(self, texts: Iterable[Sequence[int]], shortest: int = 1, longest: int = 5) -> None:
        """
        Args:
            texts: as ids. No context runs from one into the next.
            shortest: tokens of the shortest context.
            longest: tokens of the longest.

        Raises:
            ValueError: not 1 ≤ shortest ≤ longest.
        """
        check_lengths(shortest, longest)
        rows = [list(text) for text in texts]
        tokens = torch.tensor([token for row in rows for token in row], dtype=torch.int64)
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
        starts = (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
        place = torch.arange(len(tokens)) - starts  # within its text
        signed = _FACTOR - (1 << 64) if _FACTOR >> 63 else _FACTOR
        self.tables: dict[int, dict[int, int]] = {}
        hashes = torch.zeros(max(len(tokens), 0), dtype=torch.int64)
        for length in range(1, longest + 1):
            # hashes[i]: of the `length` tokens before i, the oldest first.
            older = torch.zeros_like(hashes)
            older[length:] = tokens[: max(len(tokens) - length, 0)] + 1
            hashes = hashes + older * _power(signed, length - 1)
            if length < shortest:
                continue
            whole = place >= length
            self.tables[length] = _likeliest(hashes[whole], tokens[whole])

    def after(self, context: Sequence[int]) -> int | None:
        """The token that came most often after `context`; None if nothing ever did."""
        table = self.tables.get(len(context))
        if table is None:
            return None
        key = 0
        for token in context:
            key = (key * _FACTOR + token + 1) & _BITS
        return table.get(key - (1 << 64) if key >> 63 else key)


def _power(factor: int, n: int) -> int:
    """factor^n in the whole numbers of 64 bits, with a sign."""
    power = pow(factor, n, 1 << 64)
    return power - (1 << 64) if power >> 63 else power


def _likeliest(contexts: Tensor, following: Tensor) -> dict[int, int]:
    """For each context the token that follows it most often; of equals, the smallest."""
    if not len(contexts):
        return {}
    order = following.argsort(stable=True, descending=True)
    order = order[contexts[order].argsort(stable=True)]
    contexts, following = contexts[order], following[order]
    new = torch.ones(len(contexts), dtype=torch.bool)
    new[1:] = (contexts[1:] != contexts[:-1]) | (following[1:] != following[:-1])
    first = new.nonzero().flatten()
    counts = torch.diff(first, append=torch.tensor([len(contexts)]))
    contexts, following = contexts[first], following[first]
    order = counts.argsort(stable=True)  # whoever is entered last stays
    return dict(zip(contexts[order].tolist(), following[order].tolist()))


class TextMemory:
    """Which token came last after these, in one text that grows.

    Attributes:
        text: what it has seen.
    """

    def __init__(self, shortest: int = 1, longest: int = 5) -> None:
        """
        Args:
            shortest: tokens of the shortest context.
            longest: tokens of the longest.
        """
        check_lengths(shortest, longest)
        self.lengths = range(shortest, longest + 1)
        self.text: list[int] = []
        self.table: dict[tuple[int, ...], int] = {}

    def see(self, text: Sequence[int]) -> None:
        """Take in what has come since; a text that does not go on where the last stopped is new."""
        text = list(text)
        n = len(self.text)
        if text[:n] != self.text:
            self.table, n = {}, 0
        for i in range(n, len(text)):
            for length in self.lengths:
                if length > i:
                    break
                self.table[tuple(text[i - length : i])] = text[i]
        self.text = text

    def after(self, context: Sequence[int]) -> int | None:
        """The token that came after `context` the last time; None if nothing ever did."""
        return self.table.get(tuple(context))


def check_lengths(shortest: int, longest: int) -> None:
    """Raises `ValueError` unless 1 ≤ shortest ≤ longest."""
    if not 1 <= shortest <= longest:
        raise ValueError(f"expected 1 ≤ shortest ≤ longest, got {shortest=} and {longest=}")


# --- what is gained -------------------------------------------------------------------------------


def expected_tokens(acceptance: float, n: int) -> float:
    """How many tokens a call of the target yields on average, when `n` are guessed and each is
    accepted with the same probability α: 1 + α + … + αⁿ = (1 − αⁿ⁺¹) / (1 − α).

    Leviathan et al. 2022 (arXiv 2211.17192), equation 1.

    >>> expected_tokens(0.5, 2)
    1.75
    """
    return sum(acceptance**i for i in range(n + 1))


def check_costs(
    acceptance: Sequence[float], cost: Sequence[float], longest: int, call: Sequence[float] | None
) -> Sequence[float]:
    """What calls cost that check 0, 1, …, `longest` guesses: `call`, or 1 each.

    Raises:
        ValueError: see `lib.speculative.choose_drafter`.
    """
    if not acceptance or len(acceptance) != len(cost):
        raise ValueError(
            f"expected one cost for each drafter, and one drafter at least, got {len(acceptance)} "
            f"drafters and {len(cost)} costs"
        )
    if not all(0 <= alpha <= 1 for alpha in acceptance):
        raise ValueError(f"expected acceptances from 0 to 1, got {list(acceptance)}")
    if min(cost) < 0:
        raise ValueError(f"expected costs of 0 or more, got {list(cost)}")
    call = [1.0] * (longest + 1) if call is None else call
    if len(call) <= longest or min(call) <= 0:
        raise ValueError(
            f"expected what calls cost with 0 to {longest} guesses, each above 0, got {list(call)}"
        )
    return call


@dataclass
class Tally:
    """What came of the guesses, added up over calls of `speculate`.

    Attributes:
        calls: of the target.
        steps: the same, each row counted by itself.
        drafted: tokens guessed.
        accepted: of them.
        refused: guesses that ended with a token that was not accepted.
        tokens: new tokens, whether guessed or not, with what was written beyond the end.
    """

    calls: int = 0
    steps: int = 0
    drafted: int = 0
    accepted: int = 0
    refused: int = 0
    tokens: int = 0

    @property
    def acceptance(self) -> float:
        """α: how likely a guessed token is accepted once those before it were."""
        judged = self.accepted + self.refused
        return self.accepted / judged if judged else 0.0

    @property
    def tokens_per_step(self) -> float:
        """New tokens for each row that the target has read in a call."""
        return self.tokens / self.steps if self.steps else 0.0

    def count(self, drafted: Sequence[int], accepted: Sequence[int]) -> None:
        """Enter one call of the target, by rows."""
        self.calls += 1
        self.steps += len(drafted)
        self.drafted += sum(drafted)
        self.accepted += sum(accepted)
        self.refused += sum(a < d for a, d in zip(accepted, drafted))
        self.tokens += sum(accepted) + len(accepted)
