"""A reward model: one number that says how much people would like an answer (lesson "rlhf").

People cannot say that an answer is worth 7.3, but they can say which of two is better. If each
answer has a reward r, Bradley and Terry hold that the better one wins with probability
σ(r_w − r_l): so rewards can be learnt from who won. The model is the language model itself, whose
head is taken off; in its place comes one that gives a single number. Shapes are told by one letter
each: b texts, t tokens, d numbers.

    prompt and answer ─ transformer (b t d) ─ head ─ scores (b t) ─ last_token_reward ─ reward (b)

Christiano et al. 2017 (arXiv 1706.03741); Ouyang et al. 2022 (arXiv 2203.02155), section 3.5.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from lib import checkpoint
from lib._reward_parts import Pair, draw_pairs, encode_pair, reward_batch, right_pad
from lib._training_data import to_device
from lib.tokenizer import Tokenizer
from lib.training import in_precision
from lib.transformer import Config, Transformer

__all__ = [
    "Pair",
    "RewardModel",
    "draw_pairs",
    "encode_pair",
    "last_token_reward",
    "preference_loss",
    "reward_accuracy",
    "reward_batch",
    "reward_loss",
    "right_pad",
]


def preference_loss(chosen: Tensor, rejected: Tensor) -> tuple[Tensor, int]:
    """How surprised the rewards are by which answer won: −log σ(r_w − r_l).

    Ouyang et al. 2022 (arXiv 2203.02155), equation 1.

    Args:
        chosen: rewards of the answers that won, (b).
        rejected: of those that lost, (b).

    Returns:
        The sum over all pairs, in nats, and their number. It stays finite however large the
        rewards are.

    >>> preference_loss(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0]))  # 2 · ln 2
    (tensor(1.3863), 2)
    """
    # In one step with the logarithm: σ alone is rounded to 0 where the loser leads by 104.
    return -F.logsigmoid(chosen - rejected).sum(), len(chosen)


def last_token_reward(scores: Tensor, tokens: Tensor) -> Tensor:
    """The reward of each text: the score at its last token, where the model has read all of it.

    Args:
        scores: one for each token, (b t); behind the end of a text they mean nothing.
        tokens: the texts, (b t); they begin in the first column, and −1 stands behind those that
            are shorter. The token that ends a turn is a token like any other, and may come more
            than once.

    Returns:
        (b)

    Raises:
        ValueError: a text has no token at all.

    >>> scores = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    >>> last_token_reward(scores, torch.tensor([[7, 8, 9], [7, 0, -1]]))
    tensor([0.3000, 0.5000])
    """
    lengths = (tokens >= 0).sum(dim=1)
    if (lengths == 0).any():
        raise ValueError("a text without tokens has no reward: expected one token at least")
    last = rearrange(lengths - 1, "b -> b 1")
    return rearrange(scores.gather(1, last), "b 1 -> b")


class RewardModel(nn.Module):
    """A language model with another head: one score for each token instead of logits.

    The score at a token speaks of the text up to there; at the last, of the whole.

    Attributes:
        transformer: what reads, without its head.
        head: what scores.
        shift, scale: the reward is (score − shift) / scale; `normalise` sets both.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, transformer: Transformer) -> None:
        """
        Args:
            transformer: a language model to begin with. It is copied: training the reward model
                does not change it.
        """
        super().__init__()
        self.config = transformer.config
        self.transformer = copy.deepcopy(transformer)
        cast(Any, self.transformer).head = nn.Identity()
        self.head = nn.Linear(self.config.d_model, 1, bias=False)
        nn.init.normal_(self.head.weight, std=1 / (self.config.d_model + 1))  # near 0 at first
        self.register_buffer("shift", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))
        self.to(transformer.embedding.weight.device)

    def forward(self, tokens: Tensor) -> Tensor:
        """Score every token of some texts.

        Args:
            tokens: (b t), −1 behind the shorter ones.

        Returns:
            (b t) in float32.
        """
        x = self.transformer(tokens.clamp(min=0))
        # No matrix product: autocast would round scores, whose differences are all that counts.
        scores = (x.float() * self.head.weight[0]).sum(dim=-1)
        return (scores - self.shift) / self.scale

    @torch.no_grad()
    def rate(
        self, texts: Sequence[Sequence[int]], batch_size: int = 64, precision: str = "float32"
    ) -> Tensor:
        """The reward of each text, (b): prompt and answer as ids, of any length.

        Args:
            texts: what is read.
            batch_size: how many at once.
            precision: see `lib.training.in_precision`.
        """
        device, found = self.shift.device, []
        read = in_precision(lambda model, rows: (model(rows), len(rows)), precision)
        for first in range(0, len(texts), batch_size):
            tokens = right_pad(texts[first : first + batch_size], device)
            found.append(last_token_reward(read(self, tokens)[0], tokens))
        return torch.cat(found) if found else torch.zeros(0, device=device)

    def normalise(
        self, texts: Sequence[Sequence[int]], batch_size: int = 64, precision: str = "float32"
    ) -> None:
        """Shift and scale rewards so that over these texts their mean is 0 and their standard
        deviation 1.

        Differences are all that pairs teach, so the zero is anywhere. Ouyang et al. 2022, section
        3.5, put the mean of labellers' demonstrations at 0 before reinforcement learning.

        Args:
            texts: answers to compare with, such as those of the model that training starts from.
            batch_size: as for `rate`.
            precision: as for `rate`.

        Raises:
            ValueError: there are fewer than 2 texts, or all have the same reward.
        """
        if len(texts) < 2:
            raise ValueError(f"a spread needs at least 2 texts, got {len(texts)}")
        rewards = self.rate(texts, batch_size, precision).double()
        spread = rewards.std()
        if not spread > 0:
            raise ValueError("all texts have the same reward: train the model before")
        self.shift += self.scale * rewards.mean().float()
        self.scale *= spread.float()

    def save(
        self,
        folder: str | Path,
        tokenizer: Tokenizer | None = None,
        card: dict[str, Any] | None = None,
        dtype: torch.dtype | None = None,
    ) -> Path:
        """Write a checkpoint as `lib.checkpoint.save` does, complete or not at all, with head,
        shift and scale among the weights."""
        card = {"kind": "reward model", **(card or {})}
        return checkpoint.save(folder, cast(Transformer, self), tokenizer, card, dtype=dtype)

    @classmethod
    def load(cls, folder: str | Path, device: torch.device | str | None = None) -> RewardModel:
        """The reward model of a checkpoint, of `save` or of a training run, in float32.

        Raises:
            CheckpointError: it is not there, not whole, or of something else.
        """
        folder = Path(folder)
        card = checkpoint.read_card(folder)
        weights = checkpoint.read_tensors(folder, checkpoint.WEIGHTS, card)
        if "head.weight" not in weights or "shift" not in weights:
            raise checkpoint.CheckpointError(
                f"{folder} holds no reward model: lib.checkpoint.load reads language models, and "
                "RewardModel(model) makes one of them"
            )
        model = cls(Transformer(Config.from_dict(card["config"])))
        checkpoint.load_weights(model, weights, folder)
        return model.to(device or "cpu")


def reward_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
    """The loss of a reward model, for `lib.training.train`.

    Args:
        model: a reward model.
        batch: "chosen" and "rejected", (b t) each, as of `reward_batch`.

    Returns:
        The sum over all pairs, in nats, and their number.
    """
    chosen, rejected = batch["chosen"], batch["rejected"]
    return preference_loss(
        last_token_reward(model(chosen), chosen), last_token_reward(model(rejected), rejected)
    )


@torch.no_grad()
def reward_accuracy(
    model: nn.Module, batches: Sequence[dict[str, Tensor]], precision: str = "float32"
) -> float:
    """In which share of pairs does the better answer have the higher reward? A tie counts half.

    Args:
        model: a reward model.
        batches: as of `reward_batch`.
        precision: see `lib.training.in_precision`.

    Raises:
        ValueError: there are no batches.
    """
    if not batches:
        raise ValueError("an accuracy needs at least one batch of pairs, got none")

    def wins(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        rewards = [last_token_reward(model(batch[side]), batch[side])
                   for side in ("chosen", "rejected")]  # fmt: skip
        margins = rewards[0] - rewards[1]
        return (margins > 0).sum() + (margins == 0).sum() / 2, len(margins)

    count = in_precision(wins, precision)
    device = next(model.parameters()).device
    found = [count(model, to_device(batch, device)) for batch in batches]
    return sum(won.item() for won, _ in found) / sum(n for _, n in found)


if __name__ == "__main__":
    from lib._reward_cli import main

    main()
