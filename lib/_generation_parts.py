"""The parts of `lib.generation` that no exercise builds: arguments checked, prompts padded, a model
that only reads, the memory of a constraint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lib._transformer_config import Config


def check_prompts(prompts: Sequence[Sequence[int]] | Tensor, config: Config) -> list[list[int]]:
    """Prompts as lists of ids that a model with this config can go on from.

    Raises:
        ValueError: they are no list of lists, one is empty or fills the context, or an id is not
            in the vocabulary.
    """
    rows: list[list[int]] = []
    for number, row in enumerate(prompts.tolist() if isinstance(prompts, Tensor) else prompts):
        if isinstance(row, int | float | str) or (isinstance(row, Tensor) and row.ndim == 0):
            raise ValueError(
                f"expected a list of prompts, each a list of ids, got {row!r} in place of prompt "
                f"{number}: put a single prompt into a list"
            )
        ids = [int(token) for token in row]
        if not ids:
            raise ValueError(
                f"prompt {number} is empty: give one token at least, such as the one that starts "
                "a text"
            )
        if min(ids) < 0 or max(ids) >= config.vocab_size:
            raise ValueError(
                f"prompt {number} has ids from {min(ids)} to {max(ids)}, expected 0 to "
                f"{config.vocab_size - 1}"
            )
        if len(ids) >= config.n_context:
            raise ValueError(
                f"prompt {number} has {len(ids)} tokens, which leaves no room in a context of "
                f"{config.n_context}: keep its last {config.n_context - 1} at most"
            )
        rows.append(ids)
    return rows


def check_not_negative(**numbers: float) -> None:
    """Raises `ValueError` that names the first number below 0."""
    for name, number in numbers.items():
        if number < 0:
            raise ValueError(f"expected {name} of 0 or more, got {number}")


def left_pad(rows: Sequence[Sequence[int]], device: torch.device | str | None = None) -> Tensor:
    """Texts of unequal length as one tensor (b t); −1 stands before the shorter ones.

    They end together, so that all of them go on in the same column.

    >>> left_pad([[5, 6, 7], [8]]).tolist()
    [[5, 6, 7], [-1, -1, 8]]
    """
    width = max((len(row) for row in rows), default=0)
    padded = [[-1] * (width - len(row)) + list(row) for row in rows]
    return torch.tensor(padded, dtype=torch.int64, device=device).view(len(rows), width)


@contextmanager
def reading(model: nn.Module, n_texts: int = 1) -> Iterator[None]:
    """Within, the model is in eval mode and records nothing for gradients; afterwards each of its
    modules is in the mode it was in before. It may read `n_texts` at once."""
    from lib._training_speed import products_of  # here, as lessons show this function by itself

    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode(), products_of(n_texts):
            yield
    finally:
        for module, training in modes:
            module.training = training


class Constraint:
    """A processor that keeps every new text inside a language: what `constrain` makes.

    It remembers how far each row is. Texts that do not go on where the last call's stopped are new
    prompts, and start from the beginning.
    """

    def __init__(self, allowed: Callable[[int], dict[int, int]], end: int) -> None:
        """
        Args:
            allowed: for a state, the tokens that may come and the state each leads to.
            end: the id of the token that ends a text.
        """
        self._look_up, self.end = allowed, end
        self._known: dict[int, dict[int, int]] = {}
        self.seen = torch.zeros(0, 0)
        self.states: list[int] = []
        self.ended: list[bool] = []

    def allowed(self, state: int) -> dict[int, int]:
        """The tokens that may come, worked out once for each state that occurs."""
        if state not in self._known:
            self._known[state] = self._look_up(state)
        return self._known[state]

    def follow(self, tokens: Tensor) -> None:
        """Move on by the last token of each row of `tokens` (b t), or start anew."""
        newest = tokens[:, -1].tolist()
        goes_on = torch.equal(tokens[:, :-1], self.seen) and all(
            token < 0 or ended or token in self.allowed(state)
            for token, state, ended in zip(newest, self.states, self.ended)
        )
        self.seen = tokens.clone()
        if not goes_on:
            self.states, self.ended = [0] * len(newest), [False] * len(newest)
            return
        for row, token in enumerate(newest):
            if token >= 0 and not self.ended[row]:
                self.states[row] = self.allowed(self.states[row])[token]
                self.ended[row] = token == self.end

    def __call__(self, tokens: Tensor, logits: Tensor) -> Tensor:
        """Logits (b v) with -inf for every token that would leave the language."""
        self.follow(tokens)
        kept = torch.full_like(logits, float("-inf"))
        for row, (state, ended) in enumerate(zip(self.states, self.ended)):
            ids = [self.end] if ended else list(self.allowed(state))
            kept[row, ids] = logits[row, ids]
        return kept
