"""DPO and PPO on the same pairs, more often than a notebook has time for.

    python -m lib.course.preference_study

Every run starts from the assistant that comes with the course, learns what the town likes from the
same pairs, and is measured on the way: what its own replies are worth in truth, how far it has gone
from the assistant, and how long it took. Lessons read it by `study("preferences")`. Runs that are
there already are not run again.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch

from lib.chat import encode_chat, end_token
from lib.checkpoint import DATA, load, load_tokenizer, start_from
from lib.corpora.town import judge, preference, telling
from lib.course.studies import run_missing
from lib.dpo import (
    answer_kl,
    dpo_objective,
    evaluate_preferences,
    in_turn,
    preference_batches,
    reference_log_probs,
)
from lib.optim import AdamW, make_optimizer, parameter_groups
from lib.ppo import Critic, Rollout, learn_from_rollouts, ppo_batch, ppo_loss, rollout
from lib.reward import RewardModel, draw_pairs, encode_pair, reward_loss
from lib.tokenizer import Tokenizer
from lib.training import best_precision, train
from lib.transformer import Transformer

Messages = list[dict[str, str]]
Encoded = dict[str, list[int]]
Spec = dict[str, Any]

PATH = DATA / "studies" / "preferences.json"
N_PAIRS, BATCH, N_ASKED, N_NEW = 1920, 16, 192, 64
LR = 1e-4


def specs() -> list[Spec]:
    """The runs: DPO and PPO on the town's pairs, three seeds each, and DPO at a low price, two.

    "rounds" is how often DPO reads every pair: twice takes about as long as PPO does. A method
    "dpo, own pairs", on pairs of the assistant's own replies, is there to be tried.
    """
    kinds = [
        (0, "dpo", 0.5, 2), (0, "ppo", 0.05, 0), (0, "dpo", 0.02, 1), (1, "dpo", 0.5, 2),
        (1, "ppo", 0.05, 0), (2, "dpo", 0.5, 2), (2, "ppo", 0.05, 0), (1, "dpo", 0.02, 1),
    ]  # fmt: skip
    return [
        {"method": method, "beta": beta, "rounds": rounds, "seed": seed}
        for seed, method, beta, rounds in kinds
    ]


# --- what they start from and learn from ----------------------------------------------------------


@cache
def _assistant() -> tuple[Transformer, Tokenizer]:
    folder = start_from("assistant")
    return load(folder), load_tokenizer(folder)


def _town_pairs(n: int, split: str, seed: int = 0) -> list[Encoded]:
    _, tokenizer = _assistant()
    found = []
    for i in range(n):
        p = preference(i, split, seed)
        texts = {"prompt": p.messages, "chosen": p.chosen, "rejected": p.rejected}
        found.append(encode_pair(texts, tokenizer))
    return found


def _own_pairs(n: int, seed: int, tries: int = 4) -> list[Encoded]:
    """Of `tries` replies of the assistant to a question, that worth most and that worth least; a
    question whose replies are all worth the same gives no pair."""
    model, _ = _assistant()
    chance, found = torch.Generator().manual_seed(seed), []
    for first in range(0, n, 16):
        asked = [telling(i, "train", seed + 1)[:1] for i in range(first, min(first + 16, n))]
        written = write(model, [messages for messages in asked for _ in range(tries)], chance)
        scores = true_scores([messages for messages in asked for _ in range(tries)], written)
        for k in range(0, len(scores), tries):
            order = sorted(range(k, k + tries), key=lambda j: scores[j])
            if scores[order[0]] < scores[order[-1]]:
                chosen, rejected = written.answers[order[-1]], written.answers[order[0]]
                found.append({"prompt": written.prompts[k], "chosen": chosen, "rejected": rejected})
    return found


def write(model: Transformer, asked: Sequence[Messages], chance: torch.Generator) -> Rollout:
    """A reply to each question, drawn at temperature 1."""
    _, tokenizer = _assistant()
    prompts = [encode_chat(messages, tokenizer, generate=True) for messages in asked]
    return rollout(model, prompts, N_NEW, stop=[end_token(tokenizer)], generator=chance)


def true_scores(asked: Sequence[Messages], written: Rollout) -> list[float]:
    """What each reply is worth in truth; 0 where it did not come to its end."""
    _, tokenizer = _assistant()
    end = end_token(tokenizer)
    return [
        judge(messages, tokenizer.decode(ids[:-1])).score if ids[-1] == end else 0.0
        for messages, ids in zip(asked, written.answers, strict=True)
    ]


# --- what is measured -----------------------------------------------------------------------------


class Watch:
    """Measures a policy, and how many seconds of a processor it has taken to get there; measuring
    does not count."""

    def __init__(self, seed: int) -> None:
        self.asked = [telling(i, "held_out")[:1] for i in range(5000, 5000 + N_ASKED)]
        self.seed, self.precision = seed, best_precision()
        reference, _ = _assistant()
        pairs = preference_batches(_town_pairs(200, "held_out"), batch_size=50)
        self.pairs = reference_log_probs(reference, pairs, self.precision)
        self.start = time.process_time()

    def __call__(self, policy: Any) -> dict[str, float]:
        seconds = time.process_time() - self.start
        reference, _ = _assistant()
        written = write(policy, self.asked, torch.Generator().manual_seed(1000 + self.seed))
        scores = true_scores(self.asked, written)
        found = {
            "true_score": sum(scores) / len(scores),
            "worthless": sum(score == 0 for score in scores) / len(scores),
            "kl": answer_kl(reference, written, precision=self.precision),
            "tokens": sum(map(len, written.answers)) / len(written),
            **evaluate_preferences(policy, self.pairs, 1.0, self.precision),
            "seconds": seconds,
        }
        self.start = time.process_time() - seconds
        return {name: round(value, 4) for name, value in found.items()}


# --- runs -----------------------------------------------------------------------------------------


def run(spec: Spec, n_steps: int | None = None, n_pairs: int = N_PAIRS) -> Spec:
    """One run: the spec, and lists "step", "seconds", "true_score", "kl" and so on, a number for
    each time it was measured.

    Args:
        spec: see `specs`.
        n_steps: of DPO or PPO; left out, as many rounds as the spec says, or 40 rollouts.
        n_pairs: how many pairs are learnt from; half as many questions for pairs of one's own.
    """
    torch.manual_seed(spec["seed"])
    watch, (reference, _) = Watch(spec["seed"]), _assistant()
    policy = copy.deepcopy(reference)
    learn = _ppo if spec["method"] == "ppo" else _dpo
    history = learn(policy, spec, watch, n_steps, n_pairs)
    names = list(history[0])
    return {**spec, **{name: [record[name] for record in history] for name in names}}


def _measured(history: Any) -> list[dict[str, float]]:
    return [
        {name: value for name, value in record.items() if name in _KEPT}
        for record in history.records
        if "true_score" in record
    ]


_KEPT = ("step", "seconds", "true_score", "worthless", "kl", "tokens", "accuracy",
         "chosen_log_prob", "rejected_log_prob")  # fmt: skip


def _optimizer(policy: Transformer, *more: dict[str, Any]) -> AdamW:
    groups = [{**group, "lr": LR} for group in parameter_groups(policy, LR, weight_decay=0.0)]
    return AdamW([*groups, *more])


def _dpo(
    policy: Transformer, spec: Spec, watch: Watch, n_steps: int | None, n_pairs: int
) -> list[dict[str, float]]:
    reference, _ = _assistant()
    own, seed = spec["method"].endswith("own pairs"), spec["seed"]
    pairs = _own_pairs(n_pairs // 2, seed) if own else _town_pairs(n_pairs, "train", seed)
    batches = preference_batches(pairs, batch_size=BATCH, seed=seed)
    batches = reference_log_probs(reference, batches, watch.precision)
    n_steps = n_steps or len(batches) * spec["rounds"]
    history = train(
        policy, in_turn(batches, seed), n_steps, _optimizer(policy),
        dpo_objective(spec["beta"]),
        precision=watch.precision, evaluate=watch, evaluate_every=max(1, n_steps // 4),
        seed=seed, loss_limit=1e9, progress=False,
    )  # fmt: skip
    return _measured(history)


def _ppo(
    policy: Transformer, spec: Spec, watch: Watch, n_steps: int | None, n_pairs: int
) -> list[dict[str, float]]:
    reference, tokenizer = _assistant()
    seed, precision, end = spec["seed"], watch.precision, end_token(tokenizer)
    judge_model, n_steps = RewardModel(reference), n_steps or 40
    draw = draw_pairs(_town_pairs(n_pairs, "train", seed), batch_size=24, seed=seed)
    optimizer = make_optimizer(judge_model, "muon", lr=0.01, embedding_lr=3e-3, weight_decay=0.0)
    train(judge_model, draw, n_pairs // 24, optimizer, reward_loss, precision=precision,
          seed=seed, progress=False)  # fmt: skip
    asked = [telling(i, "train", seed + 1)[:1] for i in range(2000)]
    prompts = [encode_chat(messages, tokenizer, generate=True) for messages in asked]
    usual = write(reference, asked[:128], torch.Generator().manual_seed(seed))
    judge_model.normalise(usual.texts, precision=precision)
    critic = Critic(judge_model)

    def questions(step: int, chance: torch.Generator) -> list[list[int]]:
        return [prompts[i] for i in torch.randint(len(prompts), (64,), generator=chance).tolist()]

    def batch(written: Rollout) -> dict[str, torch.Tensor]:
        rewards = judge_model.rate(written.texts, precision=precision)
        return ppo_batch(written, rewards, reference, critic, kl_weight=spec["beta"],
                         precision=precision)  # fmt: skip

    history = learn_from_rollouts(
        policy, questions, batch, ppo_loss(critic),
        _optimizer(policy, {"params": list(critic.parameters()), "lr": 2e-3}), n_steps,
        max_new_tokens=N_NEW, stop=[end], precision=precision, evaluate=watch,
        evaluate_every=max(1, n_steps // 4), seed=seed, progress=False,
    )  # fmt: skip
    return _measured(history)


def main(arguments: Sequence[str] | None = None, one: Callable[[Spec], Spec] = run) -> int:
    """The command line; returns the exit status."""
    made_by = "python -m lib.course.preference_study"
    return run_missing(PATH, made_by, specs(), one, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
