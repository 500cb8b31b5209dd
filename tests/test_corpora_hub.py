"""The corpus "hub": streams, from small files on the disk; the network is never asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lib.corpora import read
from lib.corpora._base import CorpusError, CorpusNotFoundError, is_held_out
from lib.corpora._hub import END, PARTS, StreamedCorpus, open_hub

ROOT = Path(__file__).parents[1]
STORIES = [f"Once there was a cat.\n\nIt had {n} mice." for n in range(200)]
ROWS = [{"text": text, "id": f"<urn:{n}>", "score": 3.5} for n, text in enumerate(STORIES)]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in [("HF_HUB_OFFLINE", "1"), ("HF_DATASETS_OFFLINE", "1")]:
        monkeypatch.setenv(name, value)
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows in the format that the file's name says."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=50)
    elif file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        file.write_text(f"\n{END}\n".join(row["text"] for row in rows) + f"\n{END}\n")
    return file


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    message = str(error.value)
    assert message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "txt"])
def test_a_file_is_streamed(kind: str, tmp_path: Path) -> None:
    file = write(tmp_path / f"copy.{kind}", ROWS)
    corpus = open_hub("fineweb_edu", "all", file)
    assert list(corpus) == STORIES
    assert list(corpus) == STORIES  # from the first one every time
    assert corpus.text(limit=30) == STORIES[0][:30]
    split = {split: list(open_hub("fineweb_edu", split, file)) for split in ("train", "held_out")}
    assert sorted(split["train"] + split["held_out"]) == sorted(STORIES)
    assert 5 < len(split["held_out"]) < 40
    keys = STORIES if kind == "txt" else [row["id"] for row in ROWS]
    assert split["held_out"] == [t for t, key in zip(STORIES, keys) if is_held_out(key)]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == [file.name]


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "txt"])
def test_a_folder_in_the_layout_of_tinystories(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "data" / f"train-00000-of-00002.{kind}", ROWS[:60])
    write(tmp_path / "data" / f"train-00001-of-00002.{kind}", ROWS[60:180])
    write(tmp_path / "data" / f"validation-00000-of-00001.{kind}", ROWS[180:])
    (tmp_path / "README.md").write_text("a card")
    (tmp_path / ".hidden.txt").write_text("no")
    assert list(open_hub("tinystories", "train", tmp_path)) == STORIES[:180]
    assert list(open_hub("tinystories", "held_out", str(tmp_path))) == STORIES[180:]
    assert list(open_hub("tinystories", "all", tmp_path)) == STORIES


def test_a_folder_without_validation_holds_one_in_ten_out(tmp_path: Path) -> None:
    write(tmp_path / "sample" / "10BT" / "000_00000.parquet", ROWS[:100])
    write(tmp_path / "sample" / "10BT" / "001_00000.parquet", ROWS[100:])
    train, held_out = (list(open_hub("fineweb_edu", s, tmp_path)) for s in ("train", "held_out"))
    assert len(train) + len(held_out) == 200
    assert held_out == [row["text"] for row in ROWS if is_held_out(str(row["id"]))]


def test_size_and_card(tmp_path: Path) -> None:
    file = write(tmp_path / "copy.jsonl", ROWS)
    corpus = open_hub("tinystories", "train", file, size=7)
    train = [row["text"] for row in ROWS if not is_held_out(str(row["id"]))]
    assert list(corpus) == train[:7]
    assert corpus.card() == {
        "name": "hub",
        "part": "tinystories",
        "split": "train",
        "origin": f"the copy in {file}",
        "documents": 7,
        "bytes": sum(map(len, train[:7])),
    }
    assert repr(corpus) == "Corpus(hub, tinystories, train: at most 7 documents)"
    whole = open_hub("tinystories", "train", file)
    assert repr(whole) == "Corpus(hub, tinystories, train: streamed)"
    assert set(whole.card()) == {"name", "part", "split", "origin"}  # counting takes hours
    with pytest.raises(TypeError, match="has no length"):
        len(whole)
    assert whole
    for size in (0, -1, 2.5, True, "7"):
        with pytest.raises(CorpusError, match="a number of documents, at least 1, got") as error:
            open_hub("tinystories", "train", file, size=size)  # type: ignore[arg-type]
        one_line(error)


def test_text_files(tmp_path: Path) -> None:
    file = tmp_path / "stories.txt"
    file.write_bytes(
        f"\ufeffOne\r\nmore\r\n{END}\r\n\r\nTwo{END}Three{END}{END} \n\nFour é".encode()
    )
    assert list(open_hub("tinystories", "all", file)) == [
        "One\nmore",
        "Two",
        "Three",
        " \n\nFour é",
    ]


def test_empty_documents_are_left_out(tmp_path: Path) -> None:
    file = write(tmp_path / "copy.jsonl", [{"text": ""}, {"text": " \n"}, {"text": "a"}])
    file.write_text(file.read_text() + "\n")
    assert list(open_hub("tinystories", "all", file)) == ["a"]


def test_memory_stays_small(tmp_path: Path) -> None:
    """10 MB of text pass in less than 2 MB."""
    rows = [{"text": f"{n} " + "word " * 2000} for n in range(1000)]
    for kind in ("jsonl", "txt"):
        file = write(tmp_path / f"large.{kind}", rows)
        tracemalloc.start()
        assert sum(len(text) for text in open_hub("tinystories", "all", file)) > 9_900_000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2_000_000


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def fails(path: Path, says: str, kind: type[CorpusError] = CorpusError) -> None:
        with pytest.raises(kind, match=says) as error:
            open_hub("tinystories", "all", path)
        one_line(error)

    fails(tmp_path / "nowhere", "there is no file or folder", CorpusNotFoundError)
    (tmp_path / "empty").mkdir()
    fails(tmp_path / "empty", "holds no documents: expected files", CorpusNotFoundError)
    (tmp_path / "data.csv").write_text("a,b")
    fails(tmp_path / "data.csv", "holds no documents", CorpusNotFoundError)
    (tmp_path / "a.jsonl").write_text("")
    fails(tmp_path / "a.jsonl", "the split 'all' of the copy .* is empty")
    (tmp_path / "a.jsonl").write_text('{"text": "x"')
    fails(tmp_path / "a.jsonl", r"line 1 of .*a\.jsonl is no JSON object, or only a part")
    (tmp_path / "a.jsonl").write_text('["text"]\n')
    fails(tmp_path / "a.jsonl", r"line 1 of .*a\.jsonl is no JSON object")
    (tmp_path / "a.jsonl").write_text('{"story": "x"}\n')
    fails(tmp_path / "a.jsonl", "document 1 of the copy .* has no text: expected a column 'text'")
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    fails(tmp_path / "a.txt", "is not UTF-8")
    whole = write(tmp_path / "a.parquet", ROWS).read_bytes()
    for cut in (whole[:-10], whole[: len(whole) // 2], b""):
        (tmp_path / "a.parquet").write_bytes(cut)
        fails(tmp_path / "a.parquet", r"a\.parquet is damaged, or no Parquet file")
    (tmp_path / "folder").mkdir()
    write(tmp_path / "folder" / "validation.jsonl", ROWS)
    with pytest.raises(CorpusError, match=r"the split 'train' .* is empty"):
        open_hub("tinystories", "train", tmp_path / "folder")


def test_a_bad_line_far_down(tmp_path: Path) -> None:
    """What is read before it is good; then comes one line that says where it stands."""
    file = write(tmp_path / "copy.jsonl", ROWS)
    with file.open("a") as stream:
        stream.write('{"text": "cut sho')
    documents = iter(open_hub("tinystories", "all", file))
    assert list(islice(documents, 200)) == STORIES
    with pytest.raises(CorpusError, match="line 201 of"):
        next(documents)


# --- the hub itself, in the hands of a stand-in ---------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Any, ...]]:
    """`datasets` streams our files in place of the hub's; what was asked of it."""
    import datasets

    real = datasets.load_dataset
    train = write(tmp_path / "hub" / "train.parquet", ROWS[:150])
    validation = write(tmp_path / "hub" / "validation.parquet", ROWS[150:])
    calls: list[tuple[Any, ...]] = []

    def load_dataset(name: str, subset: str | None, split: str, streaming: bool) -> Any:
        calls.append((name, subset, split, streaming))
        file = {"train": train, "validation": validation}[split]
        return real("parquet", data_files=str(file), split="train", streaming=streaming)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return calls


def test_tinystories_has_its_own_validation(asked: list[tuple[Any, ...]]) -> None:
    assert list(open_hub("tinystories", "train")) == STORIES[:150]
    assert list(open_hub("tinystories", "held_out")) == STORIES[150:]
    assert list(open_hub("tinystories", "all")) == STORIES
    assert {call[:2] for call in asked} == {("roneneldan/TinyStories", None)}
    assert {call[2] for call in asked} == {"train", "validation"}
    assert all(call[3] for call in asked)  # streamed, never fetched whole


def test_fineweb_edu_holds_one_in_ten_out(asked: list[tuple[Any, ...]]) -> None:
    train, held_out = (list(open_hub("fineweb_edu", s)) for s in ("train", "held_out"))
    assert len(train) + len(held_out) == 150
    assert held_out == [row["text"] for row in ROWS[:150] if is_held_out(str(row["id"]))]
    assert set(asked) == {("HuggingFaceFW/fineweb-edu", "sample-10BT", "train", True)}
    assert PARTS == ("tinystories", "fineweb_edu")


def test_only_what_is_read_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def rows() -> Iterator[dict[str, str]]:
        yield {"text": "first", "id": "1"}
        yield {"text": "second", "id": "2"}
        raise ConnectionError("the line is\ndead")

    stream = datasets.IterableDataset.from_generator(rows)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: stream)
    corpus = open_hub("fineweb_edu", "all")
    assert list(islice(corpus, 2)) == ["first", "second"]
    assert list(open_hub("fineweb_edu", "all", size=2)) == ["first", "second"]
    with pytest.raises(CorpusError, match=r"broke off after 2 documents \(Conn") as error:
        list(corpus)
    one_line(error)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    for path in (None, write(tmp_path / "a.parquet", ROWS)):
        with pytest.raises(CorpusError, match="pip install datasets") as error:
            open_hub("tinystories", "train", path)
        one_line(error)
    # Text and JSON lines do not need it.
    assert list(open_hub("tinystories", "all", write(tmp_path / "a.txt", ROWS))) == STORIES
    assert list(open_hub("tinystories", "all", write(tmp_path / "a.jsonl", ROWS))) == STORIES


def test_offline(tmp_path: Path) -> None:
    """Nothing is patched here: the package itself is told that there is no network."""
    code = (
        "from lib.corpora._hub import PARTS, open_hub\n"
        "import sys\n"
        "print('datasets' in sys.modules)\n"
        "for part in PARTS:\n"
        "    try:\n"
        "        open_hub(part, 'train')\n"
        "    except ValueError as error:\n"
        "        print(type(error).__name__, error)\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    environment["HF_HOME"] = str(tmp_path / "home")
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    imported, first, second = run.stdout.splitlines()
    assert imported == "False"  # not before it is needed
    assert first.startswith("CorpusError roneneldan/TinyStories on the hub is out of reach (")
    assert second.startswith("CorpusError HuggingFaceFW/fineweb-edu on the hub is out of reach (")
    assert "go online" in first
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == []


def test_it_is_read_like_any_corpus(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", ROWS)
    corpus = read("hub", split="held_out", path=file)
    assert isinstance(corpus, StreamedCorpus)
    assert list(corpus) == list(open_hub("tinystories", "held_out", file))
    assert len(list(read("hub", "fineweb_edu", path=file, size=5))) == 5
    with pytest.raises(CorpusError, match="it has: tinystories, fineweb_edu"):
        read("hub", "dolly", path=file)
    assert (corpus.name, corpus.part, corpus.split) == ("hub", "tinystories", "held_out")
    assert corpus.text() == "\n\n".join(corpus)
