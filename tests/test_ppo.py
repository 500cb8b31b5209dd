"""PPO: what a rollout notes, what its gradients are, exactly, and that the loop learns and stops.

There is no PPO in TRL any more; its GRPO has the same clipped loss of a token and the same k3, and
is the oracle for both. Expectations are exact: sums over all tokens of a small vocabulary.
"""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lib.generation import sampler
from lib.optim import AdamW
from lib.ppo import (
    Critic,
    Rollout,
    WatchedLoss,
    advantages,
    answer_log_probs,
    kl_estimates,
    learn_from_rollouts,
    ppo_batch,
    ppo_loss,
    ppo_policy_loss,
    ppo_value_loss,
    rollout,
    rollout_log_probs,
    whiten,
)
from lib.reward import RewardModel
from lib.training import IGNORED, TrainingStopped, best_precision
from lib.transformer import Config, Transformer

VOCAB, END = 12, 0
PROMPTS = [[5, 6, 7], [8], [9, 4, 4, 4, 2, 1], [3, 3]]


def tiny(seed: int = 0, **changes: Any) -> Transformer:
    """About 20,000 parameters, with logits that are not all alike."""
    torch.manual_seed(seed)
    shape = {"d_model": 32, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_context": 32,
             "d_hidden": 64, "tied": False}  # fmt: skip
    model = Transformer(Config(vocab_size=VOCAB, **{**shape, **changes}))
    nn.init.normal_(model.head.weight, std=0.2)
    return model


def randn(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def write(model: Transformer, prompts: Any = PROMPTS, n: int = 9, **options: Any) -> Rollout:
    generator = torch.Generator().manual_seed(options.pop("seed", 0))
    return rollout(model, prompts, n, stop=[END], generator=generator, **options)


def adam(*modules: nn.Module, lr: float = 1e-2) -> AdamW:
    return AdamW([{"params": [p for m in modules for p in m.parameters()]}], lr=lr)


# --- rollouts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.7])
def test_log_probs_are_those_of_a_forward_pass(temperature: float) -> None:
    """Written with a cache and padding on the left, read at once with padding on the right."""
    model = tiny()
    written = write(model, temperature=temperature, seed=3)
    assert len({len(answer) for answer in written.answers}) > 1, "answers of unequal length"
    again = rollout_log_probs(model, written, temperature)
    torch.testing.assert_close(written.log_probs, again, atol=1e-5, rtol=0)
    for row, (prompt, answer) in enumerate(zip(written.prompts, written.answers)):
        tokens = torch.tensor([prompt + answer])
        alone = (model(tokens[:, :-1]) / temperature).log_softmax(-1)[0]
        places = range(len(prompt) - 1, len(prompt) - 1 + len(answer))
        expected = [alone[place, token].item() for place, token in zip(places, answer)]
        assert written.log_probs[row][written.mask[row]].tolist() == pytest.approx(
            expected, abs=1e-5
        )


def test_a_rollout_is_prompt_and_answer_shifted() -> None:
    written = write(tiny(), seed=3)
    for row, (prompt, answer) in enumerate(zip(written.prompts, written.answers)):
        text = written.texts[row]
        assert text == prompt + answer and prompt == PROMPTS[row]
        n = len(text) - 1
        assert written.inputs[row].tolist() == text[:-1] + [0] * (written.inputs.size(1) - n)
        targets = [IGNORED] * (len(prompt) - 1) + answer
        assert written.targets[row].tolist() == targets + [IGNORED] * (
            written.inputs.size(1) - len(targets)
        )
        assert END not in answer[:-1], "the end is part of the answer, and its last token"
    assert any(answer[-1] == END for answer in written.answers)
    assert torch.equal(written.mask, written.log_probs != 0)
    assert len(written) == len(PROMPTS)


def test_processors_are_in_the_log_probs() -> None:
    model = tiny()
    written = write(model, temperature=0.8, processors=sampler(top_k=3), seed=1)
    for row, (prompt, answer) in enumerate(zip(written.prompts, written.answers)):
        logits = model(torch.tensor([prompt + answer]))[0] / 0.8
        found = written.log_probs[row][written.mask[row]]
        for step, token in enumerate(answer):
            best = logits[len(prompt) - 1 + step].topk(3)
            assert token in best.indices.tolist()
            place = best.indices.tolist().index(token)
            expected = best.values.log_softmax(0)[place]
            torch.testing.assert_close(found[step], expected, atol=1e-5, rtol=0)


def test_a_full_context_ends_an_answer() -> None:
    model = tiny(n_context=8)
    written = write(model, [[5] * 7, [4]], n=20)
    assert len(written.answers[0]) == 1 and len(written.answers[1]) <= 7
    again = rollout_log_probs(model, written)
    torch.testing.assert_close(written.log_probs, again, atol=1e-5, rtol=0)


def test_answers_can_be_learnt_from() -> None:
    """What was written within inference mode takes part in a backward pass."""
    model = tiny()
    written = write(model)
    log_probs = answer_log_probs(model, written.inputs, written.targets)
    total, _ = ppo_policy_loss(log_probs, written.log_probs, written.log_probs, written.mask, 0.2)
    total.backward()
    assert model.embedding.weight.grad is not None


def test_bad_rollouts_are_refused() -> None:
    with pytest.raises(ValueError, match="temperature above 0"):
        write(tiny(), temperature=0)
    with pytest.raises(ValueError, match="1 token at least"):
        write(tiny(), n=0)
    with pytest.raises(ValueError, match="prompt 1 is empty"):
        write(tiny(), [[3], []])


# --- KL: exact expectations -----------------------------------------------------------------------


def test_k1_and_k3_are_unbiased_and_k3_scatters_less_near_the_reference() -> None:
    p, ref = (randn(9, seed=s).log_softmax(0).double() for s in (0, 1))
    k1, _, k3 = kl_estimates(p, ref)
    kl = (p.exp() * (p - ref)).sum()

    def mean(x: Tensor) -> Tensor:
        return (p.exp() * x).sum()

    torch.testing.assert_close(mean(k1), kl)
    torch.testing.assert_close(mean(k3), kl)
    assert (k3 >= 0).all() and (k1 < 0).any()
    assert mean((k3 - kl) ** 2) > mean((k1 - kl) ** 2), "far away it need not"
    near = (p + 0.2 * randn(9, seed=2).double()).log_softmax(0)
    k1, k2, k3 = kl_estimates(p, near)
    kl = (p.exp() * (p - near)).sum()
    assert mean((k3 - kl) ** 2) < 0.1 * mean((k1 - kl) ** 2)
    assert mean(k2).item() == pytest.approx(kl.item(), rel=0.2)


def test_k3_is_exact_where_the_two_are_close() -> None:
    x = torch.tensor([1e-4, -1e-3])
    k3 = kl_estimates(torch.zeros(2), x)[2]
    torch.testing.assert_close(k3, x**2 / 2 + x**3 / 6, rtol=1e-3, atol=0)


def gradients_as_losses(place: int) -> tuple[Tensor, Tensor, Tensor]:
    """The exact mean, over draws from p, of the gradient of an estimate put into the loss; and the
    gradients of KL(p ‖ ref) and of KL(ref ‖ p)."""
    logits = randn(6, seed=4).double().requires_grad_(True)
    ref = randn(6, seed=5).log_softmax(0).double()
    p = logits.log_softmax(0)
    estimate = kl_estimates(p, ref)[place]
    # The draws do not depend on the parameters: p as a weight is a constant.
    (found,) = torch.autograd.grad((p.detach().exp() * estimate).sum(), logits, retain_graph=True)
    reverse = torch.autograd.grad((p.exp() * (p - ref)).sum(), logits, retain_graph=True)[0]
    forward = torch.autograd.grad((ref.exp() * (ref - p)).sum(), logits)[0]
    return found, reverse, forward


def test_k1_in_the_loss_has_no_gradient_on_average() -> None:
    found, reverse, _ = gradients_as_losses(0)
    assert found.abs().max() < 1e-12 and reverse.abs().max() > 0.01


def test_k2_in_the_loss_has_the_gradient_of_the_kl() -> None:
    found, reverse, _ = gradients_as_losses(1)
    torch.testing.assert_close(found, reverse)


def test_k3_in_the_loss_has_the_gradient_of_the_forward_kl() -> None:
    found, reverse, forward = gradients_as_losses(2)
    torch.testing.assert_close(found, forward)
    assert (found - reverse).abs().max() > 0.01


def test_k1_in_the_reward_has_the_gradient_of_the_kl() -> None:
    """Where PPO puts it: as −reward, by the policy gradient."""
    logits = randn(6, seed=4).double().requires_grad_(True)
    ref = randn(6, seed=5).log_softmax(0).double()
    p = logits.log_softmax(0)
    k1 = kl_estimates(p, ref)[0].detach()
    surrogate = (p.detach().exp() * k1 * p).sum()
    (found,) = torch.autograd.grad(surrogate, logits, retain_graph=True)
    (exact,) = torch.autograd.grad((p.exp() * (p - ref)).sum(), logits)
    torch.testing.assert_close(found, exact)


# --- the policy gradient --------------------------------------------------------------------------


def test_reinforce_is_the_slope_of_the_expected_reward() -> None:
    """A bandit: one token, all rewards known. Finite differences are the oracle; a baseline changes
    nothing on average, and PPO's loss has the same gradient where ρ is 1."""
    rewards, logits = randn(5, seed=1).double(), randn(5, seed=2).double()

    def expected(x: Tensor) -> float:
        return float((x.softmax(0) * rewards).sum())

    h = 1e-6
    steps = h * torch.eye(5).double()
    slope = torch.tensor([(expected(logits + s) - expected(logits - s)) / (2 * h) for s in steps])
    slope = slope.double()
    for baseline in (0.0, 3.0):
        x = logits.clone().requires_grad_(True)
        log_probs = x.log_softmax(0)
        weights = log_probs.detach().exp()  # how often each is drawn
        gain = (weights * (rewards - baseline) * log_probs).sum()
        torch.testing.assert_close(torch.autograd.grad(gain, x)[0], slope, atol=1e-8, rtol=1e-6)
        x = logits.clone().requires_grad_(True)
        log_probs = x.log_softmax(0)[None]
        total, _ = ppo_policy_loss(
            log_probs, log_probs.detach(), (weights * (rewards - baseline))[None],
            torch.ones(1, 5).bool(), 0.2,
        )  # fmt: skip
        torch.testing.assert_close(-torch.autograd.grad(total, x)[0], slope, atol=1e-8, rtol=1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_the_policy_loss_and_k3_are_trls(beta: float) -> None:
    """TRL's own computation on given log-probabilities, with an advantage for each token."""
    trl = pytest.importorskip("trl")
    mask = torch.arange(7) < torch.tensor([[7], [3], [1], [5]])
    old, ref = -randn(4, 7).exp(), -randn(4, 7, seed=1).exp()
    new, better = old + 0.4 * randn(4, 7, seed=2), randn(4, 7, seed=3)
    theirs, ours = new.clone().requires_grad_(True), new.clone().requires_grad_(True)
    same = SimpleNamespace(gather=lambda x: x, reduce=lambda x, reduction: x)
    names = ("kl", "entropy", "clip_ratio/low_mean", "clip_ratio/high_mean", "clip_ratio/low_min",
             "clip_ratio/region_mean", "clip_ratio/high_max")  # fmt: skip
    trainer = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *_, **__: (theirs, torch.zeros(4, 7), None),
        aux_loss_enabled=False, top_entropy_quantile=1.0, off_policy_mask_threshold=None,
        importance_sampling_level="token", beta=beta, loss_type="bnpo", epsilon_low=0.2,
        epsilon_high=0.2, use_vllm=False, _entropy_bonus_enabled=False, accelerator=same,
        model=SimpleNamespace(training=False), _metrics={"eval": {name: [] for name in names}},
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False),
    )  # fmt: skip
    inputs = {
        "prompt_ids": torch.zeros(4, 2), "prompt_mask": torch.ones(4, 2),
        "completion_ids": torch.zeros(4, 7), "completion_mask": mask.long(),
        "advantages": better, "old_per_token_logps": old, "ref_per_token_logps": ref,
    }  # fmt: skip
    expected = trl.GRPOTrainer._compute_loss(trainer, None, inputs)
    total, n = ppo_policy_loss(ours, old, better, mask, 0.2)
    total = total + beta * kl_estimates(ours, ref)[2][mask].sum()
    torch.testing.assert_close(total / n, expected)
    gradient = torch.autograd.grad(total / n, ours)[0]
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, theirs)[0])


# --- advantages and values ------------------------------------------------------------------------


def test_advantages_are_those_of_each_answer_alone() -> None:
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 0], [0, 1, 1, 0, 0, 0, 0]]).bool()
    rewards, values = randn(2, 7, scale=9), randn(2, 7, seed=1, scale=9)
    better, returns = advantages(rewards, values, mask, 0.9, 0.7)
    for row in range(2):
        r, v = rewards[row][mask[row]][None], values[row][mask[row]][None]
        alone = advantages(r, v, torch.ones_like(r).bool(), 0.9, 0.7)
        torch.testing.assert_close(better[row][mask[row]][None], alone[0])
        torch.testing.assert_close(returns[row][mask[row]][None], alone[1])
    assert not better[~mask].any() and not returns[~mask].any()


def test_with_a_perfect_critic_nothing_is_better_than_expected() -> None:
    rewards = randn(1, 6)
    values = rewards.flip(1).cumsum(1).flip(1)  # exactly what is to come
    better, returns = advantages(rewards, values, torch.ones(1, 6).bool(), 1.0, 0.95)
    torch.testing.assert_close(better, torch.zeros(1, 6), atol=1e-6, rtol=0)
    torch.testing.assert_close(returns, values)


def test_a_value_that_has_moved_far_enough_rests() -> None:
    values = torch.tensor([[1.5, 0.5]]).requires_grad_(True)
    old, goal = torch.ones(1, 2), torch.full((1, 2), 3.0)
    total, _ = ppo_value_loss(values, old, goal, torch.ones(1, 2).bool(), 0.2)
    (slope,) = torch.autograd.grad(total, values)
    assert slope[0, 0] == 0, "it may move by 0.2 and has moved by 0.5"
    assert slope[0, 1] < 0, "it went the wrong way, and is called back"


def test_whitened_is_mean_0_and_spread_1_where_it_counts() -> None:
    x, mask = randn(3, 5, scale=7) + 4, torch.rand(3, 5) > 0.3
    white = whiten(x, mask)
    assert white[mask].mean().item() == pytest.approx(0, abs=1e-5)
    assert white[mask].std(correction=0).item() == pytest.approx(1, abs=1e-4)
    assert not white[~mask].any() and not whiten(x, torch.zeros_like(mask)).any()


# --- a batch --------------------------------------------------------------------------------------


def test_a_batch_is_what_the_formulas_say() -> None:
    policy, reference = tiny(), tiny(seed=1)
    written, rewards = write(policy, seed=3), torch.tensor([1.0, -2.0, 0.5, 3.0])
    critic = Critic(reference, start=0.25)
    batch = ppo_batch(
        written, rewards, reference, critic, kl_weight=0.3, gamma=0.9, lam=0.8, whitened=False
    )
    assert not batch["values"][~written.mask].any()
    assert batch["values"][written.mask].unique().tolist() == [0.25]
    ref = rollout_log_probs(reference, written)
    torch.testing.assert_close(batch["ref_log_probs"], ref)
    for row, answer in enumerate(written.answers):
        here = written.mask[row]
        earned = (-0.3 * (written.log_probs - ref))[row][here].tolist()
        earned[-1] += rewards[row].item()
        value, better, found = [0.25] * len(answer) + [0.0], 0.0, []
        for t in reversed(range(len(answer))):
            better = earned[t] + 0.9 * value[t + 1] - value[t] + 0.72 * better
            found.append(better)
        assert batch["advantages"][row][here].tolist() == pytest.approx(found[::-1], abs=1e-4)
        returns = [a + 0.25 for a in found[::-1]]
        assert batch["returns"][row][here].tolist() == pytest.approx(returns, abs=1e-4)
    white = ppo_batch(written, rewards, reference, critic, kl_weight=0.3, gamma=0.9, lam=0.8)
    assert torch.equal(white["returns"], batch["returns"]), "returns before whitening"
    torch.testing.assert_close(white["advantages"], whiten(batch["advantages"], written.mask))
    with pytest.raises(ValueError, match="expected 4 rewards"):
        ppo_batch(written, rewards[:3], reference, critic)


def test_the_critic_reads_with_a_model_that_stays_as_it_is() -> None:
    judge = RewardModel(tiny())
    before = copy.deepcopy(judge.state_dict())
    critic = Critic(judge)
    names = [name for name, _ in critic.named_parameters()]
    assert all(name.startswith("layers") for name in names) and len(names) == 4
    seen = critic.read(torch.tensor([[3, 4, 5]]))
    assert seen.shape == (1, 3, 32) and not seen.requires_grad
    optimizer = adam(critic)
    critic(seen).sum().backward()
    optimizer.step()
    assert all(torch.equal(x, judge.state_dict()[name]) for name, x in before.items())


def test_the_critic_learns_what_is_to_come() -> None:
    """The reward is what the first token of the prompt says, so it can be known from the start."""
    torch.manual_seed(0)
    policy = tiny()
    prompts = [[token, 7] for token in (3, 9) for _ in range(16)]
    written = write(policy, prompts)
    rewards = torch.tensor([1.0 if prompt[0] == 3 else -1.0 for prompt in written.prompts])
    critic = Critic(policy)
    loss, optimizer = ppo_loss(critic, value_clip=10.0), adam(critic)
    for _ in range(60):
        batch = ppo_batch(written, rewards, policy, critic, lam=1.0)
        optimizer.zero_grad()
        loss(policy, batch)[0].backward()
        optimizer.step()
    error = (batch["returns"] - batch["values"])[written.mask].square().mean()
    assert error < 0.1, "of a spread of 1"


# --- the loop -------------------------------------------------------------------------------------


def draw_prompts(step: int, generator: torch.Generator) -> list[list[int]]:
    return [[int(torch.randint(1, VOCAB, (1,), generator=generator))] * (1 + i % 3)
            for i in range(32)]  # fmt: skip


def share_of_3(written: Rollout) -> Tensor:
    return torch.tensor([answer.count(3) / len(answer) for answer in written.answers])


def learn(
    policy: Transformer, n_steps: int = 5, lr: float = 3e-3, **options: Any
) -> tuple[Any, Critic]:
    torch.manual_seed(0)
    reference = copy.deepcopy(policy)
    critic = Critic(reference, d_hidden=16)
    loss = options.pop("loss", None) or ppo_loss(critic)

    def make_batch(written: Rollout) -> dict[str, Tensor]:
        return ppo_batch(written, share_of_3(written), reference, critic, kl_weight=0.01)

    settings = {"max_new_tokens": 8, "stop": [END], "progress": False, **options}
    make = settings.pop("make_batch", make_batch)
    optimizer = settings.pop("optimizer", None) or adam(policy, critic, lr=lr)
    return learn_from_rollouts(
        policy, draw_prompts, make, loss, optimizer, n_steps, **settings
    ), critic


def test_the_loop_learns_to_please() -> None:
    policy = tiny()
    assert 15_000 < sum(p.numel() for p in policy.parameters()) < 25_000
    history, _ = learn(policy, 40, n_updates=2)
    rewards, kl = history.column("reward"), history.column("kl")
    assert sum(rewards[:3]) / 3 < 0.25 and sum(rewards[-3:]) / 3 > 0.6, rewards
    assert kl[0] == pytest.approx(0, abs=1e-4) and kl[-1] > 0.3, "it paid with distance"
    assert history.column("entropy")[-1] < history.column("entropy")[0]


def test_what_is_on_record() -> None:
    history, _ = learn(tiny(), 2, n_updates=2, evaluate=lambda policy: {"score": 1.0})
    assert history.records[0] == {"step": 0, "score": 1.0}
    last = history.records[-1]
    for name in (
        "loss", "reward", "kl", "entropy", "length", "ended", "updates", "gradient_norm", "rate",
        "tokens", "seconds", "writing", "step_kl", "clip_share", "score",
    ):  # fmt: skip
        assert math.isfinite(last[name]), name
    assert last["updates"] == 2 and 0 <= last["ended"] <= 1 and 1 <= last["length"] <= 8
    assert last["seconds"] > last["writing"] > 0
    assert last["step_kl"] > 0, "at the second update the policy has moved"


def test_numbers_of_ones_own_go_on_record() -> None:
    critic = Critic(tiny())

    def make_batch(written: Rollout) -> tuple[dict[str, Tensor], dict[str, float]]:
        batch = ppo_batch(written, share_of_3(written), tiny(), critic)
        return batch, {"true_score": 0.5}

    history, _ = learn(tiny(), 1, make_batch=make_batch, loss=ppo_loss(critic))
    assert history.column("true_score") == [0.5]


def test_the_same_seed_gives_the_same_run() -> None:
    runs = [learn(tiny(), 3, seed=seed)[0].column("loss") for seed in (4, 4, 5)]
    assert runs[0] == runs[1] != runs[2]


def test_parts_are_the_large_batch_and_minibatches_are_not() -> None:
    whole, parts, mini = (tiny() for _ in range(3))
    a = learn(whole, 3)[0]
    b = learn(parts, 3, n_parts=4)[0]
    c = learn(mini, 3, n_minibatches=4)[0]
    assert a.column("loss") == pytest.approx(b.column("loss"), abs=1e-4)
    assert a.column("updates") == [1, 1, 1] and c.column("updates") == [4, 4, 4]


def weights(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def test_stopping_leaves_the_optimizer_alone() -> None:
    """Adam with momentum moves even where a gradient is 0: the step itself must be left out."""
    policy = tiny()
    critic = Critic(copy.deepcopy(policy), d_hidden=16)
    optimizer = adam(policy, critic, lr=3e-3)
    calls: list[dict[str, float]] = []
    moved: list[list[Tensor]] = []

    def stop_when(seen: dict[str, float]) -> bool:
        calls.append(seen)
        moved.append(weights(policy))
        return len(calls) > 2

    learn(policy, 1, loss=ppo_loss(critic), optimizer=optimizer, n_updates=6, stop_when=stop_when)
    assert len(calls) == 3, "the rest of the updates is left out as well"
    assert calls[0]["step_kl"] == pytest.approx(0, abs=1e-6) and calls[2]["step_kl"] > 1e-5
    assert all(torch.equal(a, b) for a, b in zip(moved[2], weights(policy))), "not moved"
    assert not all(torch.equal(a, b) for a, b in zip(moved[1], moved[2]))
    steps = {state["step"] for state in optimizer.state.values()}
    assert steps == {2}, "nor does Adam count a step"


def test_after_stopping_the_next_answers_are_learnt_from() -> None:
    history, _ = learn(tiny(), 4, n_updates=5, lr=1e-2, stop_when=lambda s: s["step_kl"] > 0.002)
    updates = history.column("updates")
    assert len(updates) == 4 and all(1 <= n < 5 for n in updates), updates


def test_stopping_sees_all_parts() -> None:
    seen: list[dict[str, float]] = []
    for n_parts in (1, 4):
        learn(tiny(), 1, n_updates=2, n_parts=n_parts, stop_when=lambda s: bool(seen.append(s)))
    assert len(seen) == 4
    assert seen[1]["step_kl"] == pytest.approx(seen[3]["step_kl"], rel=1e-2)


def test_any_loss_will_do_but_cannot_stop() -> None:
    def reinforce(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        log_probs = answer_log_probs(model, batch["inputs"], batch["targets"])
        return -(log_probs * batch["advantages"]).sum(), int((batch["targets"] != IGNORED).sum())

    history, _ = learn(tiny(), 2, loss=reinforce)
    assert "clip_share" not in history.records[-1] and "reward" in history.records[-1]
    with pytest.raises(ValueError, match="WatchedLoss"):
        learn(tiny(), 1, loss=reinforce, stop_when=lambda seen: True)


def test_nan_stops_and_moves_nothing() -> None:
    policy = tiny()
    before = weights(policy)

    def broken(model: nn.Module, batch: dict[str, Tensor], watched: WatchedLoss) -> Any:
        return answer_log_probs(model, batch["inputs"], batch["targets"]).sum() * math.nan, 1

    with pytest.raises(TrainingStopped, match="is nan"):
        learn(policy, 2, loss=WatchedLoss(broken))
    assert all(torch.equal(a, b) for a, b in zip(before, weights(policy)))


def test_clip_share_is_what_lies_outside_of_the_band() -> None:
    watched = WatchedLoss(lambda *_: (torch.zeros(()), 1))
    mask = torch.tensor([[True, True, True, True, False]])
    new = torch.tensor([[1.5, 1.1, 0.7, 1.0, 9.0]]).log()
    watched.watch(new, torch.zeros(1, 5), mask, 0.2)
    assert watched.means()["clip_share"] == 0.5
    ratio = new[mask].exp()
    expected = (1 / ratio - 1 + ratio.log()).mean().item()
    assert watched.means()["step_kl"] == pytest.approx(expected)
    watched.forget()
    assert watched.means() == {"step_kl": 0.0, "clip_share": 0.0}


@pytest.mark.skipif(best_precision() == "float32", reason="slow without bfloat16 in hardware")
def test_bfloat16_learns_as_well() -> None:
    history, _ = learn(tiny(), 2, precision="bfloat16")
    assert all(math.isfinite(loss) for loss in history.column("loss"))
