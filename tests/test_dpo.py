"""The dpo floor: TRL's losses on the same model and batch, and what theory says on a bandit."""

from __future__ import annotations

import contextlib
import itertools
import math
import types
from collections import defaultdict

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.chat import encode_chat
from lib.checkpoint import load_tokenizer, shipped
from lib.dpo import (
    answer_kl,
    answer_lengths,
    dpo_loss,
    dpo_objective,
    evaluate_preferences,
    implicit_reward,
    in_turn,
    ipo_loss,
    pair_log_probs,
    preference_accuracy,
    preference_batch,
    preference_batches,
    reference_log_probs,
    sequence_log_prob,
    simpo_loss,
)
from lib.optim import make_optimizer
from lib.ppo import rollout
from lib.reward import encode_pair, preference_loss
from lib.sft import token_log_probs
from lib.training import train, train_step
from lib.transformer import Config, Transformer

IGNORED = -100
PAIRS = [
    {"prompt": [1, 2, 3], "chosen": [4, 5, 6, 7, 10], "rejected": [6, 10]},
    {"prompt": [7, 8], "chosen": [9, 10], "rejected": [0, 0, 5, 9, 1, 10]},
    {"prompt": [4, 4, 2, 9, 3], "chosen": [8, 0, 10], "rejected": [8, 1, 10]},
]
"""Answers of unequal length; 10 ends one, and 0 is a token like any other."""


def tiny(seed: int = 0) -> Transformer:
    torch.manual_seed(seed)
    config = Config(vocab_size=11, d_model=16, n_layer=2, n_head=4, n_kv_head=2, n_context=12)
    model = Transformer(config)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(4.0)  # a model with opinions
    return model


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(shipped("mini"))


# --- TRL as oracle --------------------------------------------------------------------------------


class AsTrlCallsIt(nn.Module):
    """Our model behind the interface that TRL's trainer expects: the log-probabilities of the next
    tokens, 0 where none counts, made by torch alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, labels: Tensor, **_: object) -> types.SimpleNamespace:
        logits, wanted = self.model(input_ids)[:, :-1], labels[:, 1:]
        losses = F.cross_entropy(logits.mT, wanted, reduction="none", ignore_index=IGNORED)
        zeros = torch.zeros_like(losses)
        return types.SimpleNamespace(
            log_probs=-losses, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool()
        )


def trl_loss(
    policy: nn.Module, reference: nn.Module, pairs: list[dict], loss_type: str, beta: float
) -> tuple[Tensor, dict[str, float]]:
    """The mean loss as `DPOTrainer` computes it from TRL's own batch, and what it records."""
    dpo_trainer = pytest.importorskip("trl.trainer.dpo_trainer")
    collate = dpo_trainer.DataCollatorForPreference(pad_token_id=0)
    encoded = [{f"{key}_ids": pair[key] for key in ("prompt", "chosen", "rejected")}
               for pair in pairs]  # fmt: skip
    inputs = collate(encoded)
    trainer = types.SimpleNamespace(
        model=policy,
        ref_model=AsTrlCallsIt(reference),
        args=types.SimpleNamespace(
            gradient_checkpointing=False, gradient_checkpointing_kwargs=None
        ),
        accelerator=types.SimpleNamespace(
            device=torch.device("cpu"), gather=lambda x: x, gather_for_metrics=lambda x: x
        ),
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=False,
        f_divergence_type="reverse_kl",
        loss_types=[loss_type],
        loss_weights=[1.0],
        beta=beta,
        label_smoothing=0.0,
        use_weighting=False,
        _metrics=defaultdict(lambda: defaultdict(list)),
        _total_train_tokens=0,
        _tp_size=1,
    )
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(
            dpo_trainer,
            "disable_gradient_checkpointing",
            lambda *_, **__: contextlib.nullcontext(),
        )
        patch.setattr(dpo_trainer, "is_peft_model", lambda _: False)
        loss = dpo_trainer.DPOTrainer._compute_loss(trainer, AsTrlCallsIt(policy), inputs, False)
    recorded = trainer._metrics["train" if policy.training else "eval"]
    return loss, {key: values[-1] for key, values in recorded.items() if values}


def gradients(loss: Tensor, model: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.parametrize(
    ("variant", "average", "trl_name", "beta"),
    [
        ("dpo", None, "sigmoid", 0.3),
        ("dpo", True, "sigmoid_norm", 0.3),
        ("ipo", None, "ipo", 0.2),
    ],
)
def test_losses_and_gradients_equal_trls(variant, average, trl_name, beta) -> None:
    policy, reference = tiny(0), tiny(1)
    (batch,) = reference_log_probs(reference, [preference_batch(PAIRS)])
    total, n = dpo_objective(beta, variant, average=average)(policy, batch)
    theirs, _ = trl_loss(policy, reference, PAIRS, trl_name, beta)
    assert n == 3
    torch.testing.assert_close(total / n, theirs, rtol=1e-5, atol=1e-5)
    for a, b in zip(gradients(total / n, policy), gradients(theirs, policy), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_records_equal_trls() -> None:
    policy, reference = tiny(0), tiny(1)
    (batch,) = reference_log_probs(reference, [preference_batch(PAIRS)])
    ours = evaluate_preferences(policy, [batch], beta=0.3)
    _, theirs = trl_loss(policy, reference, PAIRS, "sigmoid", 0.3)
    names = {
        "accuracy": "rewards/accuracies",
        "margin": "rewards/margins",
        "chosen_reward": "rewards/chosen",
        "rejected_reward": "rewards/rejected",
        "chosen_log_prob": "logps/chosen",
        "rejected_log_prob": "logps/rejected",
    }
    assert ours == {name: pytest.approx(theirs[other], abs=1e-5) for name, other in names.items()}


def test_ipo_by_the_letter_compares_sums() -> None:
    """TRL up to version 0.7.10 did; the difference is the lengths alone."""
    policy, reference = tiny(0), tiny(1)
    (batch,) = reference_log_probs(reference, [preference_batch(PAIRS)])
    moved = pair_log_probs(policy, batch) - batch["reference"]
    by_letter = ((moved[:, 0] - moved[:, 1]) - 2.5).square().sum()
    per_token = moved / answer_lengths(batch)
    by_token = ((per_token[:, 0] - per_token[:, 1]) - 2.5).square().sum()
    for average, wanted in ((False, by_letter), (None, by_token)):
        total, _ = dpo_objective(0.2, "ipo", average=average)(policy, batch)
        torch.testing.assert_close(total, wanted)
    assert abs(by_letter - by_token) > 1


@pytest.mark.parametrize("margin", [0.0, 0.7])
def test_simpo_equals_trls(margin: float) -> None:
    cpo = pytest.importorskip("trl.experimental.cpo.cpo_trainer")
    trainer = types.SimpleNamespace(
        loss_type="simpo",
        simpo_gamma=margin,
        beta=2.5,
        label_smoothing=0.0,
        alpha=0.0,
        accelerator=types.SimpleNamespace(device=torch.device("cpu")),
    )
    policy, batch = tiny(0), preference_batch(PAIRS)
    total, n = dpo_objective(2.5, "simpo", margin=margin)(policy, batch)
    rows = [list(p["prompt"]) + list(p[side]) for side in ("chosen", "rejected") for p in PAIRS]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    labels = torch.full_like(ids, IGNORED)
    for i, row in enumerate(rows):
        first = len(PAIRS[i % 3]["prompt"])
        labels[i, first : len(row)] = ids[i, first : len(row)]
    averages = cpo.CPOTrainer.get_batch_logps(policy(ids), labels, average_log_prob=True)
    losses, _, _ = cpo.CPOTrainer.cpo_loss(trainer, averages[:3], averages[3:])
    assert n == 3
    torch.testing.assert_close(total / n, losses.mean(), rtol=1e-5, atol=1e-5)


def test_sequence_log_prob_equals_trls_and_the_sum_of_our_tokens() -> None:
    cpo = pytest.importorskip("trl.experimental.cpo.cpo_trainer")
    generator = torch.Generator().manual_seed(0)
    logits = 20 * torch.randn(4, 9, 13, generator=generator)
    tokens = torch.randint(13, (4, 9), generator=generator)
    for row, (first, end) in enumerate([(3, 9), (1, 4), (8, 9), (2, 2)]):
        tokens[row, :first], tokens[row, end:] = IGNORED, IGNORED
    ours = sequence_log_prob(logits[:, :-1], tokens[:, 1:])
    torch.testing.assert_close(ours, cpo.CPOTrainer.get_batch_logps(logits, tokens))
    torch.testing.assert_close(ours, token_log_probs(logits[:, :-1], tokens[:, 1:]).sum(dim=1))
    half = sequence_log_prob(logits[:, :-1].bfloat16(), tokens[:, 1:])
    assert half.dtype == torch.float32 and ours[3] == 0


def test_conservative_dpo_equals_trls_formula() -> None:
    """`label_smoothing` as in CPOTrainer, which has it with a sigmoid loss, on log-ratios."""
    cpo = pytest.importorskip("trl.experimental.cpo.cpo_trainer")
    trainer = types.SimpleNamespace(
        loss_type="sigmoid", beta=0.3, label_smoothing=0.2, alpha=0.0,
        accelerator=types.SimpleNamespace(device=torch.device("cpu")),
    )  # fmt: skip
    policy, reference = tiny(0), tiny(1)
    (batch,) = reference_log_probs(reference, [preference_batch(PAIRS)])
    chosen, rejected = (pair_log_probs(policy, batch) - batch["reference"]).unbind(dim=1)
    losses, _, _ = cpo.CPOTrainer.cpo_loss(trainer, chosen, rejected)
    total, n = dpo_objective(0.3, label_smoothing=0.2)(policy, batch)
    torch.testing.assert_close(total / n, losses.mean(), rtol=1e-5, atol=1e-5)


# --- the losses -----------------------------------------------------------------------------------


def test_dpo_is_the_reward_models_loss_on_implicit_rewards() -> None:
    chosen, rejected, ref_chosen, ref_rejected = -40 * torch.rand(4, 7)
    up, down = 0.2 * (chosen - ref_chosen), 0.2 * (rejected - ref_rejected)
    total, n = dpo_loss(chosen, rejected, ref_chosen, ref_rejected, 0.2)
    theirs, m = preference_loss(up, down)
    torch.testing.assert_close(total, theirs)
    torch.testing.assert_close(total, -F.logsigmoid(up - down).sum())
    assert n == m == 7


@pytest.mark.parametrize("lead", [1e2, 1e3, 1e5])
def test_large_margins_stay_finite_and_teach(lead: float) -> None:
    chosen = torch.tensor([-lead, -10.0], requires_grad=True)
    rejected = torch.tensor([-10.0, -lead])
    zeros = torch.zeros(2)
    loss, _ = dpo_loss(chosen, rejected, zeros, zeros, beta=1.0)
    loss.backward()
    assert loss.item() == pytest.approx(lead - 10)
    assert chosen.grad.tolist() == pytest.approx([-1.0, 0.0], abs=1e-6)


def test_gradient_weighs_pairs_by_how_wrong_they_are() -> None:
    """arXiv 2305.18290, section 4: β σ(r_l − r_w), up for the chosen, down for the rejected."""
    chosen = torch.tensor([-8.0, -20.0], requires_grad=True)
    rejected = torch.tensor([-11.0, -14.0], requires_grad=True)
    reference = torch.tensor([-10.0, -15.0])
    loss, _ = dpo_loss(chosen, rejected, reference, reference, beta=0.5)
    loss.backward()
    wrong = 0.5 * torch.sigmoid(0.5 * torch.tensor([-3.0, 6.0]))
    torch.testing.assert_close(chosen.grad, -wrong)
    torch.testing.assert_close(rejected.grad, wrong)


# --- a bandit: what theory says -------------------------------------------------------------------

REWARDS = torch.tensor([2.0, 0.5, -1.0], dtype=torch.float64)
REFERENCE = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).log()


def learn_bandit(loss, winners: Tensor, losers: Tensor, steps: int = 300) -> Tensor:
    """Three answers of one token each, one prompt. The log-probabilities that minimise `loss`."""
    logits = REFERENCE.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=steps, tolerance_grad=1e-12, tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        log_probs = logits.log_softmax(dim=0)
        total, n = loss(
            log_probs[winners], log_probs[losers], REFERENCE[winners], REFERENCE[losers]
        )
        (total / n).backward()
        return total / n

    optimizer.step(closure)
    return logits.detach().log_softmax(dim=0)


def bandit_pairs(n: int) -> tuple[Tensor, Tensor]:
    """n pairs of different answers, their order drawn as Bradley and Terry have it."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(3, (n,), generator=generator)
    second = (first + torch.randint(1, 3, (n,), generator=generator)) % 3
    chance = torch.rand(n, generator=generator, dtype=torch.float64)
    wins = chance < (REWARDS[first] - REWARDS[second]).sigmoid()
    return torch.where(wins, first, second), torch.where(wins, second, first)


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_dpo_finds_the_policy_that_ppo_looks_for(beta: float) -> None:
    """ref · exp(r / β), normalised (arXiv 2305.18290, eq. 4), from enough pairs and no reward."""
    winners, losers = bandit_pairs(50_000)
    found = learn_bandit(lambda *four: dpo_loss(*four, beta), winners, losers)
    wanted = (REFERENCE + REWARDS / beta).log_softmax(dim=0)
    assert (found.exp() - wanted.exp()).abs().max() < 0.02
    # The rewards come back, but for a number that all share.
    rewards = implicit_reward(found, REFERENCE, beta)
    torch.testing.assert_close(
        rewards - rewards.mean(), REWARDS - REWARDS.mean(), rtol=0.0, atol=0.05
    )


def test_dpo_is_exact_in_expectation() -> None:
    """Every pair weighted by how often Bradley and Terry have it so: no chance is left."""
    logits = REFERENCE.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-15,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        log_probs, total = logits.log_softmax(dim=0), torch.zeros((), dtype=torch.float64)
        for i, j in itertools.permutations(range(3), 2):
            pair = log_probs[[i]], log_probs[[j]], REFERENCE[[i]], REFERENCE[[j]]
            total = total + (REWARDS[i] - REWARDS[j]).sigmoid() * dpo_loss(*pair, 0.7)[0]
        total.backward()
        return total

    optimizer.step(closure)
    wanted = (REFERENCE + REWARDS / 0.7).softmax(dim=0)
    torch.testing.assert_close(logits.detach().softmax(dim=0), wanted, rtol=0.0, atol=1e-6)


def descend(loss, beta: float, marks: tuple[int, ...]) -> list[float]:
    """Answer 0 has always won against answer 1: the margins after so many steps of descent."""
    logits, margins = REFERENCE.clone().requires_grad_(True), []
    for _ in range(marks[-1] + 1):
        moved = (logits - REFERENCE).detach()
        margins.append((moved[0] - moved[1]).item())
        log_probs = logits.log_softmax(dim=0)
        total, _ = loss(log_probs[[0]], log_probs[[1]], REFERENCE[[0]], REFERENCE[[1]], beta)
        (gradient,) = torch.autograd.grad(total, logits)
        with torch.no_grad():
            logits -= 0.2 * gradient
    return [margins[mark] for mark in marks]


def test_ipo_stops_where_dpo_runs_away() -> None:
    marks = (300, 3000)
    early, late = descend(dpo_loss, 0.5, marks)
    assert late - early == pytest.approx(2 * math.log(10), rel=0.05), "ln 10 / β, and so on"
    assert descend(ipo_loss, 0.5, marks) == pytest.approx([1.0, 1.0], abs=1e-6), "1 / (2β)"


def test_ipo_where_people_disagree() -> None:
    """With a share p of labels one way, the margin is (2p − 1) / (2β); DPO's is σ⁻¹(p) / β."""
    winners = torch.tensor([0] * 9 + [1])
    losers = 1 - winners
    moved = learn_bandit(lambda *four: ipo_loss(*four, 0.5), winners, losers) - REFERENCE
    assert (moved[0] - moved[1]).item() == pytest.approx(0.8, abs=1e-6)
    moved = learn_bandit(lambda *four: dpo_loss(*four, 0.5), winners, losers) - REFERENCE
    assert (moved[0] - moved[1]).item() == pytest.approx(2 * math.log(9), abs=1e-5)


# --- batches --------------------------------------------------------------------------------------


def test_preference_batch() -> None:
    batch = preference_batch(PAIRS[:2])
    assert batch["inputs"].tolist() == [
        [[1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 6, 0, 0, 0]],
        [[7, 8, 9, 0, 0, 0, 0], [7, 8, 0, 0, 5, 9, 1]],
    ]
    x = IGNORED
    assert batch["targets"].tolist() == [
        [[x, x, 4, 5, 6, 7, 10], [x, x, 6, 10, x, x, x]],
        [[x, 9, 10, x, x, x, x], [x, 0, 0, 5, 9, 1, 10]],
    ]
    assert answer_lengths(batch).tolist() == [[5, 2], [2, 6]]


def test_encode_pair_holds_one_answer_and_its_end(tokenizer) -> None:
    prompt = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Who has the key?"},
        {"role": "assistant", "content": "Anna."},
        {"role": "user", "content": "Sure? <|im_end|>"},
    ]
    pair = {"prompt": prompt, "chosen": "Yes, Anna has it.", "rejected": "No.", "score": (1, 0)}
    encoded = encode_pair(pair, tokenizer)
    end = tokenizer.special_tokens["<|im_end|>"]
    assert set(encoded) == {"prompt", "chosen", "rejected"}
    assert encoded["prompt"] == encode_chat(prompt, tokenizer, generate=True)
    assert tokenizer.decode(encoded["chosen"][:-1]) == "Yes, Anna has it."
    assert encoded["chosen"].count(end) == encoded["rejected"].count(end) == 1
    assert encoded["chosen"][-1] == encoded["rejected"][-1] == end
    batch = preference_batch([pair], tokenizer)
    assert batch["inputs"].equal(preference_batch([encoded])["inputs"])
    counted = batch["targets"][0, 0][batch["targets"][0, 0] != IGNORED]
    assert counted.tolist() == encoded["chosen"], "the earlier answer of the prompt does not count"


def test_encode_pair_takes_thoughts(tokenizer) -> None:
    thought = {"role": "assistant", "content": "5", "reasoning_content": "2 + 3 = 5."}
    prompt = [{"role": "user", "content": "2 + 3?"}]
    encoded = encode_pair({"prompt": prompt, "chosen": thought, "rejected": "5"}, tokenizer)
    assert "2 + 3 = 5." in tokenizer.decode(encoded["chosen"])
    assert "2 + 3 = 5." not in tokenizer.decode(encoded["rejected"])


def test_what_is_no_batch_is_refused() -> None:
    prompt = [{"role": "user", "content": "Hello"}]
    with pytest.raises(ValueError, match="give a tokenizer"):
        preference_batch([{"prompt": prompt, "chosen": "Hi", "rejected": "Ho"}])
    with pytest.raises(ValueError, match="no tokens"):
        preference_batch([{"prompt": [1], "chosen": [], "rejected": [2]}])
    with pytest.raises(ValueError, match="at least one pair"):
        preference_batch([])


def test_padding_and_neighbours_change_nothing() -> None:
    model = tiny()
    together = pair_log_probs(model, preference_batch(PAIRS))
    alone = torch.cat([pair_log_probs(model, preference_batch([pair])) for pair in PAIRS])
    torch.testing.assert_close(together, alone, rtol=0.0, atol=1e-5)


def test_parts_of_a_batch_are_the_batch() -> None:
    """Through `train_step`, for every variant: pairs stay together, sums and counts add up."""
    for variant in ("dpo", "ipo", "simpo"):
        moved = []
        for n_parts in (1, 3):
            policy = tiny(0)
            (batch,) = reference_log_probs(tiny(1), [preference_batch(PAIRS)])
            parts = [{k: v[i::n_parts] for k, v in batch.items()} for i in range(n_parts)]
            optimizer = make_optimizer(policy)
            loss, norm = train_step(policy, parts, dpo_objective(0.3, variant), optimizer)
            moved.append((loss, norm))
        assert moved[0] == pytest.approx(moved[1], rel=1e-4)


def test_batches_in_turn() -> None:
    pairs = [{"prompt": [1], "chosen": [i, 9], "rejected": [9]} for i in range(7)]
    batches = preference_batches(pairs, batch_size=3, seed=1)
    assert [len(b["inputs"]) for b in batches] == [3, 3, 1]
    first = sorted(int(row) for b in batches for row in b["inputs"][:, 0, 1])
    assert first == list(range(7))
    draw = in_turn(["a", "b", "c"], seed=4)
    chance = torch.Generator()
    rounds = [[draw(3 * i + j, chance) for j in range(3)] for i in range(6)]
    assert all(sorted(r) == ["a", "b", "c"] for r in rounds)
    assert len({tuple(r) for r in rounds}) > 1
    assert rounds[4] == [in_turn(["a", "b", "c"], seed=4)(12 + j, chance) for j in range(3)]


# --- training -------------------------------------------------------------------------------------


def test_training_learns_the_pairs_and_leaves_the_reference_alone() -> None:
    reference, policy = tiny(0), tiny(0)
    before = [p.detach().clone() for p in reference.parameters()]
    batches = reference_log_probs(reference, preference_batches(PAIRS, batch_size=2))
    start = evaluate_preferences(policy, batches, beta=0.5)
    assert start["accuracy"] == 0.5 and start["margin"] == pytest.approx(0.0, abs=1e-5)
    history = train(
        policy,
        in_turn(batches),
        30,
        make_optimizer(policy),
        dpo_objective(0.5),
        evaluate=lambda model: evaluate_preferences(model, batches, beta=0.5),
        evaluate_every=10,
        progress=False,
    )
    assert history.column("loss")[0] == pytest.approx(0.6931, abs=1e-3)
    assert history.column("accuracy")[-1] == 1.0
    assert history.column("margin")[-1] > 2
    assert history.steps("chosen_log_prob") == [0, 10, 20, 30]
    assert all(a.equal(b) for a, b in zip(before, reference.parameters(), strict=True))


def test_both_answers_may_become_less_likely() -> None:
    """Where the two answers look alike to the model, what tells them apart may speak still more for
    a third one: the margin grows, the loss falls, and the *chosen* answer loses, too."""
    features = torch.tensor([[1.0, 1.0], [1.0, 2.0], [1.0, -1.0]])  # chosen, rejected, neither
    weights = torch.zeros(2, requires_grad=True)
    before = (features @ weights).log_softmax(dim=0).detach()
    records = []
    for _ in range(20):
        now = (features @ weights).log_softmax(dim=0)
        loss, _ = dpo_loss(now[[0]], now[[1]], before[[0]], before[[1]], beta=0.5)
        records.append((loss.item(), *now.tolist()))
        (gradient,) = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            weights -= gradient
    losses, chosen, rejected, neither = zip(*records)
    assert losses[-1] < losses[0] - 0.4
    assert chosen[-1] < chosen[0] - 3 and rejected[-1] < chosen[-1] - 2
    assert neither[-1] > -0.05, "all the probability went where nobody looked"


def test_answer_kl() -> None:
    """Answers of one token: the estimate comes near the divergence of two distributions, which is
    known; from itself, a policy is 0 away."""
    policy, reference = tiny(0), tiny(1)
    chance = torch.Generator().manual_seed(0)
    answers = rollout(policy, [[1, 2, 3]] * 4000, 1, generator=chance)
    logits = [model(torch.tensor([[1, 2, 3]]))[0, -1] for model in (policy, reference)]
    p, q = (x.log_softmax(dim=0) for x in logits)
    exact = (p.exp() * (p - q)).sum().item()
    spread = (p.exp() * (p - q - exact) ** 2).sum().sqrt().item()
    assert answer_kl(reference, answers) == pytest.approx(exact, abs=5 * spread / 4000**0.5)
    assert answer_kl(policy, answers) == pytest.approx(0.0, abs=1e-5)


def test_reference_log_probs_in_the_precision_of_training() -> None:
    policy = tiny()
    for precision in ("float32", "bfloat16"):
        batches = reference_log_probs(policy, [preference_batch(PAIRS)], precision)
        found = evaluate_preferences(policy, batches, 0.1, precision)
        assert found["margin"] == pytest.approx(0.0, abs=1e-6), precision
    assert policy.training


def test_no_reference_is_said() -> None:
    batch = preference_batch(PAIRS)
    with pytest.raises(ValueError, match="reference_log_probs"):
        dpo_objective(0.1)(tiny(), batch)
    total, n = dpo_objective(2.0, "simpo")(tiny(), batch)
    assert total.isfinite() and n == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": 0.1, "variant": "kto"}, "one of dpo, ipo, simpo, got 'kto'"),
        ({"beta": 0.0}, "beta above 0"),
        ({"beta": 0.1, "margin": 0.5}, "margin is an option of 'simpo'"),
        ({"beta": 0.1, "variant": "ipo", "label_smoothing": 0.1}, "option of 'dpo'"),
        ({"beta": 0.1, "label_smoothing": 0.5}, "below 0.5"),
    ],
)
def test_settings_that_make_no_sense(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dpo_objective(**settings)


def test_simpo_looks_at_means() -> None:
    total, n = simpo_loss(torch.tensor([-1.0]), torch.tensor([-1.5]), beta=2.0, margin=0.4)
    assert n == 1 and total.item() == pytest.approx(F.softplus(torch.tensor(-0.6)).item())


def test_ties_count_half() -> None:
    assert preference_accuracy(torch.zeros(4), torch.zeros(4)) == 0.5
