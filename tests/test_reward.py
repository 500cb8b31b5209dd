"""The reward model: its loss against TRL's, where it reads, how it learns, how it is kept."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from lib import checkpoint
from lib.chat import encode_chat, end_token
from lib.checkpoint import CheckpointError, load, load_training, read_card, save, shipped
from lib.checkpoint import load_tokenizer as tokenizer_of
from lib.optim import AdamW, parameter_groups
from lib.reward import (
    RewardModel,
    draw_pairs,
    encode_pair,
    last_token_reward,
    preference_loss,
    reward_accuracy,
    reward_batch,
    reward_loss,
    right_pad,
)
from lib.training import train
from lib.transformer import Config, Transformer

VOCAB = 11


def tiny(seed: int = 0, **changes: Any) -> Transformer:
    torch.manual_seed(seed)
    shape = {"d_model": 16, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_context": 24}
    return Transformer(Config(vocab_size=VOCAB, **{**shape, **changes}))


def model(seed: int = 0, **changes: Any) -> RewardModel:
    transformer = tiny(seed, **changes)
    return RewardModel(transformer)


def randn(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def pairs(n: int, seed: int = 0) -> list[dict[str, list[int]]]:
    """Of two answers of unequal length, the one with the larger share of token 3 is better."""
    generator = torch.Generator().manual_seed(seed)

    def answer() -> list[int]:
        length = int(torch.randint(2, 9, (1,), generator=generator))
        return torch.randint(2, 6, (length,), generator=generator).tolist()

    found: list[dict[str, list[int]]] = []
    while len(found) < n:
        better, worse = answer(), answer()
        gap = better.count(3) / len(better) - worse.count(3) / len(worse)
        if gap < 0:
            better, worse = worse, better
        if abs(gap) > 0.1:
            found.append({"prompt": [7, 8], "chosen": [*better, 0], "rejected": [*worse, 0]})
    return found


# --- the loss -------------------------------------------------------------------------------------


def test_the_loss_is_trls() -> None:
    """TRL's reward trainer, on rewards that are given."""
    from trl import RewardTrainer

    chosen, rejected = randn(9, scale=3), randn(9, seed=1, scale=3)
    logits = torch.cat([chosen, rejected])[:, None]
    accelerator = SimpleNamespace(gather=lambda x: x, gather_for_metrics=lambda x: x)
    metrics: dict[str, Any] = {
        "train": {
            f"{name}": []
            for name in ("num_tokens", "min_reward", "mean_reward", "max_reward", "accuracy",
                         "margin")
        }
    }  # fmt: skip
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        args=SimpleNamespace(center_rewards_coefficient=None),
        accelerator=accelerator,
        _total_train_tokens=0,
        _tp_size=1,
        _metrics=metrics,
    )
    inputs = {"attention_mask": torch.ones(18, 1)}
    theirs = RewardTrainer.compute_loss(
        trainer,
        lambda **_: SimpleNamespace(logits=logits),
        inputs,  # type: ignore[arg-type]
    )
    total, n = preference_loss(chosen, rejected)
    torch.testing.assert_close(total / n, theirs)
    assert metrics["train"]["accuracy"] == [pytest.approx((chosen > rejected).float().mean())]


def test_the_loss_of_nothing_learnt_is_ln_2() -> None:
    total, n = preference_loss(torch.zeros(5), torch.zeros(5))
    assert total.item() == pytest.approx(5 * math.log(2)) and n == 5


def test_the_last_token_is_where_transformers_reads() -> None:
    """Their classifiers look for the last token that is not padding; ours is −1."""
    from transformers import Qwen3Config, Qwen3ForSequenceClassification

    torch.manual_seed(0)
    pad = VOCAB
    config = Qwen3Config(
        vocab_size=VOCAB + 1, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, head_dim=8, pad_token_id=pad, num_labels=1,
    )  # fmt: skip
    theirs = Qwen3ForSequenceClassification(config).eval()
    tokens = right_pad([[5, 0, 4, 0], [3], [1, 2, 0, 4, 4, 0, 7]])
    ids = tokens.masked_fill(tokens < 0, pad)
    with torch.no_grad():
        expected = theirs(ids, attention_mask=tokens >= 0).logits[:, 0]
        scores = theirs.score(theirs.model(ids, attention_mask=tokens >= 0).last_hidden_state)
    torch.testing.assert_close(last_token_reward(scores[..., 0], tokens), expected)


# --- the model ------------------------------------------------------------------------------------


def test_padding_changes_nothing() -> None:
    reader, texts = model(), [[5, 3, 0], [4, 4, 6, 1, 2, 0], [9]]
    together = reader.rate(texts)
    alone = torch.cat([reader.rate([text]) for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(reader.rate(texts, batch_size=2), alone, atol=1e-6, rtol=1e-5)
    assert reader.rate([]).shape == (0,)


def test_a_score_speaks_of_the_text_up_to_there() -> None:
    reader, tokens = model(), torch.tensor([[5, 3, 7, 0]])
    changed = torch.tensor([[5, 3, 2, 0]])
    before, after = reader(tokens), reader(changed)
    assert torch.equal(before[:, :2], after[:, :2]) and not torch.equal(before[:, 2:], after[:, 2:])


def test_the_language_model_is_left_as_it_was() -> None:
    transformer = tiny()
    before = {name: p.clone() for name, p in transformer.named_parameters()}
    reader = RewardModel(transformer)
    fit(reader, 3)
    assert all(torch.equal(before[name], p) for name, p in transformer.named_parameters())
    assert transformer(torch.tensor([[1, 2]])).shape == (1, 2, VOCAB), "its head is still on"


def test_scores_begin_near_0() -> None:
    scores = model(d_model=64)(torch.randint(VOCAB, (4, 9)))
    assert 0 < scores.std() < 0.3


def test_scores_are_float32_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = model()(torch.tensor([[1, 2, 3]]))
    assert scores.dtype == torch.float32


def fit(reader: RewardModel, n_steps: int, n_parts: int = 1, **options: Any) -> Any:
    groups = [{**group, "lr": 3e-3} for group in parameter_groups(reader, 3e-3, weight_decay=0.0)]
    draw = draw_pairs(pairs(256), batch_size=32)
    return train(
        reader, draw, n_steps, AdamW(groups), reward_loss, n_parts=n_parts, progress=False,
        **options,
    )  # fmt: skip


def test_it_learns_what_is_preferred() -> None:
    reader = model()
    held_out = [reward_batch(pairs(200, seed=99))]
    fit(reader, 80)
    assert reward_accuracy(reader, held_out) > 0.9


def test_parts_are_the_large_batch() -> None:
    whole, cut = model(), model()
    a, b = fit(whole, 3), fit(cut, 3, n_parts=4)
    assert a.column("loss") == pytest.approx(b.column("loss"), rel=1e-4)


def test_a_tie_is_half_a_win() -> None:
    reader = model()
    with torch.no_grad():
        reader.head.weight.zero_()
    assert reward_accuracy(reader, [reward_batch(pairs(10))]) == 0.5
    with pytest.raises(ValueError, match="at least one batch"):
        reward_accuracy(reader, [])


def test_normalise_sets_mean_and_spread() -> None:
    reader = model()
    texts = [[5, 3, 0], [4, 4, 6, 1, 2, 0], [9, 0], [2, 3, 3, 0]]
    raw = reader.rate(texts)
    for _ in range(2):  # twice is as good as once
        reader.normalise(texts)
        rewards = reader.rate(texts)
        assert rewards.mean().item() == pytest.approx(0, abs=1e-4)
        assert rewards.std().item() == pytest.approx(1, abs=1e-3)
    assert torch.equal(rewards.argsort(), raw.argsort()), "the order stays"
    with pytest.raises(ValueError, match="at least 2 texts"):
        reader.normalise(texts[:1])
    with pytest.raises(ValueError, match="same reward"):
        reader.normalise([texts[0], texts[0]])


# --- kept on the disk -----------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
def test_saved_and_loaded_it_is_the_same(tied: bool, tmp_path: Path) -> None:
    reader, texts = model(tied=tied), [[5, 3, 0], [4, 4, 6, 1, 2, 0]]
    reader.normalise(texts)
    reader.save(tmp_path / "judge", card={"recipe": "none"})
    again = RewardModel.load(tmp_path / "judge")
    assert torch.equal(again.rate(texts), reader.rate(texts))
    card = read_card(tmp_path / "judge")
    assert (card["kind"], card["recipe"]) == ("reward model", "none")


def test_a_damaged_one_is_refused(tmp_path: Path) -> None:
    folder = model().save(tmp_path / "judge")
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CheckpointError, match="sha256"):
        RewardModel.load(folder)


def test_language_and_reward_models_are_not_mixed_up(tmp_path: Path) -> None:
    save(tmp_path / "writer", tiny())
    with pytest.raises(CheckpointError, match="no reward model"):
        RewardModel.load(tmp_path / "writer")
    model().save(tmp_path / "judge")
    with pytest.raises(CheckpointError, match="for another model"):
        load(tmp_path / "judge")


def test_a_training_run_can_be_gone_on_with_and_loaded(tmp_path: Path) -> None:
    whole, cut = model(), model()
    schedule = {"schedule": lambda step: 1.0}
    fit(whole, 6, **schedule)
    fit(cut, 3, folder=tmp_path, save_every=3, **schedule)
    fresh = model(seed=5)
    fit(fresh, 6, folder=tmp_path, save_every=3, **schedule)
    texts = [[5, 3, 0], [4, 4, 6, 1]]
    assert torch.equal(fresh.rate(texts), whole.rate(texts))
    assert torch.equal(RewardModel.load(tmp_path / "step-000006").rate(texts), whole.rate(texts))


# --- pairs ----------------------------------------------------------------------------------------


def test_pairs_are_encoded_with_their_end() -> None:
    tokenizer = tokenizer_of(shipped("mini"))
    question = [{"role": "user", "content": "Tell me about a fox called Cora."}]
    pair = {"prompt": question, "chosen": "She was kind.", "rejected": "No.", "true_scores": (1, 0)}
    encoded = encode_pair(pair, tokenizer)
    assert encoded["prompt"] == encode_chat(question, tokenizer, generate=True)
    assert encoded["chosen"][-1] == encoded["rejected"][-1] == end_token(tokenizer)
    assert tokenizer.decode(encoded["chosen"]) == "She was kind.<|im_end|>"
    batch = reward_batch([pair, pair], tokenizer)
    assert batch["chosen"][0].tolist() == encoded["prompt"] + encoded["chosen"]
    message = {"role": "assistant", "content": "She was kind."}
    assert encode_pair({**pair, "chosen": message}, tokenizer) == encoded
    with pytest.raises(ValueError, match="without rejected"):
        encode_pair({"prompt": question, "chosen": "Yes."}, tokenizer)
    with pytest.raises(ValueError, match="are the same"):
        encode_pair({**pair, "rejected": "She was kind."}, tokenizer)
    with pytest.raises(ValueError, match="by 'user'"):
        encode_pair({**pair, "chosen": question[0]}, tokenizer)
    with pytest.raises(ValueError, match="give a tokenizer"):
        reward_batch([pair])
    with pytest.raises(ValueError, match="at least one pair"):
        reward_batch([])


def test_every_pair_comes_once_in_a_round() -> None:
    some = pairs(10)
    for number, pair in enumerate(some):
        pair["prompt"] = [7, number]
    draw = draw_pairs(some, batch_size=3, seed=4)
    generator = torch.Generator()
    rounds = [
        [row[1].item() for step in range(3 * turn, 3 * turn + 3)
         for row in draw(step, generator)["chosen"]]
        for turn in range(2)
    ]  # fmt: skip
    assert all(len(set(turn)) == 9 for turn in rounds) and rounds[0] != rounds[1]
    assert torch.equal(draw(4, generator)["chosen"], draw(4, generator)["chosen"])
    with pytest.raises(ValueError, match="1 to 10 pairs"):
        draw_pairs(some, batch_size=11)


def test_a_card_is_plain_json(tmp_path: Path) -> None:
    folder = model().save(tmp_path / "judge", card={"accuracy": 0.93})
    assert json.loads((folder / "card.json").read_text())["accuracy"] == 0.93


# --- the command ----------------------------------------------------------------------------------


def write_config(where: Path, **changes: Any) -> Path:
    """A config of a small run on pairs in a file, in which the answer "Yes." always wins."""
    tokenizer = tokenizer_of(shipped("mini"))
    small = tiny(n_context=64)
    small = Transformer(dataclasses.replace(small.config, vocab_size=tokenizer.vocab_size))
    save(where / "start", small, tokenizer)
    lines = [
        {"prompt": [{"role": "user", "content": f"Is {n} a number?"}],
         "chosen": "Yes.", "rejected": "No, I do not know."}
        for n in range(30)
    ]  # fmt: skip
    (where / "pairs.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    recipe = {
        "start": str(where / "start"),
        "pairs": {"name": "file", "path": str(where / "pairs.jsonl")},
        "batch_size": 4, "n_steps": 6, "precision": "float32",
        "evaluate_every": 3, "save_every": 2, "folder": str(where / "run"),
    }  # fmt: skip
    path = where / "config.json"
    recipe = {k: v for k, v in {**recipe, **changes}.items() if v is not None}
    path.write_text(json.dumps(recipe), encoding="utf-8")
    return path


def test_the_command_trains_a_reward_model_that_can_be_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lib._reward_cli import main

    main(["--config", str(write_config(tmp_path, n_steps=12))])
    last = tmp_path / "run" / "step-000012"
    history = json.loads(bytes(load_training(last)["history"].tolist()))
    assert [r["held_out_accuracy"] for r in history if "held_out_accuracy" in r][-1] == 1.0
    monkeypatch.setattr(checkpoint, "DATA", tmp_path / "data")
    shipped_model = RewardModel.load(checkpoint.ship(tmp_path / "run", "judge"))
    assert read_card(tmp_path / "data" / "judge")["kind"] == "reward model"
    texts = [[5, 3, 0], [4, 4, 6, 1]]
    torch.testing.assert_close(
        shipped_model.rate(texts), RewardModel.load(last).rate(texts), atol=0.02, rtol=0.02
    )


def test_the_command_goes_on_where_it_stopped(tmp_path: Path) -> None:
    from lib._reward_cli import main

    config = write_config(tmp_path)
    main(["--config", str(config)])
    whole = RewardModel.load(tmp_path / "run" / "step-000006")
    shutil.rmtree(tmp_path / "run" / "step-000006")
    main(["--config", str(config)])  # from step 4
    again = RewardModel.load(tmp_path / "run" / "step-000006")
    assert torch.equal(whole.rate([[5, 3, 0]]), again.rate([[5, 3, 0]]))


def test_held_out_pairs_are_not_learnt_from(tmp_path: Path) -> None:
    from lib import _reward_cli

    config = write_config(
        tmp_path,
        pairs=[
            {"name": "file", "path": str(tmp_path / "pairs.jsonl")},
            {"name": "town", "part": "preferences", "size": 20},
        ],
    )
    recipe = _reward_cli.cli.read_recipe(config, _reward_cli.RECIPE)
    tokenizer = tokenizer_of(shipped("mini"))
    train_pairs, held_out = (
        _reward_cli.encode_sources(recipe, tokenizer, 384, split) for split in ("train", "held_out")
    )
    assert len(train_pairs) + len(held_out) == 30 + 20 + 20
    assert len(held_out) > 20
    assert not {tuple(p["prompt"]) for p in train_pairs} & {tuple(p["prompt"]) for p in held_out}
    with pytest.raises(ValueError, match="none of the train pairs fits"):
        _reward_cli.encode_sources(recipe, tokenizer, 5, "train")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({"n_layers": 3}, "n_layers, which means nothing"),
        ({"pairs": None}, "lacks pairs"),
        ({"pairs": {"name": "file"}}, 'need a "path"'),
        ({"pairs": {"name": "town", "part": "tellings"}}, "has no 'chosen'"),
        ({"start": "nobody"}, "no checkpoint 'nobody' comes with the course"),
        ({"batch_size": 100}, "pairs, got 100"),
    ],
    ids=str,
)
def test_bad_configs_end_with_a_clear_line(
    content: dict[str, Any], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lib._reward_cli import main

    path = write_config(tmp_path, **content)
    with pytest.raises(SystemExit) as stop:
        main(["--config", str(path)])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert word in said.splitlines()[-1]
    assert "Traceback" not in said
