"""The floor `lib.reasoning` beyond its exercises: TRL as the oracle of advantages and loss; sums as
conversations, their rewards, batches, the tracker over many steps, limits on real conversations."""

from __future__ import annotations

import itertools
import math
import random
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from lib import reasoning
from lib.chat import encode_chat, parse_reply, render_chat
from lib.checkpoint import load_tokenizer, shipped
from lib.corpora.town import arithmetic
from lib.generation import generate, sampler
from lib.optim import AdamW
from lib.ppo import Rollout, answer_log_probs, learn_from_rollouts, rollout, rollout_log_probs
from lib.reasoning import (
    SinglestreamTracker,
    SumTask,
    answer_of,
    grpo_batch,
    grpo_loss,
    is_right,
    limit_thinking,
    majority_vote,
    pass_at_k,
    policy_loss,
    problem_messages,
    solve_sums,
    spo_batch,
    sum_prompts,
    sum_reward,
    thinking_tokens,
)
from lib.training import IGNORED, train_step
from lib.transformer import Config, Transformer

PROBLEMS = [arithmetic(i, "train", seed=11) for i in range(24)]


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(shipped("mini"))


@pytest.fixture
def tiny() -> Transformer:
    torch.manual_seed(3)
    return Transformer(
        Config(
            vocab_size=2048,
            n_context=192,
            n_layer=1,
            n_head=2,
            n_kv_head=1,
            d_model=16,
            d_hidden=16,
        )
    )


# --- TRL ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trl_trainer(tmp_path_factory):
    """Makes a trainer of TRL's around a tiny model, with these settings."""
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    transformers = pytest.importorskip("transformers")
    folder = str(tmp_path_factory.mktemp("trl"))
    words = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(shipped("mini") / "tokenizer.json"),
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
    )
    config = transformers.LlamaConfig(
        vocab_size=2048,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    data = datasets.Dataset.from_dict({"prompt": ["How many?", "What is it?"]})

    def make(earned=(), **settings):
        def reward(completions, **_):
            return list(earned)

        args = trl.GRPOConfig(
            output_dir=folder,
            report_to=[],
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
            per_device_train_batch_size=12,
            **settings,
        )
        return trl.GRPOTrainer(
            model=transformers.LlamaForCausalLM(config),
            reward_funcs=[reward],
            args=args,
            train_dataset=data,
            processing_class=words,
        )

    return make


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("normalise", "scale"), [("std", "group"), (None, "none")])
@pytest.mark.parametrize("group_size", [2, 4, 6])
def test_advantages_are_trls(trl_trainer, normalise, scale, group_size) -> None:
    """TRL writes answers and takes them through its own pipeline; the rewards are ours."""
    chance = random.Random(group_size)
    rewards = [chance.choice([0.0, 0.1, 0.5, 1.0]) for _ in range(12 - group_size)]
    rewards += [0.25] * group_size  # one group has nothing to teach
    trainer = trl_trainer(
        rewards, num_generations=group_size, scale_rewards=scale, max_completion_length=2
    )
    trainer.model.train()
    prompts = [{"prompt": f"{i}?"} for i in range(12 // group_size) for _ in range(group_size)]
    theirs = trainer._generate_and_score_completions(prompts)["advantages"]
    ours = reasoning.group_advantages(torch.tensor(rewards), group_size, normalise)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def answers_of_lengths(*lengths: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    b, t = len(lengths), max(lengths)
    new = -torch.rand(b, t) * 3
    old, ref = new + 0.4 * torch.randn(b, t), new + 0.6 * torch.randn(b, t)
    return new, old, ref, torch.arange(t) < torch.tensor(lengths)[:, None]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("beta", [0.0, 0.15])
@pytest.mark.parametrize(("low", "high"), [(0.2, None), (0.2, 0.28), (0.1, 0.5)])
@pytest.mark.parametrize(
    ("loss_type", "average"),
    [("grpo", "answer"), ("bnpo", "token"), ("dapo", "token"), ("dr_grpo", "constant")],
)
def test_loss_is_trls(trl_trainer, loss_type, average, low, high, beta) -> None:
    """The same log-probabilities through TRL's own `_compute_loss`: value and gradient."""
    trainer = trl_trainer(
        loss_type=loss_type,
        epsilon=low,
        epsilon_high=high,
        max_completion_length=17,
        num_generations=2,
        use_bias_correction_kl=False,  # the paper's: the penalty without the ratio
    )
    trainer.beta = beta  # set here: when it is made, TRL would load a reference from the hub
    new, old, ref, mask = answers_of_lengths(9, 3, 12, 1, 7, seed=5)
    gains = torch.tensor([1.2, -0.4, 0.7, -1.5, 0.1])
    theirs = new.clone().requires_grad_(True)
    seen = theirs, torch.ones_like(new), None
    trainer._get_per_token_logps_and_entropies = lambda *_, **__: seen
    trainer.model.eval()
    value = trainer._compute_loss(
        trainer.model,
        {
            "prompt_ids": torch.zeros(5, 2, dtype=torch.long),
            "prompt_mask": torch.ones(5, 2, dtype=torch.long),
            "completion_ids": torch.zeros(5, 12, dtype=torch.long),
            "completion_mask": mask.long(),
            "advantages": gains,
            "old_per_token_logps": old,
            "ref_per_token_logps": ref,
            "num_items_in_batch": mask.sum(),
        },
    )
    ours = new.clone().requires_grad_(True)
    total, count = grpo_loss(
        ours,
        old,
        gains,
        mask,
        ref_log_probs=ref,
        clip=low,
        clip_high=high,
        kl_weight=beta,
        average=average,
        max_length=17,
    )
    torch.testing.assert_close(total / count, value, rtol=1e-5, atol=1e-5)
    (a,) = torch.autograd.grad(total / count, ours)
    (b,) = torch.autograd.grad(value, theirs)
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


# --- the loss -------------------------------------------------------------------------------------


@pytest.mark.parametrize("average", ["answer", "token", "constant"])
def test_two_parts_are_one_batch(average: str) -> None:
    new, old, ref, mask = answers_of_lengths(9, 3, 12, 1, 7, seed=2)
    gains = torch.randn(5)
    settings = {"average": average, "max_length": 12, "kl_weight": 0.1}
    whole, n = grpo_loss(new, old, gains, mask, ref_log_probs=ref, **settings)
    found = [
        grpo_loss(new[s], old[s], gains[s], mask[s], ref_log_probs=ref[s], **settings)
        for s in (slice(0, 2), slice(2, 5))
    ]
    assert sum(k for _, k in found) == n
    torch.testing.assert_close(sum(part for part, _ in found), whole)


def test_what_stands_elsewhere_does_not_matter() -> None:
    """Even if it is not finite: neither value nor gradient."""
    new, old, ref, mask = answers_of_lengths(4, 2, seed=1)
    gains = torch.tensor([1.0, -1.0])
    found = []
    for rubbish in (0.0, math.nan, math.inf, -math.inf, 1e4):
        spoilt = [x.masked_fill(~mask, rubbish).requires_grad_(True) for x in (new, old, ref)]
        total, _ = grpo_loss(
            spoilt[0], spoilt[1].detach(), gains, mask, ref_log_probs=spoilt[2], kl_weight=0.1
        )
        (gradient,) = torch.autograd.grad(total, spoilt[0])
        assert gradient[~mask].eq(0).all()
        found.append((total, gradient))
    for total, gradient in found[1:]:
        torch.testing.assert_close(total, found[0][0])
        torch.testing.assert_close(gradient, found[0][1])


def test_at_first_the_gradient_is_reinforce() -> None:
    """Before the policy has moved, ρ is 1, and the gradient that of −A log π."""
    new, _, _, mask = answers_of_lengths(5, 3, seed=4)
    gains = torch.tensor([0.8, -1.1])
    x = new.clone().requires_grad_(True)
    (a,) = torch.autograd.grad(grpo_loss(x, new, gains, mask, average="token")[0], x)
    assert a.allclose(torch.where(mask, -gains[:, None], 0.0))


# --- sums as conversations ------------------------------------------------------------------------


def test_a_sum_as_a_conversation(tokenizer) -> None:
    problem = PROBLEMS[0]
    text = render_chat(problem_messages(problem, think=True))
    steps = " ".join(f"{step}." for step in problem.steps)
    assert text == (
        f"<|im_start|>system\n/think<|im_end|>\n<|im_start|>user\n{problem.question}<|im_end|>\n"
        f"<|im_start|>assistant\n<think>\n{steps}\n</think>\n\n{problem.answer}<|im_end|>\n"
    )
    plain = problem_messages(problem, think=False)
    assert plain[0]["content"] == "/no_think"
    assert "reasoning_content" not in plain[-1]
    cut = problem_messages(PROBLEMS[0], think=True, n_steps=1)
    assert cut[-1]["reasoning_content"] == f"{problem.steps[0]}."
    (prompt,) = sum_prompts([problem], tokenizer, think=True)
    whole = encode_chat(problem_messages(problem, think=True), tokenizer)
    assert whole[: len(prompt)] == prompt
    assert tokenizer.decode(prompt).endswith("<|im_start|>assistant\n")


@pytest.mark.parametrize("think", [True, False])
def test_the_right_answer_is_right(think: bool) -> None:
    for problem in PROBLEMS:
        text = render_chat(problem_messages(problem, think)).rsplit("assistant\n")[-1]
        assert answer_of(text) == problem.answer
        assert is_right(text, problem)
        assert parse_reply(text.split("<|im_end|>")[0])["content"] == str(problem.answer)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("12", 12),
        ("12<|im_end|>", 12),
        ("She has 12 eggs.", 12),
        ("-3", -3),
        ("<think>\n3 * 4 = 12.\n</think>\n\n12", 12),
        ("<think>\n3 * 4 = 12.\n</think>\n\n12<|im_end|>\n<|im_start|>user\n13", 12),
        ("", None),
        ("twelve", None),
        ("12 or 13", None),
        ("12 12", None),
        ("12.5", None),
        ("1,200", None),
        ("<think>\n3 * 4 = 12", None),
        ("<think>\n3 * 4 = 12.\n</think>", None),
        ("<think> 12 </think> <think>", None),
        ("<think></think>\n3 * 4 = 12.\n</think>\n\n12", None),
        ("1" * 30, None),
    ],
)
def test_what_counts_as_an_answer(text: str, answer: int | None) -> None:
    assert answer_of(text) == answer


def test_rewards_lie_between_0_and_1() -> None:
    problem = PROBLEMS[3]
    right = render_chat(problem_messages(problem, True)).rsplit("assistant\n")[-1]
    assert sum_reward(right, problem, form=0.2) == pytest.approx(1.0)
    assert sum_reward(str(problem.answer + 1), problem, form=0.2) == pytest.approx(0.2)
    assert sum_reward("no idea", problem, form=0.2) == 0.0
    assert sum_reward(str(problem.answer + 1), problem) == 0.0


def test_a_task_knows_its_prompts_and_pays_for_ended_answers(tokenizer) -> None:
    task = SumTask([*PROBLEMS, PROBLEMS[0]], tokenizer, think=True)
    assert len(task) == len(task.prompts) == len({p.question for p in PROBLEMS})
    drawn = task.draw(5, 3, torch.Generator().manual_seed(0))
    assert len(drawn) == 15
    assert drawn[0] == drawn[2] != drawn[3]
    numbers = task.numbers(drawn)
    assert len(numbers.unique()) == 5
    asked = [task.problems[i] for i in numbers[:3]]
    text = f"<think>\nso\n</think>\n\n{asked[0].answer}<|im_end|>"
    whole, two = (tokenizer.encode(x, allowed_special="all") for x in (text, "0 or 1<|im_end|>"))
    rewards = task.rewards(drawn[:3], [whole, whole[:-1], two])
    assert rewards.tolist() == [1.0, 0.0, 0.0]
    with pytest.raises(ValueError, match=r"draw from task\.prompts"):
        task.numbers([[1, 2]])
    with pytest.raises(ValueError, match="at least one problem"):
        SumTask([], tokenizer, think=True)


def test_replies_come_back_in_order(tiny, tokenizer) -> None:
    alone = [
        solve_sums(tiny, tokenizer, [p], think=False, max_new_tokens=5)[0] for p in PROBLEMS[:5]
    ]
    together = solve_sums(tiny, tokenizer, PROBLEMS[:5], think=False, max_new_tokens=5, at_once=2)
    assert together == alone
    thrice = solve_sums(tiny, tokenizer, PROBLEMS[:2], think=True, n=3, temperature=1.0,
                        max_new_tokens=4)  # fmt: skip
    assert [len(replies) for replies in thrice] == [3, 3]
    assert len(set(thrice[0])) > 1


# --- batches --------------------------------------------------------------------------------------


def written(tiny: Transformer, task: SumTask, n: int, group_size: int) -> Rollout:
    source = torch.Generator().manual_seed(1)
    return rollout(tiny, task.draw(n, group_size, source), 6, stop=[task.end], generator=source)


def test_a_grpo_batch(tiny, tokenizer) -> None:
    task = SumTask(PROBLEMS, tokenizer, think=True)
    made = written(tiny, task, 3, 4)
    rewards = torch.tensor([1.0, 0, 0, 0, 1, 1, 1, 1, 0.5, 0, 1, 1])
    ref = rollout_log_probs(tiny, made)
    batch, numbers = grpo_batch(made, rewards, 4, ref_log_probs=ref)
    assert batch["inputs"].shape == batch["targets"].shape == batch["log_probs"].shape
    assert batch["advantages"].tolist() == reasoning.group_advantages(rewards, 4).tolist()
    assert numbers == {"reward": pytest.approx(7.5 / 12), "uniform": pytest.approx(1 / 3)}
    dropped, numbers = grpo_batch(made, rewards, 4, drop_uniform=True, ref_log_probs=ref)
    assert {len(rows) for rows in dropped.values()} == {8}
    assert dropped["rewards"].tolist() == [*rewards[:4].tolist(), *rewards[8:].tolist()]
    assert numbers["reward"] == pytest.approx(7.5 / 12)
    nothing, numbers = grpo_batch(made, torch.ones(12), 4, drop_uniform=True)
    assert len(nothing["inputs"]) == 12
    assert numbers["uniform"] == 1.0
    assert nothing["advantages"].abs().max() == 0
    # On the answers of the policy itself, ρ is 1: minus the mean advantage, here 0.
    total, n = policy_loss()(tiny, batch)
    assert n == 12
    assert total.item() == pytest.approx(0, abs=1e-4)


def test_temperature_belongs_to_the_policy(tiny, tokenizer) -> None:
    task = SumTask(PROBLEMS, tokenizer, think=False)
    source = torch.Generator().manual_seed(1)
    made = rollout(tiny, task.draw(2, 2, source), 5, temperature=0.5, generator=source)
    batch, _ = grpo_batch(made, torch.tensor([1.0, 0, 0, 1]), 2, normalise=None)
    right, wrong = policy_loss(0.5, clip=9.0), policy_loss(clip=9.0)
    assert right(tiny, batch)[0].item() == pytest.approx(0, abs=1e-4)
    right.forget()
    right(tiny, batch)
    wrong(tiny, batch)
    assert right.means()["step_kl"] == pytest.approx(0, abs=1e-5)
    assert wrong.means()["step_kl"] > 1e-3


def test_groups_teach_a_policy(tiny, tokenizer) -> None:
    """Paid for tokens of the first half, it writes more of them: loop, batch and loss together."""
    task = SumTask(PROBLEMS, tokenizer, think=False)

    def make(made: Rollout):
        earned = torch.tensor([1.0 if answer[-1] < 1024 else 0.0 for answer in made.answers])
        return grpo_batch(made, earned, 8)

    history = learn_from_rollouts(
        tiny,
        lambda step, chance: task.draw(4, 8, chance),
        make,
        policy_loss(average="token"),
        AdamW([{"params": list(tiny.parameters()), "lr": 0.1}]),
        25,
        max_new_tokens=4,
        progress=False,
    )
    rewards = history.column("reward")
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + 0.2


# --- single streams -------------------------------------------------------------------------------


def test_an_spo_batch_remembers(tiny, tokenizer) -> None:
    task = SumTask(PROBLEMS, tokenizer, think=True)
    tracker = SinglestreamTracker(torch.full((len(task),), 0.5))
    made = written(tiny, task, 6, 1)
    numbers, rewards = task.numbers(made.prompts), torch.tensor([1.0, 0, 1, 1, 0, 0])
    batch, said = spo_batch(tracker, numbers, made, rewards, tiny)
    assert said == {"moved": 0.0, "expected": 0.5}
    assert batch["advantages"].mean().item() == pytest.approx(0, abs=1e-6)
    assert (tracker.values[numbers] > 0.5).tolist() == [True, False, True, True, False, False]
    others = sorted(set(range(len(task))) - set(numbers.tolist()))
    assert tracker.values[others].eq(0.5).all()

    # The policy has not moved since; then it does.
    assert tracker.divergences(tiny, numbers).abs().max() < 1e-6
    assert tracker.divergences(tiny, torch.tensor(others)).eq(0).all()
    old = answer_log_probs(tiny, made.inputs, made.targets).detach()
    for _ in range(3):
        train_step(
            tiny, [batch], policy_loss(), AdamW([{"params": list(tiny.parameters()), "lr": 0.01}])
        )
    moved = tracker.divergences(tiny, numbers)
    new = answer_log_probs(tiny, made.inputs, made.targets).detach()
    for row in range(6):
        x = (new - old)[row][made.targets[row] != IGNORED]
        assert moved[row].item() == pytest.approx((x.exp() - 1 - x).mean().item(), rel=1e-3)
    _, said = spo_batch(tracker, numbers, made, rewards, tiny)
    assert said["moved"] == pytest.approx(moved.mean().item(), rel=1e-4)
    with pytest.raises(ValueError, match="comes twice"):
        spo_batch(tracker, torch.tensor([0, 1, 2, 3, 4, 4]), made, rewards, tiny)
    with pytest.raises(ValueError, match="from 0 to 1"):
        spo_batch(tracker, numbers, made, rewards * 2, tiny)


def test_a_tracker_follows_a_change() -> None:
    """Prompts that are solved 2 times in 10, then 8: the more the policy moved, the sooner seen."""
    source = torch.Generator().manual_seed(0)
    prompts = torch.arange(200)
    errors = {}
    for moved in (0.0, 0.5):
        tracker = SinglestreamTracker(torch.full((200,), 0.5))
        for _ in range(40):
            tracker.update(
                prompts, (torch.rand(200, generator=source) < 0.2).float(), torch.zeros(200)
            )
        assert tracker.values.mean().item() == pytest.approx(0.2, abs=0.03)
        for step in range(6):
            d = torch.full((200,), moved if step == 0 else 0.0)
            tracker.update(prompts, (torch.rand(200, generator=source) < 0.8).float(), d)
        errors[moved] = 0.8 - tracker.values.mean().item()
    assert errors[0.5] < errors[0.0]
    # What is remembered weighs 1 / (1 − ρ) answers in the long run.
    assert (tracker.alpha + tracker.beta).max().item() <= 1 / (1 - 0.96) + 1e-3


def test_prompts_in_between_are_drawn_more_often() -> None:
    values = torch.tensor([0.0, 0.5, 1.0, 0.9])
    tracker = SinglestreamTracker(values)
    source = torch.Generator().manual_seed(0)
    counts = torch.stack([tracker.draw(1, source) for _ in range(4000)]).flatten().bincount()
    weights = (values * (1 - values)).sqrt() + 0.05
    torch.testing.assert_close(counts / 4000, weights / weights.sum(), atol=0.04, rtol=0)
    assert sorted(tracker.draw(4, source).tolist()) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="at most 4"):
        tracker.draw(5)


def test_a_tracker_refuses_what_is_no_share() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        SinglestreamTracker(torch.tensor([0.5, 1.2]))
    for settings in ({"half": 0.0}, {"least": 0.9, "most": 0.8}, {"most": 1.0}):
        with pytest.raises(ValueError, match="least"):
            SinglestreamTracker(torch.tensor([0.5]), **settings)


# --- thinking, limited ----------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [0, 3, 9])
def test_no_thought_is_longer_than_its_budget(tiny, tokenizer, budget: int) -> None:
    """Prompts of unequal length, a cut thought in an earlier turn, other processors around."""
    ids = thinking_tokens(tokenizer)
    first = problem_messages(PROBLEMS[0], think=True)
    again = [*first, {"role": "user", "content": PROBLEMS[1].question}]
    prompts = [
        *sum_prompts(PROBLEMS[:2], tokenizer, think=True),
        encode_chat(again, tokenizer, generate=True),
    ]
    cut = [*encode_chat([first[0]], tokenizer), ids.turn, ids.begin, 700, 701, 702, 703, 704]
    prompts.append([*cut, *prompts[0]])
    prompts = [[*prompt, ids.begin] for prompt in prompts] + prompts
    processors = [limit_thinking(budget, ids), *sampler(top_k=40, repetition_penalty=1.2)]
    answers = generate(
        tiny, prompts, 14, processors=processors, generator=torch.Generator().manual_seed(5)
    )
    for answer in answers[:4]:
        assert answer.index(ids.end) <= budget
    assert all(answer.count(ids.end) <= 1 + answer.count(ids.begin) for answer in answers)
    # Where nothing was thought, nothing was changed.
    free = [*sampler(top_k=40, repetition_penalty=1.2)]
    source = torch.Generator().manual_seed(6)
    without = generate(tiny, prompts[4:], 3, temperature=0, processors=free, generator=source)
    limited = generate(tiny, prompts[4:], 3, temperature=0, processors=processors)
    assert without == limited


def test_thinking_tokens_need_their_tokenizer(tokenizer) -> None:
    special = tokenizer.special_tokens
    ids = thinking_tokens(tokenizer)
    assert (ids.begin, ids.end) == (special["<think>"], special["</think>"])
    with pytest.raises(ValueError, match="no special token"):
        thinking_tokens(SimpleNamespace(special_tokens={}))


# --- many answers ---------------------------------------------------------------------------------


def test_pass_at_k_is_the_share_of_draws() -> None:
    """By going through all draws of k out of n."""
    for n, right, k in [(5, 2, 2), (6, 1, 3), (6, 6, 2), (7, 0, 3), (5, 3, 4)]:
        draws = list(itertools.combinations(range(n), k))
        share = sum(any(i < right for i in draw) for draw in draws) / len(draws)
        assert pass_at_k(n, right, k) == pytest.approx(share)
    for n, right, k in [(5, 6, 1), (5, -1, 1), (5, 2, 0), (5, 2, 6)]:
        with pytest.raises(ValueError, match="expected 0 to n"):
            pass_at_k(n, right, k)


def test_a_vote_beats_its_voters() -> None:
    """Voters who are right in 4 of 10 cases, and otherwise say any of 20 numbers."""
    chance = random.Random(0)
    rounds = 400
    for n, least in [(1, 0.3), (15, 0.9)]:
        won = 0
        for _ in range(rounds):
            votes = [7 if chance.random() < 0.4 else chance.randrange(100, 120) for _ in range(n)]
            won += majority_vote(votes) == 7
        assert won / rounds > least


def test_the_checkpoint_has_the_tokens() -> None:
    """data/mini can be taught to think: its tokenizer knows the marks."""
    assert thinking_tokens(load_tokenizer(shipped("mini")))
