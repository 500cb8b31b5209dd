"""The parts of `lib.reasoning` that no exercise builds: sums as conversations, rewards that can be
checked, prompts drawn by how much there is to learn from them, arguments checked."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lib.chat import Message, encode_chat, end_token, set_thinking
from lib.corpora._town_sums import Problem
from lib.generation import Processor, generate
from lib.ppo import answer_log_probs
from lib.sft import pad_conversations
from lib.tokenizer import Tokenizer
from lib.training import IGNORED
from lib.transformer import Transformer


@dataclass(frozen=True)
class Thinking:
    """The ids of the tokens that a thought begins and ends with, and a turn starts with."""

    begin: int
    end: int
    turn: int


def thinking_tokens(tokenizer: Tokenizer) -> Thinking:
    """The ids of <think>, </think> and <|im_start|>.

    Raises:
        ValueError: the tokenizer was made without them.
    """
    end_token(tokenizer)
    special = tokenizer.special_tokens
    return Thinking(special["<think>"], special["</think>"], special["<|im_start|>"])


# --- sums as conversations ------------------------------------------------------------------------


def problem_messages(problem: Problem, think: bool, n_steps: int | None = None) -> list[Message]:
    """A sum as a conversation: the system turn says whether to think, the answer is a number.

    Args:
        problem: of `lib.corpora.town.arithmetic`.
        think: whether the assistant works the steps out first.
        n_steps: think this many of them only, as if cut off; left out, all.
    """
    answer: Message = {"role": "assistant", "content": str(problem.answer)}
    if think:
        steps = problem.steps[:n_steps]
        answer["reasoning_content"] = " ".join(f"{step}." for step in steps)
    return set_thinking([{"role": "user", "content": problem.question}, answer], think)


def sum_prompts(problems: Sequence[Problem], tokenizer: Tokenizer, think: bool) -> list[list[int]]:
    """The questions as ids, up to where the assistant's answer begins."""
    conversations = [problem_messages(problem, think)[:-1] for problem in problems]
    return [encode_chat(messages, tokenizer, generate=True) for messages in conversations]


def answer_of(text: str) -> int | None:
    """The number that a reply gives as its answer, behind its thought; None if it gives none.

    There must be exactly one: who says several numbers has not answered. A thought that never ends
    is no answer either; and what follows the first </think> is no thought any more, even if a model
    whose thought was cut off goes on as if it were.

    >>> answer_of("<think>\\n3 * 5 = 15.\\n</think>\\n\\n15"), answer_of("15 or 16"), answer_of("")
    (15, None, None)
    """
    thought, ended, answer = text.split("<|im_end|>")[0].partition("</think>")
    if not ended:
        if "<think>" in thought:
            return None
        answer = thought
    numbers = re.findall(r"-?\d+(?:[.,]\d+)*", answer)
    if len(numbers) != 1 or not re.fullmatch(r"-?\d{1,9}", numbers[0]):
        return None
    return int(numbers[0])


def is_right(text: str, problem: Problem) -> bool:
    """Whether a reply gives the right answer: the thought behind it does not count."""
    return answer_of(text) == problem.answer


def sum_reward(text: str, problem: Problem, form: float = 0.0) -> float:
    """What a reply earns, from 0 to 1.

    Args:
        text: of the reply.
        problem: what was asked.
        form: the part that is paid for the form: one number and no open thought. The rest is paid
            for the right number.
    """
    return form * (answer_of(text) is not None) + (1 - form) * is_right(text, problem)


class SumTask:
    """Sums to learn from: their prompts, and what an answer to each earns.

    Attributes:
        problems: what is asked.
        prompts: as ids, in the same order.
    """

    def __init__(
        self, problems: Sequence[Problem], tokenizer: Tokenizer, think: bool, form: float = 0.0
    ) -> None:
        """
        Args:
            problems: what is asked; a question that comes twice counts once.
            tokenizer: of the model.
            think: whether the model is asked to think.
            form: as for `sum_reward`.

        Raises:
            ValueError: there are no problems.
        """
        self.problems = list({problem.question: problem for problem in problems}.values())
        if not self.problems:
            raise ValueError("expected at least one problem, got none")
        self.tokenizer, self.form = tokenizer, form
        self.prompts = sum_prompts(self.problems, tokenizer, think)
        self.end = end_token(tokenizer)
        self._numbers = {tuple(prompt): number for number, prompt in enumerate(self.prompts)}

    def __len__(self) -> int:
        return len(self.problems)

    def draw(self, n: int, group_size: int, generator: torch.Generator) -> list[list[int]]:
        """So many prompts, none twice, each repeated `group_size` times in a row."""
        chosen = torch.randperm(len(self), generator=generator)[:n].tolist()
        return [self.prompts[i] for i in chosen for _ in range(group_size)]

    def numbers(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Which problem each prompt asks, (b).

        Raises:
            ValueError: a prompt is none of this task's.
        """
        try:
            return torch.tensor([self._numbers[tuple(prompt)] for prompt in prompts])
        except KeyError:
            raise ValueError("a prompt is none of this task's: draw from task.prompts") from None

    def rewards(self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> Tensor:
        """What each answer earns, (b). One that did not come to its end earns nothing."""
        earned = []
        for number, answer in zip(self.numbers(prompts).tolist(), answers):
            ended = len(answer) > 0 and answer[-1] == self.end
            text = self.tokenizer.decode(answer) if ended else ""
            earned.append(sum_reward(text, self.problems[number], self.form) if ended else 0.0)
        return torch.tensor(earned, dtype=torch.float32)


def solve_sums(
    model: Transformer,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    think: bool,
    *,
    n: int = 1,
    temperature: float = 0.0,
    processors: Sequence[Processor] = (),
    max_new_tokens: int = 96,
    at_once: int = 128,
    seed: int = 0,
) -> list[list[str]]:
    """What the model replies to each problem, `n` times.

    Args:
        model: what replies.
        tokenizer: of the model.
        problems: what is asked.
        think: whether it is asked to think.
        n: replies to each.
        temperature: as for `lib.generation.generate`.
        processors: likewise, such as `limit_thinking`.
        max_new_tokens: likewise.
        at_once: how many rows are written together.
        seed: of all chance.

    Returns:
        For each problem its replies, as texts; one that was cut off does not end with <|im_end|>.
    """
    prompts = [p for p in sum_prompts(problems, tokenizer, think) for _ in range(n)]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))  # less padding
    texts = [""] * len(prompts)
    generator = torch.Generator(model.embedding.weight.device).manual_seed(seed)
    for first in range(0, len(order), at_once):
        rows = order[first : first + at_once]
        answers = generate(
            model, [prompts[i] for i in rows], max_new_tokens, temperature=temperature,
            processors=processors, stop=[end_token(tokenizer)], generator=generator,
        )  # fmt: skip
        for i, answer in zip(rows, answers):
            texts[i] = tokenizer.decode(answer)
    return [texts[i : i + n] for i in range(0, len(texts), n)]


def pass_at_k(n: int, n_right: int, k: int) -> float:
    """How likely is it that at least one of k answers is right, if n_right of n were?

    Drawn without putting back, which makes it unbiased: 1 − C(n − c, k) / C(n, k). Chen et al. 2021
    (arXiv 2107.03374), equation 1.

    Raises:
        ValueError: there are not 0 ≤ n_right ≤ n and 1 ≤ k ≤ n.

    >>> pass_at_k(4, 1, 2)
    0.5
    """
    if not (0 <= n_right <= n and 1 <= k <= n):
        raise ValueError(
            f"expected 0 to n right answers and k from 1 to n, got {n_right} right of n={n}, k={k}"
        )
    return 1 - math.comb(n - n_right, k) / math.comb(n, k)


# --- prompts that are used again ------------------------------------------------------------------


class PromptMemory:
    """What a tracker keeps besides its numbers: the last answer to each prompt, which tells later
    how far the policy has moved since."""

    def __init__(self) -> None:
        self._answers: dict[int, tuple[list[int], list[bool], Tensor]] = {}

    def remember(self, prompts: Tensor, inputs: Tensor, targets: Tensor, log_probs: Tensor) -> None:
        """Keep these answers, as the rows of a rollout, for `divergences`."""
        for row, prompt in enumerate(prompts.tolist()):
            written = (targets[row] != IGNORED).nonzero()[:, 0].tolist()
            n = written[-1] + 1
            tokens = [*inputs[row, :n].tolist(), int(targets[row, n - 1])]
            mask = [False, *(targets[row, :n] != IGNORED).tolist()]
            self._answers[prompt] = (tokens, mask, log_probs[row, :n].detach().cpu())

    @torch.no_grad()
    def divergences(self, policy: nn.Module, prompts: Tensor, temperature: float = 1.0) -> Tensor:
        """KL from the policy that used each prompt last to this one, in nats a token, (b).

        Estimated on that one answer: the mean over its tokens of eˣ − 1 − x, where x is the log of
        new over old probability. 0 for prompts that were never used.
        """
        found = torch.zeros(len(prompts))
        known = [i for i, prompt in enumerate(prompts.tolist()) if prompt in self._answers]
        if not known:
            return found
        rows = [self._answers[int(prompts[i])] for i in known]
        batch = pad_conversations([row[0] for row in rows], [row[1] for row in rows])
        device = next(policy.parameters()).device
        inputs, targets = batch["inputs"].to(device), batch["targets"].to(device)
        new = answer_log_probs(policy, inputs, targets, temperature).cpu()
        for i, row, (_, _, old) in zip(known, range(len(rows)), rows):
            counts = batch["targets"][row, : len(old)] != IGNORED
            x = (new[row, : len(old)] - old)[counts]
            found[i] = (x.exp() - 1 - x).mean()
        return found


def draw_prompts_by(weights: Tensor, n: int, generator: torch.Generator | None = None) -> Tensor:
    """So many numbers, none twice, each with a chance that follows its weight.

    Raises:
        ValueError: there are fewer than that.
    """
    if n > len(weights):
        raise ValueError(f"expected to draw at most {len(weights)} prompts, got {n}")
    return torch.multinomial(weights, n, generator=generator)


# --- arguments ------------------------------------------------------------------------------------


def check_grpo(
    average: str, max_length: int | None, kl_weight: float, ref_log_probs: Tensor | None
) -> None:
    """Raises `ValueError` if these settings of `grpo_loss` do not go together."""
    if average not in ("answer", "token", "constant"):
        raise ValueError(f'average is "answer", "token" or "constant", got {average!r}')
    if average == "constant" and not max_length:
        raise ValueError('average="constant" divides by max_length: say how long an answer may be')
    if kl_weight and ref_log_probs is None:
        raise ValueError(
            f"kl_weight is {kl_weight}, but there is nothing to stay near to: give ref_log_probs"
        )


def check_votes(
    answers: Sequence[Hashable | None], weights: Sequence[float] | None
) -> Sequence[float]:
    """The weights, 1 for each vote if none are given.

    Raises:
        ValueError: there is not one for each answer, or one is not above 0.
    """
    if weights is None:
        return [1.0] * len(answers)
    if len(weights) != len(answers):
        raise ValueError(f"expected {len(answers)} weights, one an answer, got {len(weights)}")
    if not all(weight > 0 for weight in weights):
        raise ValueError(f"expected weights above 0, got {list(weights)}")
    return weights
