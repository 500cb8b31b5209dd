"""Speculative decoding: a guess makes the big model faster, without changing a word (lesson
"speculative_decoding").

A model writes one token after the other because each depends on those before. But it can check many
places at once for little more than one. So somebody quick guesses the next few tokens, the model
reads all of them in one call, and as many are kept as it might have written itself: by a rule under
which the text is distributed exactly as if it had written alone. Shapes are told by one letter
each: b texts, t tokens, n guesses, v vocabulary.

    texts ─ draft ─ guesses (b n) ─ one call of the target (b n+1 v) ─ accept_or_resample ─ texts
                                                                            │
                       caches of both sides: what was not accepted is forgotten

Leviathan et al. 2022 (arXiv 2211.17192); Chen et al. 2023 (arXiv 2302.01318).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor
from torch.nn import functional as F

from lib._generation_parts import check_not_negative, check_prompts
from lib._speculative_models import ModelDrafter, first_layers, in_eight_bits
from lib._speculative_parts import (
    Draft,
    Drafter,
    Reader,
    Rule,
    Tally,
    TextMemory,
    TextStore,
    align_right,
    check_costs,
    check_lengths,
    expected_tokens,
)
from lib.generation import Processor, left_pad, reading
from lib.ngram import sample
from lib.transformer import Transformer

__all__ = [
    "Draft",
    "Drafter",
    "ModelDrafter",
    "NgramDrafter",
    "Reader",
    "Rule",
    "SeveralDrafters",
    "Tally",
    "TextMemory",
    "TextStore",
    "accept_or_resample",
    "adapt_length",
    "align_right",
    "choose_drafter",
    "expected_tokens",
    "first_layers",
    "in_eight_bits",
    "speculate",
    "speculative_step",
]


def accept_or_resample(
    drafted: Tensor,
    draft_probs: Tensor,
    probs: Tensor,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Which guesses stay, and which token follows them?

    From left to right, a guess x stays with probability min(1, p(x) / q(x)), where q is what it was
    drawn from and p what the target would draw from. At the first that does not stay, another token
    is drawn from (p − q)₊, scaled to sum to 1: whatever q is, the token at this place is then
    distributed as p. If all stay, one more is drawn from p behind them, for nothing. Leviathan et
    al. 2022 (arXiv 2211.17192), algorithm 1; Chen et al. 2023 (arXiv 2302.01318), algorithm 2.

    Args:
        drafted: the guesses, (b n); −1 in the places where a row has none, after its last.
        draft_probs: q, (b n v); zeros where there is no guess.
        probs: p, (b n+1 v): before each guess, and behind the last.
        generator: where the chance comes from.

    Returns:
        How many guesses stay, (b) from 0 to n, and the token that follows them, (b).

    >>> p = torch.tensor([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    >>> accept_or_resample(torch.tensor([[1, 2]]), torch.full((1, 2, 3), 1 / 3), p)
    (tensor([1]), tensor([0]))
    """
    guess = drafted.clamp(min=0)[..., None]
    p, q = probs[:, :-1].gather(-1, guess)[..., 0], draft_probs.gather(-1, guess)[..., 0]
    chance = torch.rand(drafted.shape, generator=generator, device=drafted.device)
    stays = (drafted >= 0) & (chance * q < p)  # chance < p / q, also where q is tiny
    accepted = stays.long().cumprod(dim=1).sum(dim=1)
    row = torch.arange(len(drafted), device=drafted.device)
    p = probs[row, accepted]
    q = F.pad(draft_probs, (0, 0, 0, 1))[row, accepted]  # behind the last guess nobody guessed: 0
    rest = (p - q).clamp(min=0)
    rest = torch.where(rest.sum(dim=-1, keepdim=True) > 0, rest, p)  # p = q but for rounding
    return accepted, sample(rest.log(), generator=generator)


def speculative_step(
    target: Reader, drafter: Drafter, tokens: Tensor, n: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Let the drafter guess, let the target check in one call, and go on from what stays.

    Each text grows by the guesses that stay and by one token more. In the end both sides have
    forgotten all other guesses: a side may then hold every column of the new texts but the last,
    which the target has not read.

    Args:
        target: the model whose text it is. `target.logits(tokens, n)` scores what comes after each
            of the last n tokens, in one call; `target.rule.probabilities(tokens, logits)` makes of
            it what is drawn from, `target.rule.generator` is where the chance comes from.
        drafter: `draft(tokens, n)` gives guesses, (b m) with m ≤ n, −1 where a row has fewer, and
            what each was drawn from, (b m v), by the same rule.
        tokens: the texts so far, (b t), −1 before the shorter ones.
        n: how many tokens to guess at most.

    Returns:
        The longer texts, (b t + 1 + most accepted), aligned at the right by `align_right`; how many
        guesses each row had, (b); and how many of them stay, (b). Both sides are told by
        `roll_back(how many columns to keep, accepted)`.
    """
    drafted, draft_probs = drafter.draft(tokens, n)
    longer = torch.cat([tokens, drafted], dim=1)
    probs = target.rule.probabilities(longer, target.logits(longer, drafted.size(1) + 1))
    accepted, following = accept_or_resample(drafted, draft_probs, probs, target.rule.generator)
    places = torch.arange(drafted.size(1) + 1, device=tokens.device)
    new = F.pad(drafted, (0, 1)).masked_fill(places > accepted[:, None], -1)
    new = new.scatter(1, accepted[:, None], following[:, None])
    width = tokens.size(1) + 1 + int(accepted.max())
    tokens = align_right(torch.cat([tokens, new], dim=1), width)
    for side in (target, drafter):
        side.roll_back(width - 1, accepted)
    return tokens, (drafted >= 0).sum(dim=1), accepted


class NgramDrafter(Drafter):
    """Looks up what came after the last few tokens before: in the text itself, or in a collection.

    No model is asked. In the text: prompt lookup (Saxena 2023); in a collection: He et al. 2023,
    "REST" (arXiv 2311.08252).

    Attributes:
        vocab_size: v.
        shortest: how many tokens must agree at least.
        longest: how many are looked for at most.
        store: the collection, if there is one.
    """

    def __init__(
        self,
        vocab_size: int,
        texts: Collection[Sequence[int]] = (),
        shortest: int = 2,
        longest: int = 5,
    ) -> None:
        """
        Args:
            vocab_size: of the target.
            texts: the collection, as ids.
            shortest: see above.
            longest: likewise.

        Raises:
            ValueError: not 1 ≤ shortest ≤ longest.
        """
        check_lengths(shortest, longest)
        self.vocab_size, self.shortest, self.longest = vocab_size, shortest, longest
        self.store = TextStore(texts, shortest, longest)
        self.memories: list[TextMemory] = []

    def memory(self, row: int, text: Sequence[int]) -> TextMemory:
        """What followed what in this row's text. It takes in only what is new."""
        while len(self.memories) <= row:
            self.memories.append(TextMemory(self.shortest, self.longest))
        self.memories[row].see(text)
        return self.memories[row]

    def draft(self, tokens: Tensor, n: int) -> Draft:
        """Guess by looking up, token by token, what followed the last tokens before.

        Each guess: of the contexts that end the text, guesses included, the longest (`longest`
        down to `shortest` tokens) that has been followed by something. Of each length the text
        itself is asked first, `self.memory(row, text).after(context)`, then the collection,
        `self.store.after(context)`; both give a token or None. The memory is that of the text
        without guesses. Where no context helps, the row's guess is over.

        There is no chance in it: each guess was drawn from a distribution with all of its weight on
        that one token.

        Args:
            tokens: the texts so far, (b t), −1 before the shorter ones.
            n: how many tokens to guess at most.

        Returns:
            Guesses (b m), where m ≤ n is how many the longest has, −1 behind shorter ones; and
            their distributions (b m v), float32, zeros behind shorter ones.
        """
        guesses = []
        for row, padded in enumerate(tokens.tolist()):
            text = [token for token in padded if token >= 0]
            sources, end, token = (self.memory(row, text), self.store), len(text), None
            for _ in range(n):
                contexts = (
                    text[-k:] for k in range(min(self.longest, len(text)), self.shortest - 1, -1)
                )
                found = (source.after(context) for context in contexts for source in sources)
                token = next((token for token in found if token is not None), None)
                if token is None:
                    break
                text.append(token)
            guesses.append(text[end:])
        width = max(map(len, guesses))
        ids = [guess + [-1] * (width - len(guess)) for guess in guesses]
        drafted = torch.tensor(ids, dtype=torch.int64, device=tokens.device).view(len(ids), width)
        probs = torch.zeros(*drafted.shape, self.vocab_size, device=tokens.device)
        real = (drafted >= 0).float()
        return drafted, probs.scatter(-1, drafted.clamp(min=0)[..., None], real[..., None])


def choose_drafter(
    acceptance: Sequence[float],
    cost: Sequence[float],
    longest: int,
    call: Sequence[float] | None = None,
) -> tuple[int, int]:
    """Who should guess, and how many tokens, so that most tokens come in the same time?

    A step in which drafter i guesses n tokens yields (1 − αⁿ⁺¹) / (1 − α) of them on average, where
    α is its acceptance (n + 1 if α is 1), and costs n · cost[i] for the guesses and call[n] for the
    check. The more tokens for what it costs, the better. Leviathan et al. 2022 (arXiv 2211.17192),
    theorem 3.8, where a check costs 1 whatever n is.

    Args:
        acceptance: how likely a guess of each drafter is accepted, from 0 to 1.
        cost: of one guessed token of each, in calls of the target that check nothing.
        longest: how many tokens may be guessed at most.
        call: what a call costs that checks 0, 1, …, `longest` guesses, in the same unit; left out,
            always 1.

    Returns:
        The drafter's number and n; (0, 0) if nobody should guess. Of equals the one with fewer
        guesses, then the first.

    Raises:
        ValueError: not as many costs as drafters, or too few calls; an acceptance is not from 0 to
            1, a cost below 0.

    >>> choose_drafter([0.9, 0.6], [0.5, 0.01], longest=8)
    (1, 7)
    """
    call = check_costs(acceptance, cost, longest, call)
    best, most = (0, 0), 1 / call[0]
    for n in range(1, longest + 1):
        for i, (alpha, each) in enumerate(zip(acceptance, cost)):
            speed = expected_tokens(alpha, n) / (n * each + call[n])
            if speed > most:
                best, most = (i, n), speed
    return best


def adapt_length(
    length: int, drafted: Sequence[int], accepted: Sequence[int], longest: int = 16
) -> int:
    """How many tokens to guess next time, after what became of the last guesses.

    A row speaks for more if all of `length` tokens were guessed and accepted, for fewer if a guess
    was refused. A guess that was shorter, but right, says nothing. If at least as many rows speak
    for more as for fewer, two more; else one less. If none speaks, the length stays. So do Hugging
    Face for one text.

    Args:
        length: how many were asked for.
        drafted: how many were guessed in each row.
        accepted: how many of these were accepted.
        longest: the most there may be.

    Returns:
        From 1 to `longest`.

    >>> adapt_length(4, [4], [4]), adapt_length(4, [4], [3]), adapt_length(4, [2], [2])
    (6, 3, 4)
    """
    more = sum(a == length for a in accepted)
    fewer = sum(a < d for d, a in zip(drafted, accepted))
    if more or fewer:
        length += 2 if more >= fewer else -1
    return max(1, min(length, longest))


class SeveralDrafters(Drafter):
    """Several drafters, of which the one guesses that is best at the moment, as long as pays.

    How well each does is estimated from its last guesses, older ones counting less and less; so one
    that has not been asked for long gets another chance. If it has nothing to guess, the next best
    is asked. Costs are given, not measured while writing: the same seed gives the same text.

    Attributes:
        drafters: who may guess.
        hits: for each, how many guesses were accepted, older ones counting less.
        tries: likewise, how many were judged.
    """

    PRIOR, WEIGHT = 0.7, 2.0
    """What is expected of a drafter that nothing is known of, and how many guesses that counts."""

    def __init__(
        self,
        drafters: Sequence[Drafter],
        cost: Sequence[float],
        call: Sequence[float] | None = None,
        memory: float = 0.95,
    ) -> None:
        """
        Args:
            drafters: see above.
            cost: as for `choose_drafter`.
            call: likewise.
            memory: how much an old guess counts one step later, of 1.

        Raises:
            ValueError: there is none, or not one cost for each.
        """
        check_costs([1.0] * len(drafters), cost, 0, call)
        self.drafters, self.cost, self.call, self.memory = list(drafters), cost, call, memory
        self.models = [model for drafter in drafters for model in drafter.models]
        self.hits, self.tries = [0.0] * len(cost), [0.0] * len(cost)
        self.chosen: int | None = None

    @property
    def acceptance(self) -> list[float]:
        """What to expect of each."""
        known = zip(self.hits, self.tries)
        return [(h + self.PRIOR * self.WEIGHT) / (t + self.WEIGHT) for h, t in known]

    def start(self, rule: Rule, model: Transformer, n_tokens: int) -> None:
        """As `Drafter.start`, for all of them; what was learnt of them is forgotten."""
        self.hits, self.tries = [0.0] * len(self.cost), [0.0] * len(self.cost)
        self.chosen = None
        for drafter in self.drafters:
            drafter.start(rule, model, n_tokens)

    def draft(self, tokens: Tensor, n: int) -> Draft:
        """The best one's guess."""
        acceptance, left, n = self.acceptance, list(range(len(self.cost))), self.most(n)
        while left:
            which, length = choose_drafter(
                [acceptance[i] for i in left], [self.cost[i] for i in left], n, self.call
            )
            if not length:
                break
            self.chosen = left.pop(which)
            drafted, probs = self.drafters[self.chosen].draft(tokens, length)
            if (drafted >= 0).any():
                return drafted, probs
            self.heard([0] * len(tokens), [0] * len(tokens))
        self.chosen = None
        n_vocab = self.drafters[0].draft(tokens, 0)[1].size(-1)
        nothing = torch.zeros(len(tokens), 0, n_vocab, device=tokens.device)
        return tokens.new_zeros(len(tokens), 0), nothing

    def most(self, n: int) -> int:
        """How many may be guessed where n are asked for: no more than the costs are known of."""
        return n if self.call is None else min(n, len(self.call) - 1)

    def heard(self, drafted: Sequence[int], accepted: Sequence[int]) -> None:
        """Learn from what became of the last guess; one that was not made counts as refused."""
        self.hits = [h * self.memory for h in self.hits]
        self.tries = [t * self.memory for t in self.tries]
        if self.chosen is not None:
            refused = sum(a < d or d == 0 for d, a in zip(drafted, accepted))
            self.hits[self.chosen] += sum(accepted)
            self.tries[self.chosen] += sum(accepted) + refused
            self.drafters[self.chosen].heard(drafted, accepted)

    def roll_back(self, n_tokens: int, accepted: Tensor) -> None:
        """As `Reader.roll_back`, for all of them."""
        for drafter in self.drafters:
            drafter.roll_back(n_tokens, accepted)

    def select(self, rows: Sequence[int]) -> None:
        """As `Reader.select`, for all of them."""
        for drafter in self.drafters:
            drafter.select(rows)


def speculate(
    model: Transformer,
    drafter: Drafter,
    prompts: Sequence[Sequence[int]] | Tensor,
    max_new_tokens: int,
    *,
    n_draft: int = 4,
    longest: int | None = None,
    temperature: float = 1.0,
    processors: Sequence[Processor] = (),
    stop: Collection[int] = (),
    generator: torch.Generator | None = None,
    tally: Tally | None = None,
) -> list[list[int]]:
    """What `lib.generation.generate` does, in fewer calls of the model.

    At temperature 0 the text is the same; else it is drawn from the same distribution, though not
    with the same numbers from the generator. Rows that are finished leave the batch.

    Args:
        model: the target, whose text it is.
        drafter: who guesses.
        prompts: as for `generate`.
        max_new_tokens: likewise.
        n_draft: how many tokens to guess in each step at most.
        longest: if given, `adapt_length` changes that number as it goes, up to this.
        temperature: as for `generate`; the drafter follows the same rule.
        processors: likewise. See `Rule` for what they must not do.
        stop: as for `generate`.
        generator: likewise.
        tally: what counts how it went.

    Returns:
        For each prompt, the new tokens only.

    Raises:
        ValueError: as for `generate`; or `n_draft` is below 0, or the drafter does not fit.
    """
    check_not_negative(max_new_tokens=max_new_tokens, temperature=temperature, n_draft=n_draft)
    texts, context = check_prompts(prompts, model.config), model.config.n_context
    answers: list[list[int]] = [[] for _ in texts]
    # How many tokens each row may still get: the first that is 0 ends it.
    room = [min(max_new_tokens, context - len(text)) for text in texts]
    rows = [row for row, left in enumerate(room) if left > 0]
    tokens = left_pad(texts, model.embedding.weight.device)[: len(rows)]
    rule = Rule(temperature, processors, generator, [len(text) for text in texts])
    n_tokens = tokens.size(1) + min(max_new_tokens, context) + (longest or n_draft)
    target, ends, length = Reader(model, rule, n_tokens), set(stop), n_draft
    drafter.start(rule, model, n_tokens)
    with ExitStack() as modes:
        for each in (model, *drafter.models):
            modes.enter_context(reading(each, len(rows) * ((longest or n_draft) + 1)))
        while rows:
            # No guess runs out of the context of any row.
            fits = min(context - len(texts[row]) - len(answers[row]) for row in rows) - 1
            n = min(length, fits, max(room[row] for row in rows) - 1)
            tokens, n_drafted, n_accepted = speculative_step(target, drafter, tokens, n)
            drafted, accepted = n_drafted.tolist(), n_accepted.tolist()
            drafter.heard(drafted, accepted)
            if tally is not None:
                tally.count(drafted, accepted)
            if longest is not None and n == length:
                length = adapt_length(length, drafted, accepted, longest)
            going = []
            for i, row in enumerate(rows):
                new = tokens[i, tokens.size(1) - accepted[i] - 1 :].tolist()[: room[row]]
                cut = next((j for j, token in enumerate(new, 1) if token in ends), None)
                answers[row] += new[:cut]
                room[row] = 0 if cut else room[row] - len(new)
                if room[row]:
                    going.append(i)
            if len(going) < len(rows):
                rows, tokens = [rows[i] for i in going], tokens[going]
                if rows:
                    for side in (target, drafter, rule):
                        side.select(going)
    return answers
