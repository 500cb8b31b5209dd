"""`lib.sft`: what is learnt of a conversation, conversations in rows, the loss, the command."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from lib.chat import TRAINING_TEMPLATE, answer_header, encode_chat, end_token, render_chat, reply
from lib.checkpoint import DATA, latest, load, load_tokenizer, load_training, read_card, save
from lib.optim import make_optimizer
from lib.sft import (
    answer_mask,
    conversation_tokens,
    draw_rows,
    encode_conversations,
    evaluate_sft,
    pack_conversations,
    pack_rows,
    pad_conversations,
    sft_loss,
    token_log_probs,
)
from lib.tokenizer import Tokenizer
from lib.training import IGNORED, next_token_loss, train, train_step
from lib.transformer import Config, Transformer
from tests.test_chat import WORDS, conversations

ROOT = Path(__file__).parents[1]


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.load(DATA / "mini" / "tokenizer.json")


def tiny(seed: int = 0, **changes: Any) -> Transformer:
    torch.manual_seed(seed)
    shape = {"d_model": 32, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_context": 64}
    return Transformer(Config(**{"vocab_size": 50, **shape, **changes}))


def made(n: int, longest: int, seed: int = 0) -> tuple[list[list[int]], list[list[bool]]]:
    """Conversations of unequal length, of tokens at random, of which some are to be learnt."""
    chance = random.Random(seed)
    tokens = [[chance.randrange(50) for _ in range(chance.randint(2, longest))] for _ in range(n)]
    return tokens, [[chance.random() < 0.4 for _ in row] for row in tokens]


# --- what is learnt -------------------------------------------------------------------------------


def test_the_mask_is_what_transformers_says() -> None:
    """Hugging Face marks in the template what the assistant wrote, we find it in the tokens."""
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(DATA / "mini" / "tokenizer.json"))
    harmless = [w for w in WORDS if not w.startswith("\n")]
    for messages in conversations(200, words=harmless):
        expected = theirs.apply_chat_template(
            messages,
            chat_template=TRAINING_TEMPLATE,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        ids, mask = conversation_tokens(messages, tokenizer())
        assert ids == expected["input_ids"]
        assert [int(m) for m in mask] == expected["assistant_masks"]


def test_the_mask_is_what_the_assistant_wrote() -> None:
    for messages in conversations(200, seed=1):
        ids, mask = conversation_tokens(messages, tokenizer())
        learnt = tokenizer().decode([i for i, m in zip(ids, mask) if m])
        answers = [render_chat([m]) for m in messages if m["role"] == "assistant"]
        header = len("<|im_start|>assistant\n")
        assert learnt == "".join(answer[header:-1] for answer in answers), "end kept, line end not"


def test_masks_of_a_batch() -> None:
    header, end = answer_header(tokenizer()), end_token(tokenizer())
    rows, masks = encode_conversations(conversations(30, seed=2), tokenizer())
    width = max(map(len, rows))
    padded = torch.tensor([[*row, *[-1] * (width - len(row))] for row in rows])
    found = answer_mask(padded, header, end)
    for row, mask, ids in zip(found, masks, rows):
        assert row.tolist() == [*mask, *[False] * (width - len(ids))]
    left = torch.tensor([[*[-1] * (width - len(row)), *row] for row in rows])
    for row, mask in zip(answer_mask(left, header, end), masks):
        assert row.tolist()[width - len(mask) :] == mask
    assert not answer_mask(torch.tensor([[3, 4]]), header, end).any(), "shorter than a header"
    cut = padded[:, : len(header) + 5]
    assert answer_mask(cut, header, end).equal(found[:, : len(header) + 5]), "cut off anywhere"


# --- rows -----------------------------------------------------------------------------------------


def test_nothing_is_lost_in_rows() -> None:
    for n_context in (20, 33, 64):
        tokens, masks = made(60, n_context + 1, seed=n_context)
        packed = pack_conversations(tokens, masks, n_context)
        found = []
        for i in range(len(packed["inputs"])):
            which = packed["conversation"][i]
            for k in range(int(which.max()) + 1):
                places = which == k
                assert packed["positions"][i][places].tolist() == list(range(int(places.sum())))
                found.append(
                    (packed["inputs"][i][places].tolist(), packed["targets"][i][places].tolist())
                )
            assert (packed["targets"][i][which < 0] == IGNORED).all()
        expected = [
            (t[:-1], [x if m else IGNORED for x, m in zip(t[1:], mask[1:])])
            for t, mask in zip(tokens, masks)
        ]
        assert sorted(found) == sorted(expected)
        assert all(x.dtype == torch.int64 for x in packed.values())
        filled = (packed["conversation"] >= 0).float().mean()
        assert filled > 0.8, "rows are well filled"


def test_first_fit() -> None:
    sizes = [6, 5, 4, 3, 2, 7]  # tokens; they take one place less
    tokens = [[n] * n for n in sizes]
    packed = pack_conversations(tokens, [[True] * n for n in sizes], 8)
    assert [[x for x in row if x] for row in packed["inputs"].tolist()] == [
        [6] * 5 + [4] * 3, [5] * 4 + [3] * 2 + [2], [7] * 6,
    ]  # fmt: skip


def test_conversations_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="conversation 1 has 10 tokens, a row takes 9 at most"):
        pack_conversations([[1, 2], [1] * 10], [[True] * 2, [True] * 10], 8)
    with pytest.raises(ValueError, match="conversation 0 has 3 tokens, its mask 2"):
        pack_conversations([[1, 2, 3]], [[True] * 2], 8)
    with pytest.raises(ValueError, match="got 2 conversations and 1 masks"):
        pad_conversations([[1, 2], [1, 2]], [[True] * 2])
    with pytest.raises(ValueError, match="nothing to predict in fewer than 2"):
        pad_conversations([[1]], [[True]])
    talk = [[{"role": "user", "content": "word " * 50}, {"role": "assistant", "content": "Yes."}]]
    with pytest.raises(ValueError, match=r"conversation 0 has \d+ tokens, a row of 30 takes 31"):
        encode_conversations(talk, tokenizer(), 30)
    (ids,), (mask,) = encode_conversations(talk, tokenizer(), 30, cut=True)
    assert len(ids) == len(mask) == 31
    assert ids == encode_chat(talk[0], tokenizer())[:31]


# --- the loss -------------------------------------------------------------------------------------


def alone(model: nn.Module, tokens: list[list[int]], masks: list[list[bool]]) -> tuple[Any, int]:
    """Every conversation by itself, with what pretraining has for a loss."""
    total, count = torch.zeros(()), 0
    for ids, mask in zip(tokens, masks):
        targets = torch.tensor([ids[1:]]).masked_fill(~torch.tensor([mask[1:]]), IGNORED)
        if (targets != IGNORED).any():
            part, n = next_token_loss(model, (torch.tensor([ids[:-1]]), targets))
            total, count = total + part, count + n
    return total, count


def gradients(model: nn.Module, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters()), retain_graph=True))


@pytest.mark.parametrize("changes", [{}, {"position": "learned", "norm": "layer"}], ids=str)
def test_packed_equals_alone(changes: dict[str, Any]) -> None:
    model = tiny(**changes)
    tokens, masks = made(20, 30, seed=3)
    expected, count = alone(model, tokens, masks)
    rows = pack_conversations(tokens, masks, 64)
    assert len(rows["inputs"]) < 8
    for batch in (rows, pad_conversations(tokens, masks)):
        total, n = sft_loss(model, batch)
        assert n == count
        assert torch.allclose(total, expected, rtol=1e-5)
        for a, b in zip(gradients(model, total), gradients(model, expected), strict=True):
            assert torch.allclose(a, b, rtol=1e-3, atol=1e-4)


def test_parts_are_the_large_batch() -> None:
    """Accumulation with unequally many answer tokens: sums and counts, not means."""
    tokens, masks = made(12, 30, seed=4)
    masks[0] = [True] * len(masks[0])
    results = []
    for n_parts in (1, 3):
        model = tiny()
        optimizer = make_optimizer(model)
        rows = pad_conversations(tokens, masks)
        step = 12 // n_parts
        parts = [{k: x[i : i + step] for k, x in rows.items()} for i in range(0, 12, step)]
        results.append((train_step(model, parts, sft_loss, optimizer), model))
    (one, a), (three, b) = results
    assert one == pytest.approx(three, rel=1e-5)
    for x, y in zip(a.parameters(), b.parameters()):
        assert torch.allclose(x, y, atol=2e-4)


def test_a_row_without_answers_counts_nothing() -> None:
    rows = pad_conversations([[1, 2, 3]], [[False] * 3])
    total, n = sft_loss(tiny(), rows)
    assert (total.item(), n) == (0.0, 0)


def test_log_probs_against_torch() -> None:
    logits = torch.randn(3, 5, 11) * 30
    targets = torch.randint(11, (3, 5))
    targets[0, 2:] = IGNORED
    expected = -nn.functional.cross_entropy(
        logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none"
    )
    found = token_log_probs(logits, targets)
    assert torch.allclose(found, expected, atol=1e-5)
    assert (found[0, 2:] == 0).all()
    half = token_log_probs(logits.bfloat16(), targets)
    assert half.dtype == torch.float32


def test_labels_are_those_of_trl() -> None:
    """What TRL makes of ids and masks: labels, which it shifts later, borders left out."""
    trl = pytest.importorskip("trl.trainer.sft_trainer")
    tokens, masks = made(5, 12, seed=5)
    collate = trl.DataCollatorForLanguageModeling(pad_token_id=0)
    examples = [
        {
            "input_ids": ids,
            "assistant_masks": [int(m) for m in mask],
            "labels": [i if m else IGNORED for i, m in zip(ids, mask)],
        }
        for ids, mask in zip(tokens, masks)
    ]
    theirs, ours = collate(examples), pad_conversations(tokens, masks)
    assert theirs["labels"][:, 1:].equal(ours["targets"])
    flat = trl.DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)(examples)
    rows = pack_conversations(tokens, masks, sum(map(len, tokens)))
    real = rows["conversation"][0] >= 0
    labels = flat["labels"][0]
    assert rows["targets"][0][real][rows["targets"][0][real] != IGNORED].tolist() == [
        x for x, place in zip(labels.tolist(), flat["position_ids"][0].tolist())
        if x != IGNORED and place > 0
    ]  # fmt: skip


# --- training -------------------------------------------------------------------------------------


def test_rows_come_once_each_time_round() -> None:
    tokens, masks = made(300, 30, seed=6)
    packed = pack_rows(tokens, masks, 40, seed=1)
    assert packed["inputs"].dtype == torch.int32
    assert int((packed["conversation"] == 0).any(dim=1).sum()) == len(packed["inputs"])
    n = len(packed["inputs"])
    numbered = {**packed, "inputs": torch.arange(n).int()[:, None].expand(n, 40)}
    draw, chance = draw_rows(numbered, 7), torch.Generator()
    drawn = [x for step in range(3 * n) for x in draw(step, chance)["inputs"][:, 0].tolist()]
    rounds = [drawn[i * n : (i + 1) * n] for i in range(7)]
    assert all(sorted(one) == list(range(n)) for one in rounds)
    assert rounds[0] != rounds[1]
    batch = draw(5, chance)
    assert all(x.dtype == torch.int64 and x.shape == (7, 40) for x in batch.values())
    assert batch["inputs"].equal(draw_rows(numbered, 7)(5, chance)["inputs"]), "nothing but step"
    assert not batch["inputs"].equal(draw_rows(numbered, 7, seed=2)(5, chance)["inputs"])
    assert draw_rows(numbered, n + 3)(0, chance)["inputs"].shape == (n + 3, 40)
    with pytest.raises(ValueError, match="there are no conversations"):
        pack_rows([], [], 40)


def test_evaluation_counts_every_answer_once() -> None:
    model = tiny()
    tokens, masks = made(30, 30, seed=7)
    total, count = alone(model, tokens, masks)
    packed = pack_rows(tokens, masks, 40)
    for batch_size in (1, 4, 100):
        found = evaluate_sft(model, packed, batch_size)
        assert found == pytest.approx(total.item() / count, rel=1e-5)


def test_an_assistant_is_made() -> None:
    """A small model learns three answers by heart, and to stop after them."""
    asked = {"Who are you?": "I am Ada.", "Two and two?": "Four.", "Tell me.": "Once upon a time."}
    talks = [
        [{"role": "user", "content": q}, {"role": "assistant", "content": a}]
        for q, a in asked.items()
    ]
    tok = tokenizer()
    model = tiny(vocab_size=tok.vocab_size)
    packed = pack_rows(*encode_conversations(talks, tok), 64)
    optimizer = make_optimizer(model, lr=3e-3)
    train(model, draw_rows(packed, 2), 60, optimizer, sft_loss, progress=False)
    answers = reply(model, tok, [talk[:1] for talk in talks], 20)
    assert [a["content"] for a in answers] == list(asked.values())
    assert {a["finish_reason"] for a in answers} == {"stop"}
    assert evaluate_sft(model, packed) < 0.1


# --- the command ----------------------------------------------------------------------------------


def write_config(where: Path, **changes: Any) -> Path:
    tok = tokenizer()
    save(where / "start", tiny(vocab_size=tok.vocab_size), tok)
    lines = [
        {"messages": [{"role": "user", "content": f"What comes after {n}?"},
                      {"role": "assistant", "content": f"{n + 1} comes after {n}."}]}
        for n in range(40)
    ]  # fmt: skip
    (where / "talk.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    recipe = {
        "start": str(where / "start"),
        "conversations": {"name": "file", "path": str(where / "talk.jsonl")},
        "n_context": 64, "batch_size": 4, "n_steps": 12, "precision": "float32",
        "evaluate_every": 6, "save_every": 4, "folder": str(where / "run"),
    }  # fmt: skip
    path = where / "config.json"
    recipe = {k: v for k, v in {**recipe, **changes}.items() if v is not None}
    path.write_text(json.dumps(recipe), encoding="utf-8")
    return path


def records_of(folder: Path) -> list[dict[str, Any]]:
    found = latest(folder)
    assert found is not None
    return json.loads(bytes(load_training(found)["history"].tolist()))


def run_here(config: Path, *words: str) -> list[dict[str, Any]]:
    from lib._sft_cli import main

    main(["--config", str(config), *words])
    return records_of(Path(json.loads(config.read_text())["folder"]))


def losses(records: list[dict[str, Any]]) -> list[float]:
    return [record["loss"] for record in records if "loss" in record]


def command(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENS_LIB": "reference"}
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip


def test_the_command_line_fine_tunes(tmp_path: Path) -> None:
    done = command("-m", "lib.sft", "--config", str(write_config(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert "tokens to learn" in done.stdout
    folder = tmp_path / "run" / "step-000012"
    card = read_card(folder)
    assert card["recipe"]["n_steps"] == 12
    assert load(folder).config.vocab_size == load_tokenizer(folder).vocab_size
    records = records_of(tmp_path / "run")
    assert losses(records)[-1] < losses(records)[0]
    measured = [r["held_out_loss"] for r in records if "held_out_loss" in r]
    assert len(measured) == 3
    assert measured[-1] < measured[0]


def test_the_command_goes_on_where_it_stopped(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    whole = losses(run_here(config))
    again = write_config(tmp_path, folder=str(tmp_path / "again"), warmup=0.1)
    whole_again = losses(run_here(again))
    assert whole != whole_again
    stopped = write_config(tmp_path, folder=str(tmp_path / "pieces"))
    from lib import _sft_cli

    recipe = _sft_cli.cli.read_recipe(stopped, _sft_cli.RECIPE)
    original = _sft_cli.training.train

    def killed(*args: Any, **settings: Any) -> Any:
        def draw(step: int, generator: torch.Generator) -> Any:
            if step == 7:
                raise KeyboardInterrupt
            return args[1](step, generator)

        return original(args[0], draw, *args[2:], **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sft_cli.training, "train", killed)
        with pytest.raises(KeyboardInterrupt):
            _sft_cli.run(recipe, torch.device("cpu"))
    assert latest(tmp_path / "pieces") == tmp_path / "pieces" / "step-000004"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sft_cli, "encode_sources", None)  # the rows are there already
        assert losses(run_here(stopped)) == whole


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """Packed rows hold unequally many answer tokens: data parallelism must count them all."""
    one = losses(run_here(write_config(tmp_path, n_steps=4)))
    two = write_config(tmp_path, n_steps=4, folder=str(tmp_path / "two"))
    done = command(
        "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29717",
        "-m", "lib.sft", "--config", str(two),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert losses(records_of(tmp_path / "two")) == pytest.approx(one, rel=1e-4)


def test_sources_mix_and_plain_texts_are_learnt_whole(tmp_path: Path) -> None:
    from lib import _sft_cli

    config = write_config(
        tmp_path,
        conversations=[
            {"name": "file", "path": str(tmp_path / "talk.jsonl"), "size": 10},
            {"name": "town", "part": "arithmetic", "size": 20, "plain": True},
        ],
    )
    recipe = _sft_cli.cli.read_recipe(config, _sft_cli.RECIPE)
    tokens, masks = _sft_cli.encode_sources(recipe, tokenizer(), 64, "train")
    assert len(tokens) == 30
    end = tokenizer().special_tokens["<|endoftext|>"]
    assert all(ids[0] == end and all(mask) for ids, mask in zip(tokens[10:], masks[10:]))
    assert not any(all(mask) for mask in masks[:10])
    held_out, _ = _sft_cli.encode_sources(recipe, tokenizer(), 64, "held_out")
    assert not {tuple(ids) for ids in held_out} & {tuple(ids) for ids in tokens}
    assert losses(run_here(config))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({"n_layers": 3}, "n_layers, which means nothing"),
        ({"n_steps": None}, "lacks n_steps"),
        ({"conversations": []}, "conversations should be one or more of { }, got []"),
        ({"conversations": {"part": "x"}}, "conversations lacks name"),
        ({"conversations": {"name": "nobody"}}, "nobody"),
        ({"conversations": {"name": "file"}}, 'need a "path"'),
        ({"conversations": {"name": "file", "path": "no/where.jsonl"}}, "where.jsonl"),
        ({"conversations": {"name": "town", "part": "arithmetic"}}, "has no 'messages'"),
        ({"conversations": {"name": "town", "parts": "x"}}, "conversations.parts, which means"),
        ({"start": "nobody"}, "no checkpoint 'nobody' comes with the course"),
        ({"n_context": 5}, "conversation 0 has"),
        ({"cut": 1}, "cut should be of type bool"),
        ({"optimizer": {"rate": 1.0}}, "optimizer.rate, which means nothing"),
        ({"batch_size": 0}, "batch_size should be at least 1"),
    ],
    ids=str,
)
def test_bad_configs_end_with_a_clear_line(
    content: dict[str, Any], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lib._sft_cli import main

    path = write_config(tmp_path, **content)
    with pytest.raises(SystemExit) as stop:
        main(["--config", str(path)])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert word in said.splitlines()[-1]
    assert "Traceback" not in said
    assert latest(tmp_path / "run") is None
