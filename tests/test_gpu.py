"""On a GPU the same as on the processor: what is read, written, learnt, guessed and marked.

Skipped where there is none. The two do not add in the same order: numbers differ in the sixth
digit, so texts of temperature 0 are compared in double precision, and losses by their size.
"""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lib.chat import reply
from lib.checkpoint import load, load_tokenizer, shipped
from lib.corpora.town import arithmetic, instruction, preference
from lib.distillation import distillation_objective, on_policy_batch
from lib.dpo import dpo_objective, in_turn, preference_batches, reference_log_probs
from lib.generation import generate, sampler
from lib.lora import add_lora, quantise_base, trainable_parameters
from lib.optim import AdamW, make_optimizer
from lib.ppo import Critic, learn_from_rollouts, ppo_batch, ppo_loss
from lib.reasoning import (
    SumTask,
    grpo_batch,
    limit_thinking,
    policy_loss,
    solve_sums,
    thinking_tokens,
)
from lib.reward import RewardModel, encode_pair
from lib.sft import draw_rows, encode_conversations, pack_rows, sft_loss
from lib.speculative import ModelDrafter, NgramDrafter, SeveralDrafters, first_layers, speculate
from lib.tokenizer import Tokenizer
from lib.training import best_precision, next_token_batch, next_token_loss, train
from lib.transformer import Config, Transformer
from lib.watermark import (
    GreenListWatermark,
    GumbelWatermark,
    TournamentWatermark,
    detect,
    detect_tournament,
    green_list,
    keyed_uniform,
)

GPU = "cuda"
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer(shipped("assistant"))


@pytest.fixture
def here() -> Transformer:
    return load(shipped("assistant")).double()


@pytest.fixture
def there(here: Transformer) -> Transformer:
    return copy.deepcopy(here).to(GPU)


def tiny(vocab_size: int = 64, seed: int = 0) -> Transformer:
    torch.manual_seed(seed)
    shape = {"d_model": 32, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_context": 256}
    return Transformer(Config(vocab_size, **shape))


def prompts_of(tokenizer: Tokenizer) -> list[list[int]]:
    words = ["Once there was", "A hen", "In the morning the miller called Tom", "The"]
    return [tokenizer.encode(text) for text in words]


def test_logits_are_the_same(here: Transformer, there: Transformer) -> None:
    tokens = torch.randint(2048, (3, 90), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = here(tokens), there(tokens.to(GPU))
        # Norms and angles are in single precision even here.
        assert (found.cpu() - expected).abs().max() < 1e-4
        single = there.float()(tokens.to(GPU)).cpu()
    assert (single - expected).abs().max() < 2e-3 * expected.abs().max()


@pytest.mark.parametrize("cache", [True, False])
def test_texts_are_the_same(
    here: Transformer, there: Transformer, tokenizer: Tokenizer, cache: bool
) -> None:
    settings = {"temperature": 0, "processors": sampler(repetition_penalty=1.2), "cache": cache}
    prompts = prompts_of(tokenizer)
    assert generate(there, prompts, 40, **settings) == generate(here, prompts, 40, **settings)


def test_the_assistant_answers_as_well(
    here: Transformer, there: Transformer, tokenizer: Tokenizer
) -> None:
    asked = [instruction(i, "held_out").prompt for i in range(8)]
    assert reply(there, tokenizer, asked, 40) == reply(here, tokenizer, asked, 40)


def test_chance_on_the_gpu_is_repeatable(there: Transformer, tokenizer: Tokenizer) -> None:
    def draw(seed: int) -> list[list[int]]:
        chance = torch.Generator(GPU).manual_seed(seed)
        settings = sampler(top_k=50, top_p=0.9, min_p=0.01)
        return generate(there, prompts_of(tokenizer), 30, processors=settings, generator=chance)

    assert draw(1) == draw(1) != draw(2)


@pytest.mark.parametrize("precision", ["float32", best_precision(GPU)])
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_it_learns_the_same(name: str, precision: str) -> None:
    stretch = torch.arange(4000) * 7 % 64

    def losses(device: str, precision: str) -> list[float]:
        model = tiny().to(device)
        history = train(
            model, lambda step, chance: next_token_batch(stretch, 8, 32, chance), 30,
            make_optimizer(model, name), next_token_loss, precision=precision, progress=False,
        )  # fmt: skip
        return history.column("loss")

    expected, found = losses("cpu", "float32"), losses(GPU, precision)
    assert found == pytest.approx(expected, rel=0.1 if precision == "bfloat16" else 0.02)
    assert found[-1] < 0.7 * found[0]


def test_it_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    stretch = torch.arange(4000) * 7 % 64

    def run(n_steps: int) -> list[float]:
        model = tiny(seed=n_steps).to(GPU)  # another one at first: the checkpoint decides
        return train(
            model, lambda step, chance: next_token_batch(stretch, 8, 32, chance), n_steps,
            make_optimizer(model, "muon"), next_token_loss, schedule=lambda step: 1.0,
            folder=tmp_path, save_every=6, progress=False,
        ).column("loss")  # fmt: skip

    first, whole = run(6), run(12)
    assert len(whole) == 12 and whole[:6] == first
    assert whole[-1] < whole[5] < whole[0]


@pytest.mark.parametrize("fused", [False, True])
def test_conversations_are_learnt(tokenizer: Tokenizer, fused: bool) -> None:
    talks = [instruction(i).messages for i in range(60)]
    rows = pack_rows(*encode_conversations(talks, tokenizer, 256), 128)
    found = []
    for device in ("cpu", GPU):
        model = tiny(tokenizer.vocab_size).to(device)
        history = train(model, draw_rows(rows, 4), 6, make_optimizer(model, "adamw"), sft_loss,
                        fused=fused and device == GPU, progress=False)  # fmt: skip
        found.append(history.column("loss"))
    assert found[1] == pytest.approx(found[0], rel=0.02)


def test_an_adapter_on_rounded_weights_learns(tokenizer: Tokenizer) -> None:
    model = tiny(tokenizer.vocab_size).to(GPU)
    add_lora(model, 4, 8.0)
    quantise_base(model)
    trained, total = trainable_parameters(model)
    assert trained < total
    rows = pack_rows(
        *encode_conversations([instruction(i).messages for i in range(60)], tokenizer, 256), 128
    )
    history = train(model, draw_rows(rows, 4), 8, make_optimizer(model, "adamw", lr=0.02), sft_loss,
                    precision=best_precision(GPU), progress=False)  # fmt: skip
    assert history.column("loss")[-1] < history.column("loss")[0]


def test_pairs_are_learnt(tokenizer: Tokenizer) -> None:
    pairs = [preference(i) for i in range(16)]
    encoded = [
        encode_pair({"prompt": p.messages, "chosen": p.chosen, "rejected": p.rejected}, tokenizer)
        for p in pairs
    ]
    model = load(shipped("mini"), GPU)
    batches = reference_log_probs(model, preference_batches(encoded, batch_size=8))
    optimizer = AdamW([{"params": list(model.parameters())}], lr=1e-4)
    history = train(model, in_turn(batches), 8, optimizer, dpo_objective(0.5), progress=False)
    losses = history.column("loss")
    assert losses[0] == pytest.approx(0.6931, abs=1e-3) and losses[-1] < losses[0]


def test_a_reward_model_rates_the_same() -> None:
    texts = [[5, 6, 7, 8], [9, 10], [11] * 30]
    on_both = [RewardModel.load(shipped("reward"), device).rate(texts) for device in ("cpu", GPU)]
    assert on_both[1].device.type == GPU
    assert on_both[1].cpu().tolist() == pytest.approx(on_both[0].tolist(), abs=1e-3)


def test_ppo_learns_from_its_own_answers() -> None:
    policy = tiny(12).to(GPU)
    reference = copy.deepcopy(policy)
    critic = Critic(reference, d_hidden=16)

    def share_of_3(answers: list[list[int]]) -> Tensor:
        return torch.tensor([answer.count(3) / len(answer) for answer in answers])

    history = learn_from_rollouts(
        policy, lambda step, chance: [[1 + i % 11] for i in range(32)],
        lambda made: ppo_batch(made, share_of_3(made.answers), reference, critic, kl_weight=0.01),
        ppo_loss(critic),
        AdamW([{"params": [*policy.parameters(), *critic.parameters()]}], lr=3e-3),
        30, max_new_tokens=8, stop=[0], n_updates=2, progress=False,
    )  # fmt: skip
    rewards = history.column("reward")
    assert sum(rewards[-3:]) > sum(rewards[:3]) + 0.6


def test_groups_teach_and_thoughts_keep_their_budget() -> None:
    tokenizer, policy = load_tokenizer(shipped("reasoning")), load(shipped("reasoning"), GPU)
    problems = [arithmetic(i, "train", seed=11) for i in range(24)]
    task = SumTask(problems, tokenizer, think=True)
    history = learn_from_rollouts(
        policy, lambda step, chance: task.draw(4, 8, chance),
        lambda made: grpo_batch(made, task.rewards(made.prompts, made.answers), 8),
        policy_loss(average="token"), AdamW([{"params": list(policy.parameters())}], lr=1e-5),
        3, max_new_tokens=48, stop=[task.end], progress=False,
    )  # fmt: skip
    rewards = history.column("reward")
    assert len(rewards) == 3 and min(rewards) > 0.2, "it has learnt to think before"
    budget = limit_thinking(9, thinking_tokens(tokenizer))
    replies = solve_sums(policy, tokenizer, problems[:8], think=True, processors=[budget])
    thoughts = [texts[0].split("<think>")[1].split("</think>")[0] for texts in replies]
    assert max(len(tokenizer.encode(thought)) for thought in thoughts) == 9, "cut off"


def test_a_student_learns_from_a_teacher(tokenizer: Tokenizer) -> None:
    teacher, prompts = load(shipped("assistant"), GPU), prompts_of(tokenizer)
    student = first_layers(copy.deepcopy(teacher), 2)
    history = train(
        student,
        lambda step, chance: on_policy_batch(
            student, teacher, prompts, 12, generator=torch.Generator(GPU).manual_seed(step)
        ),
        6, make_optimizer(student, "adamw", lr=1e-3), distillation_objective(teacher),
        progress=False,
    )  # fmt: skip
    assert history.column("loss")[-1] < history.column("loss")[0]


def test_guesses_write_the_same_text(there: Transformer, tokenizer: Tokenizer) -> None:
    prompts = prompts_of(tokenizer)
    plain = generate(there, prompts, 40, temperature=0)
    small = ModelDrafter(first_layers(there, 2))
    looked_up = NgramDrafter(tokenizer.vocab_size, plain, 1, 4)
    for drafter in (small, looked_up, SeveralDrafters([small, looked_up], [0.3, 0.01])):
        assert speculate(there, drafter, prompts, 40, temperature=0, longest=6) == plain
        chance = torch.Generator(GPU).manual_seed(0)
        drawn = speculate(there, drafter, prompts, 12, processors=sampler(top_p=0.9),
                          generator=chance)  # fmt: skip
        assert [len(text) for text in drawn] == [12] * len(prompts)


def test_a_watermark_of_the_gpu_is_seen_on_the_processor(
    here: Transformer, there: Transformer, tokenizer: Tokenizer
) -> None:
    prompt = tokenizer.encode("Once there was")
    green = {"temperature": 0, "processors": [GreenListWatermark(7, delta=4.0)]}
    (ids,) = generate(there, [prompt], 80, **green)
    assert [ids] == generate(here, [prompt], 80, **green)
    assert detect([*prompt, *ids], 7, n_prompt=len(prompt)).p_value < 1e-4
    # The dice of this one are rolled from the key: the same on both.
    dice = {"processors": [GumbelWatermark(7, skip_repeats=False)]}
    assert generate(there, [prompt], 40, **dice) == generate(here, [prompt], 40, **dice)
    chance = torch.Generator(GPU).manual_seed(0)
    mark = TournamentWatermark(7)
    (ids,) = generate(there, [prompt], 200, processors=[mark], generator=chance)
    assert detect_tournament(ids, 7).p_value < 1e-3 < detect_tournament(ids, 8).p_value


def test_green_lists_and_dice_are_the_same() -> None:
    contexts = torch.randint(0, 2048, (64, 2))
    assert green_list(contexts.to(GPU), 7, 2048).cpu().equal(green_list(contexts, 7, 2048))
    words = torch.arange(10**6)
    assert keyed_uniform(2**63, words.to(GPU)).cpu().equal(keyed_uniform(2**63, words))
