"""The parts of `lib.ppo` that no exercise builds: answers and how likely they were, a critic."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from einops import rearrange
from torch import Tensor, nn

from lib.generation import Processor, generate
from lib.reward import RewardModel
from lib.sft import pad_conversations, token_log_probs
from lib.training import IGNORED, in_precision
from lib.transformer import Transformer


@dataclass(frozen=True)
class Rollout:
    """Answers that a policy wrote, and how likely it held each of their tokens.

    Attributes:
        inputs: prompt and answer but for the last token, (b t); 0 behind the shorter rows.
        targets: the token after each, (b t); −100 where it is not of the answer. The token that
            ended an answer is part of it.
        log_probs: of the targets, (b t), under exactly the distribution they were drawn from,
            temperature and processors included; 0 where no target counts.
        answers: the answers as ids.
        prompts: the prompts as ids.
    """

    inputs: Tensor
    targets: Tensor
    log_probs: Tensor
    answers: list[list[int]]
    prompts: list[list[int]]

    @property
    def mask(self) -> Tensor:
        """True where the target is a token of the answer, (b t)."""
        return self.targets != IGNORED

    @property
    def texts(self) -> list[list[int]]:
        """Prompt and answer of each row as ids: what a reward model reads."""
        return [[*prompt, *answer] for prompt, answer in zip(self.prompts, self.answers)]

    def __len__(self) -> int:
        return len(self.answers)


def rollout(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    processors: Sequence[Processor] = (),
    stop: Collection[int] = (),
    generator: torch.Generator | None = None,
) -> Rollout:
    """Let a policy answer prompts, and note how likely each token was when it was drawn.

    Args:
        model: the policy.
        prompts: as ids, of any length.
        max_new_tokens: how many tokens an answer has at most.
        temperature: above 0; as for `lib.generation.generate`, and so are the others.
        processors: what changes the logits. A model that reads the answers again does not know of
            them: `rollout_log_probs` then gives other numbers than were noted.
        stop: ids after which an answer is finished.
        generator: where the chance comes from.

    Raises:
        ValueError: the temperature or the number of tokens is 0, or `generate` refuses a prompt.
    """
    if temperature <= 0:
        raise ValueError(
            f"expected a temperature above 0, got {temperature}: without chance there is nothing "
            "to learn from; lib.generation.generate takes the likeliest tokens"
        )
    if max_new_tokens < 1:
        raise ValueError(f"expected answers of 1 token at least, got {max_new_tokens}")
    noted: list[Tensor] = []  # (b) for each step

    def note(drawn: Tensor, logits: Tensor) -> None:
        index = drawn.clamp(min=0)[:, None]
        noted.append(logits.float().log_softmax(dim=-1).gather(-1, index)[:, 0])

    answers = generate(
        model, prompts, max_new_tokens, temperature=temperature, processors=processors,
        stop=stop, generator=generator, on_token=note,
    )  # fmt: skip
    rows = [[int(token) for token in prompt] for prompt in prompts]
    texts = [[*prompt, *answer] for prompt, answer in zip(rows, answers)]
    written = [[False] * len(p) + [True] * len(a) for p, a in zip(rows, answers)]
    padded, device = pad_conversations(texts, written), model.embedding.weight.device
    inputs, targets = padded["inputs"].to(device), padded["targets"].to(device)
    steps = torch.stack(noted, dim=1)  # (b steps): every answer begins in the first column
    lengths = torch.tensor([len(answer) for answer in answers], device=device)
    log_probs = torch.zeros(targets.shape, device=device)
    written_at = torch.arange(steps.size(1), device=device) < lengths[:, None]
    log_probs[targets != IGNORED] = steps[written_at]
    return Rollout(inputs, targets, log_probs, answers, rows)


def answer_log_probs(
    model: nn.Module, inputs: Tensor, targets: Tensor, temperature: float = 1.0
) -> Tensor:
    """How likely a model holds each target, (b t), at some temperature; 0 where none counts.

    The vocabulary is gone through only where a target counts: prompts cost no logits.

    Args:
        model: a transformer.
        inputs: (b t)
        targets: (b t), −100 where none counts.
        temperature: what the logits are divided by.
    """
    counted = targets != IGNORED
    head = cast(Any, model).head
    logits = model(inputs, head=lambda x: head(x[counted])).float() / temperature  # (n v)
    log_probs = token_log_probs(logits, targets[counted])
    return torch.zeros(targets.shape, device=targets.device).masked_scatter(counted, log_probs)


@torch.no_grad()
def rollout_log_probs(
    model: nn.Module, rollout: Rollout, temperature: float = 1.0, precision: str = "float32"
) -> Tensor:
    """How likely another model, or the same, holds the tokens of a rollout, (b t).

    Args:
        model: a transformer.
        rollout: what is read.
        temperature: the one it was drawn at.
        precision: see `lib.training.in_precision`.
    """

    def read(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        return answer_log_probs(model, rollout.inputs, rollout.targets, temperature), len(rollout)

    return in_precision(read, precision)(model, None)[0]


def whiten(x: Tensor, mask: Tensor) -> Tensor:
    """Shifted and scaled so that where the mask is True mean and variance are 0 and 1; 0 elsewhere.

    >>> whiten(torch.tensor([[1.0, 3.0, 99.0]]), torch.tensor([[True, True, False]]))
    tensor([[-1.,  1.,  0.]])
    """
    counted = x[mask]
    if not len(counted):
        return torch.zeros_like(x)
    spread = counted.var(correction=0).clamp(min=1e-8).sqrt()
    return ((x - counted.mean()) / spread).masked_fill(~mask, 0.0)


class Critic(nn.Module):
    """Guesses at each token what reward is still to come.

    It sees what a model that does not change makes of the text, best of all the reward model: that
    one has learnt to look for what is rewarded. Only a small network behind it learns, which takes
    hardly any time and cannot pull at the policy. (A copy of the policy that learns as a whole
    costs a second policy, and had learnt less after some dozens of steps.)

    Attributes:
        layers: what learns. The model that reads is no part of the critic's parameters.
    """

    def __init__(
        self, reader: Transformer | RewardModel, d_hidden: int = 256, start: float = 0.0
    ) -> None:
        """
        Args:
            reader: the model that reads: a reward model, or a language model. It is not changed.
            d_hidden: numbers between the two layers that learn.
            start: what is guessed at first, everywhere: best the mean reward of the policy, which
                is 0 after `RewardModel.normalise`. A guess far off makes all tokens look good, the
                last ones most, and answers short.
        """
        super().__init__()
        transformer = reader.transformer if isinstance(reader, RewardModel) else reader
        self._reader = (transformer,)  # in a tuple, for modules in attributes become parts
        first = nn.Linear(transformer.config.d_model, d_hidden)
        last = nn.Linear(d_hidden, 1)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, start)
        self.layers = nn.Sequential(first, nn.SiLU(), last)
        self.to(transformer.embedding.weight.device)

    @torch.no_grad()
    def read(self, tokens: Tensor, precision: str = "float32") -> Tensor:
        """What the reader sees at each token, (b t d) in float32, once for all later guesses.

        Args:
            tokens: (b t)
            precision: see `lib.training.in_precision`.
        """

        def see(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
            return model(tokens, head=lambda x: x), len(tokens)

        return in_precision(see, precision)(self._reader[0], None)[0].float()

    def forward(self, seen: Tensor) -> Tensor:
        """What is still to come, (b t), by what is seen, (b t d)."""
        return rearrange(self.layers(seen), "b t 1 -> b t").float()
