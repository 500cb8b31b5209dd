"""Generation: how a distribution becomes text, and quickly (lesson "generation").

A model scores every possible next token. Processors change the scores: they forbid, they favour.
One token is drawn, is appended to the text, and is read by the model in its turn; a cache remembers
what was read before. Shapes are told by one letter each: b batch, g key-value heads, t tokens, d
numbers a head, v vocabulary.

    prompts ─ next_logits ─ / temperature ─ processors ─ sample ─ token
                  ↑                                        │
                  └──────────── one more token ────────────┘
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Collection, Iterator, Sequence

import torch
from torch import Tensor

from lib._generation_automaton import Automaton
from lib._generation_parts import (
    Constraint,
    check_not_negative,
    check_prompts,
    left_pad,
    reading,
)
from lib.attention import causal_mask
from lib.ngram import sample
from lib.tokenizer import Tokenizer
from lib.transformer import Transformer

__all__ = [
    "Automaton",
    "Constraint",
    "KVCache",
    "Processor",
    "allowed_tokens",
    "constrain",
    "generate",
    "left_pad",
    "min_p",
    "new_cache",
    "next_logits",
    "reading",
    "repetition_penalty",
    "sampler",
    "stream",
    "top_k",
    "top_p",
]

Processor = Callable[[Tensor, Tensor], Tensor]
"""Changes the scores of the next token: (texts so far (b t), −1 where there is no token; logits
(b v)) to logits (b v). It leaves both arguments as they are."""


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k likeliest tokens.

    Args:
        logits: (... v)
        k: how many stay; all, if there are no more than k.

    Returns:
        (... v): -inf in place of the others. Those that tie with the k-th stay as well.

    Raises:
        ValueError: k is below 1.

    >>> top_k(torch.tensor([1.0, 4.0, 2.0, 3.0]), 2)
    tensor([-inf, 4., -inf, 3.])
    """
    if k < 1:
        raise ValueError(f"expected k of at least 1, got {k}: one token must stay")
    least = logits.topk(min(k, logits.size(-1)), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < least, float("-inf"))


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the likeliest tokens that together hold the probability p: the nucleus.

    A token stays if those likelier than it hold less than p. So the one that crosses p stays, and
    the likeliest always does. Holtzman et al. 2019 (arXiv 1904.09751), section 3.1, equation 2.

    Args:
        logits: (... v)
        p: above 0, at most 1; 1 keeps all.

    Returns:
        (... v): -inf in place of the others. Of tokens that tie where p is reached, only as many
        stay as it takes; which ones is left to the order of the sort.

    Raises:
        ValueError: p is not in that range.

    >>> top_p(torch.tensor([0.5, 0.1, 0.3, 0.1]).log(), 0.6).exp()
    tensor([0.5000, 0.0000, 0.3000, 0.0000])
    """
    if not 0 < p <= 1:
        raise ValueError(f"expected p above 0 and at most 1, got {p}")
    if p == 1:
        return logits.clone()
    ordered, order = logits.sort(dim=-1, descending=True)
    probabilities = ordered.float().softmax(dim=-1)
    likelier = probabilities.cumsum(dim=-1) - probabilities  # what all before it hold together
    removed = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, likelier >= p)
    return logits.masked_fill(removed, float("-inf"))


def min_p(logits: Tensor, p: float) -> Tensor:
    """Keep the tokens at least p times as likely as the likeliest.

    A sure model leaves few, an unsure one many. Nguyen et al. 2024 (arXiv 2407.01082), section 3.

    Args:
        logits: (... v)
        p: from 0, which keeps all, to 1, which keeps the likeliest (and what ties with it).

    Returns:
        (... v): -inf in place of the others.

    Raises:
        ValueError: p is not in that range.

    >>> min_p(torch.tensor([0.6, 0.3, 0.1]).log(), 0.4).exp()
    tensor([0.6000, 0.3000, 0.0000])
    """
    if not 0 <= p <= 1:
        raise ValueError(f"expected p from 0 to 1, got {p}")
    probabilities = logits.float().softmax(dim=-1)
    likeliest = probabilities.amax(dim=-1, keepdim=True)
    return logits.masked_fill(probabilities < p * likeliest, float("-inf"))


def repetition_penalty(logits: Tensor, tokens: Tensor, penalty: float) -> Tensor:
    """Make every token that stands in the text already less likely.

    A positive logit is divided by the penalty, a negative one multiplied: both sink. A token that
    came twice sinks once. Keskar et al. 2019 (arXiv 1909.05858), section 4.1; the case of negative
    logits as in Hugging Face.

    Args:
        logits: (b v)
        tokens: the texts so far, (b t); what is below 0 is padding and does not count.
        penalty: above 1 against repetition, below 1 in its favour.

    Returns:
        (b v)

    Raises:
        ValueError: the penalty is not above 0.

    >>> repetition_penalty(torch.tensor([[2.0, -2.0, 1.0]]), torch.tensor([[-1, 0, 1, 0]]), 2.0)
    tensor([[ 1., -4.,  1.]])
    """
    if penalty <= 0:
        raise ValueError(f"expected a penalty above 0, got {penalty}; 1 changes nothing")
    vocab_size = logits.size(-1)
    # One column more than there are tokens: padding ends up there.
    seen = torch.zeros(*logits.shape[:-1], vocab_size + 1, dtype=torch.bool, device=logits.device)
    seen = seen.scatter(-1, tokens.where(tokens >= 0, vocab_size), True)[..., :vocab_size]
    sunk = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(seen, sunk, logits)


def sampler(
    *,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float | None = None,
) -> list[Processor]:
    """The processors for these settings, in the usual order; what is left out is not there.

    First the penalty, then top-k, top-p, min-p, each on what the one before has left.

    >>> len(sampler(top_k=50, top_p=0.9))
    2
    """
    return _processors(repetition_penalty, top_k, top_p, min_p)


def _processors(
    penalty: float | None, k: int | None, nucleus: float | None, share: float | None
) -> list[Processor]:
    processors: list[Processor] = []
    if penalty is not None:
        processors.append(lambda tokens, logits: repetition_penalty(logits, tokens, penalty))
    if k is not None:
        processors.append(lambda tokens, logits: top_k(logits, k))
    if nucleus is not None:
        processors.append(lambda tokens, logits: top_p(logits, nucleus))
    if share is not None:
        processors.append(lambda tokens, logits: min_p(logits, share))
    return processors


class KVCache:
    """The keys and values that one layer has computed, so that no token is read twice.

    They lie in buffers with room to spare; a full buffer is doubled, so that each number is moved
    at most twice on average however long the text grows. Layers with a window keep everything too:
    their mask hides what is too far back. For reading only: gradients cannot flow through it.

    Attributes:
        length: how many tokens it holds.
    """

    def __init__(self, n_tokens: int = 64) -> None:
        """
        Args:
            n_tokens: how many tokens there will be; if it turns out to be more, the buffers grow.
        """
        self.length, self.first_size = 0, n_tokens
        self.buffers: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return self.length

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Take in the keys and values of new tokens; give back those of all tokens so far.

        `self.room(key, value)` gives a buffer for keys and one for values. They hold the
        `self.length` tokens so far, and behind them there is room for the new ones, or more.

        Args:
            key: of the new tokens, (b g t d).
            value: likewise.

        Returns:
            Keys and values of all `self.length` tokens, old and new, each (b g s d).
        """
        start, end = self.length, self.length + key.size(2)
        keys, values = self.room(key, value)
        keys[:, :, start:end] = key
        values[:, :, start:end] = value
        self.length = end
        return keys[:, :, :end], values[:, :, :end]

    def room(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """The buffers, grown if the new keys and values would not fit behind what they hold.

        Raises:
            ValueError: the new ones do not go with the old: another batch, other heads.
        """
        needed = self.length + key.size(2)
        if self.buffers is None:
            size = max(needed, self.first_size)
        else:
            for old, new in zip(self.buffers, (key, value)):
                if old.shape[:2] != new.shape[:2] or old.size(3) != new.size(3):
                    raise ValueError(
                        f"expected (b g t d) with b={old.size(0)}, g={old.size(1)}, d={old.size(3)}"
                        f" as before, got {tuple(new.shape)}: make a new cache for other texts"
                    )
            size = self.buffers[0].size(2)
            if needed <= size:
                return self.buffers
            size = max(needed, 2 * size)
        grown = (
            key.new_empty(*key.shape[:2], size, key.size(3)),
            value.new_empty(*value.shape[:2], size, value.size(3)),
        )
        if self.buffers is not None:
            for old, new in zip(self.buffers, grown):
                new[:, :, : self.length] = old[:, :, : self.length]
        self.buffers = grown
        return grown

    def truncate(self, n: int) -> None:
        """Keep the first `n` tokens and forget the rest, as when a guess is taken back.

        Raises:
            ValueError: it does not hold so many.
        """
        if not 0 <= n <= self.length:
            raise ValueError(f"expected to keep 0 to {self.length} tokens, got {n}")
        self.length = n


def new_cache(model: Transformer | int, n_tokens: int = 64) -> list[KVCache]:
    """An empty cache for every layer of `model` (or so many layers), at first for `n_tokens`."""
    n_layer = model if isinstance(model, int) else model.config.n_layer
    return [KVCache(n_tokens) for _ in range(n_layer)]


def next_logits(
    model: Transformer, tokens: Tensor, cache: Sequence[KVCache] | None = None
) -> Tensor:
    """How the model scores the next token of each text.

    With a cache it reads only the tokens that the cache does not hold, and adds them to it. The
    padding counts as part of neither text nor positions: no token looks at it, and the first real
    token stands at position 0.

    Args:
        model: what reads.
        tokens: the texts from their beginning, (b t), −1 where there is no token. They end
            together: padding stands on the left.
        cache: of `new_cache`; left out, everything is read anew.

    Returns:
        (b v)

    Raises:
        ValueError: there is nothing that the cache does not hold.
    """
    n_cached = 0 if cache is None else len(cache[0])
    if n_cached >= tokens.size(1):
        raise ValueError(f"the cache holds {n_cached} tokens, of texts of {tokens.size(1)}")
    real = tokens >= 0
    positions = mask = None  # the model's own are right where nothing is padded
    if not real.all():
        positions = (real.cumsum(dim=1) - 1).clamp(min=0)[:, n_cached:]
        n_tokens = tokens.size(1)
        causal = causal_mask(n_tokens - n_cached, n_tokens, device=tokens.device)
        # Padding itself may look anywhere: nobody reads what it finds, but nan would spread.
        anywhere = ~real[:, None, n_cached:, None]
        mask = causal & (real[:, None, None, :] | anywhere)
    new = tokens[:, n_cached:].clamp(min=0)
    return model(new, positions, mask, cache, head=lambda x: model.head(x[:, -1]))


def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]] | Tensor,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    processors: Sequence[Processor] = (),
    stop: Collection[int] = (),
    generator: torch.Generator | None = None,
    cache: bool | Sequence[KVCache] = True,
    on_token: Callable[[Tensor, Tensor], bool | None] | None = None,
) -> list[list[int]]:
    """Let the model go on writing after each prompt, one token after the other.

    At each step: `next_logits`, divided by the temperature; the processors in their order; a draw
    with the probabilities softmax(logits). A row is finished after a token of `stop`, or when it
    fills the model's context; the others go on.

    Args:
        model: what writes; in eval mode meanwhile.
        prompts: texts as ids, of any length; or (b t).
        max_new_tokens: how many tokens each gets at most.
        temperature: at 0 the likeliest token is taken, and logits are not divided.
        processors: what changes the logits: (tokens (b t), logits (b v)) -> logits.
        stop: ids after which a row is finished; the id itself is part of the answer.
        generator: where the chance comes from.
        cache: whether to keep keys and values; or an earlier call's, which hold how these begin.
        on_token: called at each step with what was drawn, (b), −1 in finished rows, and the logits
            it was drawn from, (b v). If it returns True, all stop. Clone what you keep.

    Returns:
        For each prompt, the new tokens only.

    Raises:
        ValueError: a prompt is empty, too long, not in the vocabulary; a number is below 0.
    """
    check_not_negative(max_new_tokens=max_new_tokens, temperature=temperature)
    tokens = left_pad(check_prompts(prompts, model.config), model.embedding.weight.device)
    width, room = tokens.size(1), model.config.n_context - (tokens >= 0).sum(dim=1)
    stop_ids = torch.tensor(sorted(stop), dtype=torch.int64, device=tokens.device)
    longest = width + min(max_new_tokens, model.config.n_context)
    kept = new_cache(model, longest) if cache is True else cache or None
    finished = torch.zeros_like(room, dtype=torch.bool)
    with reading(model, len(tokens)):
        while tokens.size(1) < width + max_new_tokens and not finished.all():
            logits = next_logits(model, tokens, kept).float() / (temperature or 1)
            for process in processors:
                logits = process(tokens, logits)
            drawn = sample(logits, 1 if temperature > 0 else 0, generator)
            drawn = drawn.masked_fill(finished, -1)
            tokens = torch.cat([tokens, drawn[:, None]], dim=1)
            finished = finished | torch.isin(drawn, stop_ids) | (tokens.size(1) - width >= room)
            if on_token is not None and on_token(drawn, logits):
                break
    return [[token for token in row if token >= 0] for row in tokens[:, width:].tolist()]


def stream(
    model: Transformer,
    tokenizer: Tokenizer,
    prompt: str | Sequence[int],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    processors: Sequence[Processor] = (),
    stop: Collection[int] = (),
    generator: torch.Generator | None = None,
) -> Iterator[str]:
    """The text that the model writes after `prompt`, piece by piece as it comes.

    A character may be spread over several tokens: a piece never ends within one. Put together, the
    pieces are what `tokenizer.decode` makes of the whole answer; a token of `stop` is not shown.
    Whoever takes no more pieces stops the model.

    Args:
        model: as for `generate`, and so are the settings.
        tokenizer: what turns text into ids and back.
        prompt: a text, or its ids.
        max_new_tokens: how many tokens at most.
        temperature: as for `generate`.
        processors: as for `generate`.
        stop: as for `generate`.
        generator: as for `generate`.
    """
    ids = tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt)
    characters = codecs.getincrementaldecoder("utf-8")(errors="replace")
    cache = new_cache(model)
    for _ in range(max_new_tokens):
        (new,) = generate(
            model, [ids], 1, temperature=temperature, processors=processors,
            generator=generator, cache=cache,
        )  # fmt: skip
        ids += new
        if ids[-1] in stop:
            break
        if piece := characters.decode(tokenizer.token_bytes(ids[-1])):
            yield piece
        if len(ids) >= model.config.n_context:
            break
    if piece := characters.decode(b"", final=True):
        yield piece


def allowed_tokens(
    automaton: Automaton, state: int, vocab: Sequence[bytes], end: int
) -> dict[int, int]:
    """Which tokens may come next, if what is written must stay a beginning of an allowed text?

    A token may come if the automaton can read all of its bytes, one after the other, from `state`
    on. The token `end` may come where the text may end. Willard and Louf 2023 (arXiv 2307.09702),
    section 3, algorithm 3.

    Args:
        automaton: `automaton.steps[state]` is a dictionary: byte to next state, for every byte
            that may come; `automaton.accepting` holds the states in which a text may end.
        state: where the automaton is, after all that was written.
        vocab: the bytes of each token, in the order of the ids; empty for tokens that are no text,
            which must never come (but for `end`).
        end: the id of the token that ends a text.

    Returns:
        The id of each token that may come, to the state it leads to; `end` leads to where we are.

    >>> allowed_tokens(Automaton.of("ab|b"), 0, [b"a", b"b", b"ab", b"ba", b""], end=4)
    {0: 1, 1: 2, 2: 3}
    """
    allowed = {}
    for token_id, token in enumerate(vocab):
        reached = state
        for byte in token:
            if byte not in automaton.steps[reached]:
                break
            reached = automaton.steps[reached][byte]
        else:  # no byte was refused
            if token:
                allowed[token_id] = reached
    if state in automaton.accepting:
        allowed[end] = state
    return allowed


def constrain(pattern: str | Automaton, tokenizer: Tokenizer, end: int) -> Constraint:
    """A processor under which the answer always matches `pattern`, whatever the model.

    There are no dead ends: every byte is a token by itself, so that each text can be finished. An
    answer that `max_new_tokens` cuts off is the beginning of one that matches. Put it before
    filters such as `top_p`, which might else leave no token that is allowed; give `end` to `stop`.

    Args:
        pattern: as for `Automaton.of`; or an automaton, such as `Automaton.choice([...])`.
        tokenizer: the one of the model.
        end: the id of the token that ends a text.

    Raises:
        ValueError: the pattern is none, or there is no token `end`.
    """
    automaton = Automaton.of(pattern) if isinstance(pattern, str) else pattern
    tokenizer.token_bytes(end)
    vocab = list(tokenizer.vocab)
    for special in {end, *tokenizer.special_tokens.values()}:
        vocab[special] = b""
    return Constraint(lambda state: allowed_tokens(automaton, state, vocab, end), end)
