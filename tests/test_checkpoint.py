"""Checkpoints: complete or not at all, and nothing is believed that does not fit its card."""

from __future__ import annotations

import ast
import json
import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lib import checkpoint
from lib.checkpoint import (
    CheckpointError,
    latest,
    load,
    load_tokenizer,
    load_training,
    load_weights,
    read_card,
    save,
    ship,
    shipped,
    weights_of,
)
from lib.tokenizer import Tokenizer
from lib.transformer import Config, RopeScaling, Transformer

ROOT = Path(__file__).parents[1]
FILES = ("model.safetensors", "training.safetensors", "tokenizer.json", "card.json")


def tiny(seed: int = 0, **changes: Any) -> Transformer:
    torch.manual_seed(seed)
    shape = {"d_model": 16, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_context": 12}
    return Transformer(Config(vocab_size=300, **{**shape, **changes}))


def tokenizer() -> Tokenizer:
    return Tokenizer.train("the cat sat on the mat, the cat sat", 262, ["<|endoftext|>"])


def whole(folder: Path, seed: int = 0) -> Path:
    memory = {"mean": torch.randn(3), "step": torch.tensor(7)}
    return save(folder, tiny(seed), tokenizer(), {"note": "für alle"}, memory)


def read_all(folder: Path) -> None:
    load(folder)
    load_training(folder)
    load_tokenizer(folder)


def same(a: Transformer, b: Transformer) -> bool:
    return all(x.equal(y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


# --- there and back -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tied": False},
        {"position": "learned", "norm": "layer", "bias": True, "gated": False, "qk_norm": False},
        {"rope_scaling": RopeScaling("llama3", 8.0), "window": 4, "local_layers": (0,)},
    ],
    ids=["qwen3", "untied", "gpt2", "scaled"],
)
def test_there_and_back(changes: dict[str, Any], tmp_path: Path) -> None:
    model = tiny(**changes)
    assert save(tmp_path / "a", model) == tmp_path / "a"
    back = load(tmp_path / "a")
    assert back.config == model.config
    assert same(back, model)
    tokens = torch.randint(300, (2, 9))
    assert back(tokens).equal(model(tokens))
    if model.config.tied:
        assert back.head.weight is back.embedding.weight
        assert "head.weight" not in load_file(tmp_path / "a" / "model.safetensors")


def test_everything_comes_back(tmp_path: Path) -> None:
    folder = whole(tmp_path / "a")
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    memory = load_training(folder)
    assert memory["step"].item() == 7
    assert memory["mean"].shape == (3,)
    text = "the cat, again <|endoftext|>"
    allowed = {"<|endoftext|>"}
    ids = tokenizer().encode(text, allowed_special=allowed)
    assert load_tokenizer(folder).encode(text, allowed_special=allowed) == ids
    card = read_card(folder)
    assert card["note"] == "für alle"
    assert card["config"]["d_model"] == 16
    assert set(card["files"]) == set(FILES) - {"card.json"}
    for name, known in card["files"].items():
        assert known["bytes"] == (folder / name).stat().st_size
        assert known["sha256"] == checkpoint.sha256(folder / name)


@pytest.mark.parametrize(("dtype", "eps"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
def test_half_precision_in_the_file(dtype: torch.dtype, eps: float, tmp_path: Path) -> None:
    model = tiny()
    save(tmp_path / "a", model, dtype=dtype)
    stored = load_file(tmp_path / "a" / "model.safetensors")
    assert {x.dtype for x in stored.values()} == {dtype}
    back = load(tmp_path / "a")
    for a, b in zip(model.parameters(), back.parameters(), strict=True):
        assert b.dtype == torch.float32, "ready to be trained"
        torch.testing.assert_close(b, a, rtol=eps, atol=1e-7)
    assert all(p.dtype == torch.float32 for p in model.parameters()), "the model itself stays"
    full = save(tmp_path / "b", model) / "model.safetensors"
    half = tmp_path / "a" / "model.safetensors"
    assert half.stat().st_size < 0.6 * full.stat().st_size


def test_latest() -> None:
    assert latest("/no/such/folder") is None


def test_latest_counts_and_skips(tmp_path: Path) -> None:
    for name in ("step-000009", "step-000100", "step-000020", "other-000500"):
        save(tmp_path / name, tiny())
    (tmp_path / "step-000200").mkdir()  # without a card
    (tmp_path / "step-last").mkdir()
    assert latest(tmp_path) == tmp_path / "step-000100"
    save(tmp_path / "step-1000000", tiny())
    assert latest(tmp_path) == tmp_path / "step-1000000"


def test_a_run_is_shipped_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "DATA", tmp_path / "data")
    with pytest.raises(CheckpointError, match=r"no checkpoint 'nano' comes with .*; there is"):
        shipped("nano")
    with pytest.raises(CheckpointError, match="has no checkpoint"):
        ship(tmp_path / "run", "nano")
    memory = {"mean": torch.randn(3)}
    for step in (1, 2):
        save(tmp_path / f"run/step-{step:06d}", tiny(step), tokenizer(), {"step": step}, memory)
    ship(tmp_path / "run", "nano")
    folder = shipped("nano")
    assert sorted(path.name for path in folder.iterdir()) == [
        "card.json", "model.safetensors", "tokenizer.json"
    ]  # fmt: skip
    assert read_card(folder)["step"] == 2
    for p, q in zip(load(folder).parameters(), tiny(2).parameters(), strict=True):
        assert p.equal(q.half().float())
    with pytest.raises(CheckpointError, match=r"no checkpoint 'mini'.*there are: nano"):
        shipped("mini")


# --- complete or not at all -----------------------------------------------------------------------

STAGES = ("save_file", "_write_card", "_flush", "_replace")


class Crash(BaseException):
    """Neither an error of ours nor one that is caught."""


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_crash_leaves_the_old_one_whole(
    stage: str, late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if stage == "_replace" and late:
        pytest.skip("then it is done")
    folder = whole(tmp_path / "a")
    original: Callable[..., Any] = getattr(checkpoint, stage)

    def crash(*args: Any, **kwargs: Any) -> None:
        if late:
            original(*args, **kwargs)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, stage, crash)
        with pytest.raises(Crash):
            save(folder, tiny(1), tokenizer())
    read_all(folder)
    assert same(load(folder), tiny(0))
    assert [path.name for path in tmp_path.iterdir()] == ["a"], "nothing stays behind"
    save(folder, tiny(1))
    assert same(load(folder), tiny(1))


def test_killed_between_the_two_renames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one has gone aside, the new one has not taken its place; and no `finally` runs."""
    folder = whole(tmp_path / "a")
    pid = os.fork() if hasattr(os, "fork") else pytest.skip("needs fork")
    if pid == 0:
        original, calls = Path.rename, []

        def rename(self: Path, target: Path) -> Path:
            calls.append(self)
            if len(calls) == 2:
                os._exit(9)
            return original(self, target)

        Path.rename = rename  # type: ignore[method-assign]
        save(folder, tiny(1))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) in (0, 9)
    assert same(load(folder), tiny(0)) or same(load(folder), tiny(1))
    save(folder, tiny(2))
    assert same(load(folder), tiny(2))
    assert [path.name for path in tmp_path.iterdir()] == ["a"], "nothing stays behind"


def test_a_rename_that_fails_brings_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = whole(tmp_path / "a")
    original = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise OSError("the disk is full")
        return original(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        with pytest.raises(OSError, match="disk is full"):
            save(folder, tiny(1))
    assert folder.exists(), "at once, not when it is looked for"
    assert same(load(folder), tiny(0))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_is_no_checkpoint_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="holds something else than a checkpoint"):
        save(tmp_path, tiny())
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    save(tmp_path / "empty", tiny())
    load(tmp_path / "empty")


# --- what does not fit is refused -----------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_cut_off_files_are_refused(name: str, share: float, tmp_path: Path) -> None:
    file = whole(tmp_path / "a") / name
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match=re.escape(name)):
        read_all(tmp_path / "a")


@pytest.mark.parametrize("name", FILES)
def test_a_single_changed_bit_is_refused(name: str, tmp_path: Path) -> None:
    """At 40 places of every file; the card's own bits as well."""
    file = whole(tmp_path / "a") / name
    content = file.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 40)):
        changed = bytearray(content)
        changed[place] ^= 1 << (place % 7)
        file.write_bytes(changed)
        try:
            read_all(tmp_path / "a")
        except CheckpointError as error:
            assert name in str(error)
        else:
            assert name == "card.json", f"bit {place % 7} of byte {place}"
            assert json.loads(changed) == json.loads(content), "white space at most"
    file.write_bytes(content)
    read_all(tmp_path / "a")


@pytest.mark.parametrize("name", ["model.safetensors", "training.safetensors", "tokenizer.json"])
def test_another_checkpoints_file_is_refused(name: str, tmp_path: Path) -> None:
    whole(tmp_path / "a")
    whole(tmp_path / "b", seed=1)
    if name == "tokenizer.json":
        (tmp_path / "b" / name).write_text(
            (tmp_path / "b" / name).read_text().replace("the", "eht")
        )
    shutil.copy(tmp_path / "b" / name, tmp_path / "a" / name)
    with pytest.raises(CheckpointError, match=rf"{re.escape(name)} .*(sha256|bytes).*again"):
        read_all(tmp_path / "a")


@pytest.mark.parametrize("name", FILES)
def test_missing_files_are_named(name: str, tmp_path: Path) -> None:
    (whole(tmp_path / "a") / name).unlink()
    with pytest.raises(CheckpointError, match=re.escape(name)):
        read_all(tmp_path / "a")


def test_what_was_never_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is no checkpoint: it has no card\.json"):
        load(tmp_path / "nowhere")
    save(tmp_path / "a", tiny())
    with pytest.raises(CheckpointError, match=r"was written without training\.safetensors"):
        load_training(tmp_path / "a")
    with pytest.raises(CheckpointError, match=r"was written without tokenizer\.json"):
        load_tokenizer(tmp_path / "a")


def rewrite(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a card in place, and give it a digest that fits."""
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    del card["sha256"]
    change(card)
    card["sha256"] = checkpoint._digest_of_card(card)
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda card: card.pop("format"), "not the card of a checkpoint of format 1"),
        (lambda card: card.update(format=2), "not the card of a checkpoint of format 1"),
        (lambda card: card["config"].update(depth=3), "describes no model.*depth"),
        (lambda card: card["config"].pop("d_model"), "describes no model"),
        (lambda card: card["config"].update(n_head=3), "describes no model.*divide"),
        (lambda card: card.pop("config"), "describes no model"),
        (lambda card: card.update(config=7), "describes no model"),
        (lambda card: card.pop("files"), "does not say which files"),
        (lambda card: card.update(files=[]), "does not say which files"),
        (lambda card: card.update(files={}), "written without model.safetensors"),
        (lambda card: card["files"].update({"model.safetensors": 3}), "does not say which files"),
        (lambda card: card["files"].update({"model.safetensors": {}}), "does not say which"),
        (lambda card: card["config"].update(d_model="wide"), "describes no model"),
        (lambda card: card["config"].update(d_hidden=99), "shape"),
    ],
)
def test_strange_cards_are_refused(
    change: Callable[[dict[str, Any]], Any], word: str, tmp_path: Path
) -> None:
    folder = save(tmp_path / "a", tiny())
    rewrite(folder, change)
    with pytest.raises(CheckpointError, match=word):
        load(folder)


@pytest.mark.parametrize("content", ["[1, 2]", "7", '{"model_type": "llama"}', "[" * 99_999, "\0"])
def test_what_is_no_card_is_refused(content: str, tmp_path: Path) -> None:
    folder = save(tmp_path / "a", tiny())
    (folder / "card.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"card\.json (is not the card|cannot be read)"):
        load(folder)


def test_a_changed_card_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "a", tiny(), card={"score": 0.5})
    path = folder / "card.json"
    path.write_text(path.read_text().replace("0.5", "0.9"))
    with pytest.raises(CheckpointError, match=r"card\.json was changed after it was written"):
        load(folder)


def test_another_models_weights_are_refused(tmp_path: Path) -> None:
    model = tiny()
    before = {name: x.clone() for name, x in weights_of(model).items()}
    for other, word in (
        (tiny(n_layer=3), r"are for another model; it has blocks\.2\."),
        (tiny(n_layer=1), r"are for another model; it lacks blocks\.1\."),
        (tiny(d_hidden=20), r"has shape \(.*\) in here, the model needs \(.*\)"),
    ):
        with pytest.raises(CheckpointError, match=word):
            load_weights(model, weights_of(other), "here")
        assert all(x.equal(before[name]) for name, x in weights_of(model).items()), "unchanged"


# --- nothing is unpickled -------------------------------------------------------------------------


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.makedirs, (os.environ["TRAP"],))


def test_a_pickle_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even if the card was made to fit it."""
    monkeypatch.setenv("TRAP", str(tmp_path / "sprung"))
    folder = whole(tmp_path / "a")
    for name, read in (("model.safetensors", load), ("training.safetensors", load_training)):
        bomb = tmp_path / "bomb"
        torch.save({"weights": Evil()}, bomb) if name[0] == "m" else bomb.write_bytes(
            pickle.dumps(Evil())
        )
        shutil.copy(bomb, folder / name)
        with pytest.raises(CheckpointError, match=re.escape(name)):
            read(folder)
        known = {"sha256": checkpoint.sha256(bomb), "bytes": bomb.stat().st_size}
        rewrite(folder, lambda card, n=name, k=known: card["files"].update({n: k}))
        with pytest.raises(CheckpointError, match=rf"{re.escape(name)} is no safetensors file"):
            read(folder)
    assert not (tmp_path / "sprung").exists()


FORBIDDEN = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


def unpickles(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] in FORBIDDEN for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        names = {alias.name for alias in node.names}
        return (node.module or "").split(".")[0] in FORBIDDEN or (
            node.module == "torch" and "load" in names
        )
    if isinstance(node, ast.Attribute):  # torch.load
        return node.attr == "load" and isinstance(node.value, ast.Name) and node.value.id == "torch"
    return isinstance(node, ast.keyword) and node.arg == "allow_pickle"


def test_lib_never_unpickles() -> None:
    for bad in ("import pickle", "from torch import load", "torch.load(x)", "f(allow_pickle=1)"):
        assert any(map(unpickles, ast.walk(ast.parse(bad)))), bad
    for path in sorted((ROOT / "lib").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', '')}"
            assert not unpickles(node), place


def test_weights_that_are_not_numbers_of_a_model(tmp_path: Path) -> None:
    """A safetensors file of something else, with a card that fits it."""
    folder = save(tmp_path / "a", tiny())
    file = folder / "model.safetensors"
    save_file({"x": torch.zeros(3)}, file)
    known = {"sha256": checkpoint.sha256(file), "bytes": file.stat().st_size}
    rewrite(folder, lambda card: card["files"].update({"model.safetensors": known}))
    with pytest.raises(CheckpointError, match=r"another model; it lacks .*; it has x besides"):
        load(folder)


# --- a learner's own ------------------------------------------------------------------------------


def test_own_checkpoints_are_kept_in_the_workbook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lib.course import workbook

    monkeypatch.setenv("TOKENS_WORKBOOK", str(tmp_path / "book"))
    assert checkpoint.start_from("mini") == shipped("mini")
    with pytest.raises(CheckpointError, match=r"'assistant' of your own \(there is none yet\)"):
        checkpoint.start_from("assistant", own=True)
    with pytest.raises(CheckpointError, match="no checkpoint 'nobody' comes with the course"):
        checkpoint.start_from("nobody")
    kept = checkpoint.keep("assistant", tiny(1), tokenizer(), {"from": "a lesson"})
    assert kept == checkpoint.start_from("assistant", own=True)
    assert kept.is_relative_to(workbook.folder())
    assert read_card(kept)["from"] == "a lesson"
    half = load_file(kept / "model.safetensors")
    assert {x.dtype for x in half.values()} == {torch.float16}
    for name, x in weights_of(load(kept)).items():
        assert torch.allclose(x, weights_of(tiny(1))[name], atol=1e-3)
    checkpoint.keep("assistant", tiny(2), dtype=None)
    assert weights_of(load(kept))["norm.weight"].equal(weights_of(tiny(2))["norm.weight"])
    with pytest.raises(CheckpointError, match=r"there are: assistant"):
        checkpoint.start_from("other", own=True)
    for name in ("", "../x", "a/b", ".x"):
        with pytest.raises(ValueError, match="expected a name of letters"):
            checkpoint.keep(name, tiny())
    kept.rename(kept.with_name(".assistant.123.old"))  # killed between two names
    assert checkpoint.start_from("assistant", own=True) == kept
