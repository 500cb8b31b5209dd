"""`read_records` and `read_jsonl`: small files of our own in the layouts of the open data sets."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lib.corpora import (
    BadLinesError,
    CorpusError,
    CorpusNotFoundError,
    read,
    read_jsonl,
    read_records,
)
from lib.corpora.quiz import quiz
from lib.corpora.town import arithmetic, preference, telling

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in [("HF_HUB_OFFLINE", "1"), ("HF_DATASETS_OFFLINE", "1")]:
        monkeypatch.setenv(name, value)
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def write(file: Path, rows: list[Any]) -> Path:
    """Rows in the format that the file's name says."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=20)
        return file
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    file.write_bytes(gzip.compress(text) if file.suffix == ".gz" else text)
    return file


KINDS = ["jsonl", "jsonl.gz", "parquet"]
DOLLY = [
    {
        "instruction": f"How many legs have {n} cats?",
        "context": "A cat has four legs.\n" if n % 2 else "",
        "response": f" {4 * n} legs.",
        "category": "closed_qa" if n % 2 else "open_qa",
    }
    for n in range(100)
]
HH = [
    {
        "chosen": f"\n\nHuman: Hello!\n\nAssistant: Good day.\n\nHuman: Add {n} and 1.\n\n"
        f"Assistant: {n + 1}.\n\nThat is all.",
        "rejected": f"\n\nHuman: Hello!\n\nAssistant: Good day.\n\nHuman: Add {n} and 1.\n\n"
        f"Assistant: I had rather not, Human: it is late.",
    }
    for n in range(60)
]
GSM8K = [
    {
        "question": f"Mia sold {2 * n} buns and half as many pies. How many things did she sell?",
        "answer": f"She sold {2 * n}/2 = <<{2 * n}/2={n}>>{n} pies.\nThat is {2 * n}+{n} = "
        f"<<{2 * n}+{n}={3 * n}>>{3 * n} things.\n#### {3 * n:,}",
    }
    for n in range(0, 60_000, 1000)
]

COMMONSENSE = [
    {
        "id": f"{n:04x}",
        "question": f"Where do {n} cats sleep?",
        "question_concept": "cat",
        "choices": {
            "label": ["A", "B", "C", "D", "E"],
            "text": ["in a basket", " on a cloud", "in the sea", f"under {n} stars", "nowhere"],
        },
        "answerKey": "ABCDE"[n % 5],
    }
    for n in range(60)
]


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    message = str(error.value)
    assert message
    assert "\n" not in message
    return message


# --- the open data sets ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_dolly(kind: str, tmp_path: Path) -> None:
    file = write(tmp_path / f"databricks-dolly-15k.{kind}", DOLLY)
    records = read_records("dolly", split="all", path=file)
    everything = list(records)
    assert everything == list(records)  # from the first one every time
    assert everything[2] == {
        "messages": [
            {"role": "user", "content": "How many legs have 2 cats?"},
            {"role": "assistant", "content": "8 legs."},
        ],
        "category": "open_qa",
    }
    asked = everything[3]["messages"][0]["content"]
    assert asked == "How many legs have 3 cats?\n\nA cat has four legs."
    train, held_out = (
        list(read_records("dolly", split=s, path=file)) for s in ("train", "held_out")
    )
    assert len(train) + len(held_out) == len(everything) == 100
    assert 3 < len(held_out) < 20
    assert not [record for record in train if record in held_out]
    folder = list(read_records("dolly", split="held_out", path=tmp_path))
    assert folder == held_out  # the same rows wherever they stand
    assert not records.left_out


@pytest.mark.parametrize("kind", KINDS)
def test_hh_rlhf(kind: str, tmp_path: Path) -> None:
    for number, part in enumerate(("harmless-base", "helpful-base")):
        write(tmp_path / part / f"train.{kind}", HH[20 * number : 20 * number + 15])
        write(tmp_path / part / f"test.{kind}", HH[20 * number + 15 : 20 * number + 20])
    write(tmp_path / "red-team-attempts" / f"red_team_attempts.{kind}", [{"transcript": "x"}])
    records = list(read_records("hh_rlhf", path=tmp_path))
    assert len(records) == 30
    assert records[1] == {
        "prompt": [
            {"role": "user", "content": "Hello!"},
            {"role": "assistant", "content": "Good day."},
            {"role": "user", "content": "Add 1 and 1."},
        ],
        "chosen": "2.\n\nThat is all.",
        "rejected": "I had rather not, Human: it is late.",
    }
    assert len(list(read_records("hh_rlhf", split="held_out", path=tmp_path))) == 10
    helpful = list(read_records("hh_rlhf", "helpful-base", path=tmp_path))
    assert helpful == records[15:]
    assert helpful == list(read_records("hh_rlhf", "helpful-base", path=tmp_path / "helpful-base"))
    with pytest.raises(CorpusNotFoundError, match="no records of the part 'helpful-online'"):
        read_records("hh_rlhf", "helpful-online", path=tmp_path)


def test_hh_rlhf_rows_that_are_no_good(tmp_path: Path) -> None:
    """They are left out and counted, never made up."""
    good = HH[0]

    def row(chosen: str, rejected: str | None = None) -> dict[str, str | None]:
        return {"chosen": chosen, "rejected": rejected}

    bad = [
        row("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: a\n\nAssistant: b"),
        row("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: c\n\nAssistant: d"),
        row("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: a\n\nAssistant:"),
        row("\n\nHuman: a\n\nHuman: b\n\nAssistant: c", "\n\nHuman: a\n\nAssistant: d"),
        row("\n\nHuman: a\n\nAssistant: b\n\nHuman: c", "\n\nHuman: a\n\nAssistant: d"),
        row("Hello there", "\n\nHuman: a\n\nAssistant: d"),
        row("\n\nAssistant: b", "\n\nAssistant: d"),
        row("\n\nHuman: a\n\nAssistant: b", None),
        row("  ", "\n\nHuman: a\n\nAssistant: b"),
    ]
    records = read_records("hh_rlhf", split="all", path=write(tmp_path / "a.jsonl", [*bad, good]))
    assert len(list(records)) == 1
    assert records.left_out == {
        "both replies are the same": 1,
        "the transcripts part before the last reply": 1,
        "somebody says nothing": 1,
        "Human and Assistant do not take turns": 2,
        "a transcript does not end with a reply": 1,
        "a transcript does not begin with 'Human:'": 1,
        "rejected is no text": 1,
        "chosen is empty": 1,
    }
    assert records.left_out.total() == len(bad)
    with pytest.raises(CorpusError, match=r"holds no records: both replies are the same \(1 times"):
        read_records("hh_rlhf", split="all", path=write(tmp_path / "b.jsonl", bad[:1]))


@pytest.mark.parametrize("kind", KINDS)
def test_gsm8k(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "main" / f"train-00000-of-00001.{kind}", GSM8K[:50])
    write(tmp_path / "main" / f"test-00000-of-00001.{kind}", GSM8K[50:])
    write(tmp_path / "socratic" / f"train-00000-of-00001.{kind}", GSM8K)
    records = list(read_records("gsm8k", path=tmp_path))
    assert len(records) == 50
    assert records[1] == {
        "question": "Mia sold 2000 buns and half as many pies. How many things did she sell?",
        "steps": "She sold 2000/2 = 1000 pies.\nThat is 2000+1000 = 3000 things.",
        "answer": "3000",
    }
    assert len(list(read_records("gsm8k", split="held_out", path=tmp_path))) == 10
    assert len(list(read_records("gsm8k", split="all", path=tmp_path, size=55))) == 55
    bad = [{"question": "How many?", "answer": "Seven."}, {"question": "", "answer": "#### 7"}]
    some = read_records("gsm8k", split="all", path=write(tmp_path / "b.jsonl", [*bad, GSM8K[0]]))
    assert [record["answer"] for record in some] == ["0"]
    assert some.left_out == {"the solution has no '#### answer'": 1, "question is empty": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_commonsense_qa(kind: str, tmp_path: Path) -> None:
    without_answers = [{**row, "answerKey": ""} for row in COMMONSENSE[:5]]
    write(tmp_path / "data" / f"train-00000-of-00001.{kind}", COMMONSENSE[:50])
    write(tmp_path / "data" / f"validation-00000-of-00001.{kind}", COMMONSENSE[50:])
    write(tmp_path / "data" / f"test-00000-of-00001.{kind}", without_answers)
    records = read_records("commonsense_qa", path=tmp_path)
    assert len(list(records)) == 50
    assert not records.left_out
    assert list(records)[3] == {
        "question": "Where do 3 cats sleep?",
        "options": ["in a basket", "on a cloud", "in the sea", "under 3 stars", "nowhere"],
        "right": 3,
        "answer": "under 3 stars",
    }
    held_out = list(read_records("commonsense_qa", split="held_out", path=tmp_path))
    assert [record["right"] for record in held_out] == [0, 1, 2, 3, 4] * 2
    assert len(list(read_records("commonsense_qa", split="all", path=tmp_path))) == 60


def test_commonsense_qa_rows_that_are_no_good(tmp_path: Path) -> None:
    good = COMMONSENSE[0]
    backwards = {"label": ["B", "A"], "text": ["a mat", "a hat"]}
    bad = [
        {**good, "answerKey": ""},
        {**good, "answerKey": "F"},
        {**good, "choices": "A or B"},
        {**good, "choices": {"label": ["A", "A"], "text": ["a", "b"]}},
        {**good, "choices": {"label": ["A", "B"], "text": ["a", "b", "c"]}},
        {**good, "question": None},
    ]
    file = write(tmp_path / "a.jsonl", [*bad, {**good, "choices": backwards}])
    records = read_records("commonsense_qa", split="all", path=file)
    assert [(r["options"], r["right"]) for r in records] == [(["a hat", "a mat"], 0)]
    assert records.left_out == {
        "answerKey is empty": 1,
        "the answer is none of the options": 1,
        "choices are no labels and texts": 1,
        "there is not one label for each of two options at least": 2,
        "question is no text": 1,
    }


def test_the_quiz() -> None:
    for split, wanted in [("train", 7), ("held_out", 7), ("all", 20)]:
        records = read_records("quiz", split=split, size=wanted, seed=3)
        everything = list(records)
        assert len(everything) == wanted
        assert everything == list(records)
    of = [quiz(0, "train", 3), quiz(17, "train", 3), quiz(1, "held_out", 3)]
    for record, made in zip([everything[0], everything[18], everything[19]], of):
        assert record["story"] == made.story
        assert record["options"][record["right"]] == record["answer"] == made.answer
        assert record["reasons"] == list(made.reasons)
        assert record["kind"] == made.kind
    with pytest.raises(CorpusError, match="has no parts"):
        read_records("quiz", "holder")


def test_held_out_is_a_word_of_its_own(tmp_path: Path) -> None:
    write(
        tmp_path / "test" / "latest.jsonl", GSM8K
    )  # a folder's name says nothing, nor half a word
    train, held_out = (
        list(read_records("gsm8k", split=s, path=tmp_path / "test")) for s in ("train", "held_out")
    )
    assert len(train) + len(held_out) == 60
    assert len(train) > len(held_out) > 0


def test_wrong_requests(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", DOLLY)

    def fails(says: str, *args: Any, kind: type[CorpusError] = CorpusError, **rest: Any) -> None:
        with pytest.raises(kind, match=says) as error:
            read_records(*args, **rest)
        one_line(error)

    fails("there are no records 'alpaca'; there are: town, quiz, dolly, hh_rlhf,", "alpaca")
    fails("'dolly' has no part 'main'; it has no parts", "dolly", "main", path=file)
    fails("it has: helpful-base,", "hh_rlhf", "red-team-attempts", path=file)
    fails("split is one of 'train', 'held_out', 'all', got 'test'", "dolly", split="test")
    for size in (0, -1, 2.5, True, "7"):
        fails("size is a number of records, at least 1, got", "dolly", path=file, size=size)
    fails("there is no file or folder", "dolly", path=tmp_path / "x", kind=CorpusNotFoundError)
    (tmp_path / "empty").mkdir()
    fails("holds no records: expected files", "dolly", path=tmp_path / "empty",
          kind=CorpusNotFoundError)  # fmt: skip
    (tmp_path / "a.txt").write_text("x")
    fails("holds no records: expected files of the kinds .parquet, .jsonl, .jsonl.gz", "dolly",
          path=tmp_path / "a.txt", kind=CorpusNotFoundError)  # fmt: skip
    fails("row 1 of .* has no 'question': expected the columns question, answer", "gsm8k",
          path=file, split="all")  # fmt: skip
    (tmp_path / "b.jsonl").write_text('{"instruction": "x"')
    fails(r"line 1 of .*b\.jsonl is no JSON object", "dolly", path=tmp_path / "b.jsonl")
    for damaged in (b"no gzip", gzip.compress(b"{}\n" * 9999)[:-20]):
        (tmp_path / "c.jsonl.gz").write_bytes(damaged)
        fails("is damaged, or not compressed by gzip|has no 'instruction'", "dolly",
              path=tmp_path / "c.jsonl.gz", split="all")  # fmt: skip
    (tmp_path / "d.parquet").write_bytes(b"PAR1 and no more")
    fails(r"d\.parquet is damaged, or no Parquet file", "dolly", path=tmp_path / "d.parquet")


# --- the hub, in the hands of a stand-in ---------------------------------------------------


def test_the_hub_is_streamed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets

    real = datasets.load_dataset
    rows = {
        "databricks/databricks-dolly-15k": DOLLY,
        "Anthropic/hh-rlhf": HH,
        "openai/gsm8k": GSM8K,
        "tau/commonsense_qa": COMMONSENSE,
    }
    files = {name: write(tmp_path / f"{n}.parquet", some) for n, (name, some) in
             enumerate(rows.items())}  # fmt: skip
    calls: list[tuple[Any, ...]] = []

    def load_dataset(
        name: str, subset: str | None, *, data_dir: str | None, split: str, streaming: bool
    ) -> Any:
        calls.append((name, subset, data_dir, split, streaming))
        file = str(files[name])
        return real("parquet", data_files=file, split="train", streaming=streaming)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    for name, rows_of_it in (("dolly", DOLLY), ("hh_rlhf", HH), ("gsm8k", GSM8K),
                             ("commonsense_qa", COMMONSENSE)):  # fmt: skip
        n = {"dolly": len(rows_of_it)}.get(name, 2 * len(rows_of_it))
        assert len(list(read_records(name, split="all"))) == n
    assert set(calls) == {
        ("databricks/databricks-dolly-15k", None, None, "train", True),
        ("Anthropic/hh-rlhf", None, None, "train", True),
        ("Anthropic/hh-rlhf", None, None, "test", True),
        ("openai/gsm8k", "main", None, "train", True),
        ("openai/gsm8k", "main", None, "test", True),
        ("tau/commonsense_qa", None, None, "train", True),
        ("tau/commonsense_qa", None, None, "validation", True),
    }
    calls.clear()
    records = read_records("hh_rlhf", "harmless-base", "held_out", size=3)
    assert len(list(records)) == 3
    assert repr(records) == "Records(hh_rlhf, harmless-base, held_out: at most 3)"
    assert set(calls) == {("Anthropic/hh-rlhf", None, "harmless-base", "test", True)}


def test_a_broken_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def rows() -> Iterator[dict[str, str]]:
        yield from GSM8K[:2]
        raise ConnectionError("the line is\ndead")

    stream = datasets.IterableDataset.from_generator(rows)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: stream)
    assert len(list(read_records("gsm8k", size=2))) == 2
    with pytest.raises(CorpusError, match=r"broke off after 2 rows \(Conn") as error:
        list(read_records("gsm8k"))
    one_line(error)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(CorpusError, match="pip install datasets"):
        read_records("dolly")
    assert (
        len(list(read_records("gsm8k", split="all", path=write(tmp_path / "a.jsonl", GSM8K)))) == 60
    )


def test_offline(tmp_path: Path) -> None:
    """Nothing is patched here: the package itself is told that there is no network."""
    code = (
        "from lib.corpora import read_records\n"
        "import sys\n"
        "print('datasets' in sys.modules)\n"
        "for name in ('dolly', 'hh_rlhf', 'gsm8k'):\n"
        "    try:\n"
        "        read_records(name)\n"
        "    except ValueError as error:\n"
        "        print(type(error).__name__, error)\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    environment["HF_HOME"] = str(tmp_path / "home")
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    imported, *lines = run.stdout.splitlines()
    assert imported == "False"  # not before it is needed
    names = ("databricks/databricks-dolly-15k", "Anthropic/hh-rlhf", "openai/gsm8k")
    assert len(lines) == 3
    for line, name in zip(lines, names):
        assert line.startswith(f"CorpusError {name} on the hub is out of reach (")
        assert "the path of a copy" in line


# --- the town -------------------------------------------------------------------------------------


def test_the_towns_records() -> None:
    pairs = list(read_records("town", "preferences", "held_out", size=5, seed=2))
    assert [pair["chosen"] for pair in pairs] == [
        preference(i, "held_out", seed=2).chosen for i in range(5)
    ]
    assert list(read_records("town", "tellings", size=3)) == [
        {"messages": telling(i)} for i in range(3)
    ]
    for split in ("train", "held_out", "all"):
        sums = list(read_records("town", "worked_arithmetic", split, size=20, seed=1))
        for record, text in zip(sums, read("town", "worked_arithmetic", split, size=20, seed=1)):
            assert text == (
                f"Question: {record['question']}\nSteps: {record['steps']}\n"
                f"Answer: {record['answer']}"
            )
    assert sums[9]["answer"] == str(arithmetic(0, "held_out", 1).answer)
    with pytest.raises(CorpusError, match="plain text: open it with read"):
        read_records("town", "stories")
    with pytest.raises(CorpusError, match="the town has no part None; it has: stories"):
        read_records("town")
    with pytest.raises(CorpusError, match="takes no path"):
        read_records("town", "preferences", path="x")


# --- a learner's own lines ------------------------------------------------------------------------


def user(text: str = "a") -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str = "b") -> dict[str, str]:
    return {"role": "assistant", "content": text}


CALL = {"role": "assistant", "content": "", "tool_calls": [{"name": "add"}]}
TOOL = {"role": "tool", "content": "7"}
SYSTEM = {"role": "system", "content": "Be brief."}


def test_good_lines(tmp_path: Path) -> None:
    chats = [
        {"messages": [user(), assistant()]},
        {"messages": [SYSTEM, user("é\u2028ü"), assistant(), user(), assistant()], "topic": "x"},
        {"messages": [user(), CALL, TOOL, TOOL, assistant()]},
        {"messages": [user(), CALL]},
        {"messages": [user(), {**assistant(), "reasoning_content": "Hm."}]},
    ]
    for name in ("a.jsonl", "a.jsonl.gz", "any name"):
        assert read_jsonl(write(tmp_path / name, chats)) == (chats, [])
    pairs = [
        {"prompt": "a", "chosen": "b", "rejected": "c", "id": 7},
        {"prompt": [SYSTEM, user("a")], "chosen": [assistant("b")], "rejected": [assistant("c")]},
    ]
    records, _ = read_jsonl(write(tmp_path / "b.jsonl", pairs), "preference")
    assert records == [
        {"prompt": [user("a")], "chosen": "b", "rejected": "c", "id": 7},
        {"prompt": [SYSTEM, user("a")], "chosen": "b", "rejected": "c"},
    ]
    answers = [{"prompt": "a", "answer": "b", "level": 1}]
    records, _ = read_jsonl(write(tmp_path / "c.jsonl", answers), "prompt_answer")
    assert records == [{"messages": [user("a"), assistant("b")], "level": 1}]


def test_what_the_town_gives_is_good(tmp_path: Path) -> None:
    for part, kind in (("preferences", "preference"), ("tellings", "chat")):
        lines = list(read("town", part=part, size=30))
        file = tmp_path / f"{part}.jsonl"
        file.write_text("\n".join(lines), encoding="utf-8")
        assert read_jsonl(file, kind)[0] == [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"messages": [', "no JSON: Expecting value at column 15"),
        ("hello", "no JSON: Expecting value at column 1"),
        ('{"messages": []} {}', "no JSON: Extra data at column 18"),
        (b'{"messages": "caf\xe9"}', "byte 18 is not UTF-8: save the file as UTF-8"),
        ("17", "expected a JSON object, {...}, got a number"),
        ("null", "expected a JSON object, {...}, got null"),
        ("[" * 100_000, "the file is one JSON list"),
        ('{"a": ' * 100_000, "no JSON: "),
        ('{"messages": [], "messages": []}', "the key 'messages' stands twice"),
        ({"prompt": "a", "answer": "b"}, "the key 'messages' is missing; there are: 'pr"),
        ({}, "the key 'messages' is missing; there are: none"),
        ({"messages": "a"}, "messages is a list of messages, got a text"),
        ({"messages": []}, "messages is an empty list"),
        ({"messages": ["a"]}, "message 1 is an object, got a text"),
        ({"messages": [{"content": "a"}]}, "message 1: the key 'role' is missing"),
        ({"messages": [user(), {"role": "assistant"}]}, "message 2: the key 'content' is missing"),
        ({"messages": [{"role": "human", "content": "a"}]}, "message 1 has the role 'human'"),
        ({"messages": [{"role": ["user"], "content": "a"}]}, "message 1 has the role ['user']"),
        ({"messages": [assistant(), user()]}, "message 1 of the role 'assistant' stands first"),
        ({"messages": [user(), user(), assistant()]},
         "message 2 of the role 'user' follows 'user'; expected assistant"),
        ({"messages": [user(), assistant(), assistant()]},
         "message 3 of the role 'assistant' follows 'assistant'; expected user"),
        ({"messages": [user(), SYSTEM, assistant()]}, "message 2 of the role 'system' follows"),
        ({"messages": [SYSTEM, assistant()]}, "message 2 of the role 'assistant' follows 'system'"),
        ({"messages": [user(), TOOL, assistant()]}, "message 2 of the role 'tool' follows 'user'"),
        ({"messages": [user(), CALL, user()]},
         "message 3 of the role 'user' follows a tool call; expected tool"),
        ({"messages": [user(), assistant(), user()]}, "messages ends with 'user'; expected assist"),
        ({"messages": [SYSTEM]}, "messages ends with 'system'; expected assistant or a tool call"),
        ({"messages": [user(), assistant("")]}, "message 2: content is empty"),
        ({"messages": [user(" \n"), assistant()]}, "message 1: content is empty"),
        ({"messages": [user(), {"role": "assistant", "content": None}]},
         "message 2: content is a text, got null"),
        ({"messages": [user(), {"role": "assistant", "content": 7}]},
         "message 2: content is a text, got a number"),
        ({"messages": [user("\ud83d"), assistant()]}, "message 1: content holds half a character"),
        ({"messages": [user(), {**assistant(), "reasoning_content": ""}]},
         "message 2: reasoning_content is empty"),
        ({"messages": [{**user(), "tool_calls": []}, assistant()]}, "message 1: tool_calls is a l"),
    ],
)  # fmt: skip
def test_bad_chats(line: Any, reason: str, tmp_path: Path) -> None:
    check("chat", {"messages": [user(), assistant()]}, line, reason, tmp_path)


PAIR = {"prompt": "a", "chosen": "b", "rejected": "c"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"prompt": "a", "chosen": "b"}, "the key 'rejected' is missing"),
        ({**PAIR, "prompt": ""}, "prompt is empty"),
        ({**PAIR, "prompt": 7}, "prompt is a list of messages, got a number"),
        ({**PAIR, "prompt": [user(), assistant()]}, "prompt ends with 'assistant'; expected user"),
        ({**PAIR, "chosen": "c"}, "chosen and rejected are the same"),
        ({**PAIR, "chosen": " "}, "chosen is empty"),
        ({**PAIR, "rejected": None}, "rejected is a text, got null"),
        ({**PAIR, "rejected": [user(), assistant()]}, "rejected is a text, or a list of one"),
        ({**PAIR, "rejected": [{"role": "assistant"}]}, "rejected: the key 'content' is missing"),
    ],
)
def test_bad_pairs(line: Any, reason: str, tmp_path: Path) -> None:
    check("preference", PAIR, line, reason, tmp_path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            {"prompt": "a", "completion": "b"},
            "the key 'answer' is missing; there are: 'p",
        ),
        ({"prompt": "a", "answer": ["b"]}, "answer is a text, got a list"),
        ({"prompt": True, "answer": "b"}, "prompt is a text, got true or false"),
        ({"prompt": {}, "answer": "b"}, "prompt is a text, got an object"),
    ],
)
def test_bad_answers(line: Any, reason: str, tmp_path: Path) -> None:
    check("prompt_answer", {"prompt": "a", "answer": "b"}, line, reason, tmp_path)


def check(kind: str, good: Any, line: Any, reason: str, tmp_path: Path) -> None:
    """The bad line stands between good ones, which stay good."""
    file = tmp_path / "own.jsonl"
    raw = line if isinstance(line, bytes) else line.encode() if isinstance(line, str) else b""
    raw = raw or json.dumps(line).encode()
    fine = json.dumps(good).encode()
    whole = reason.startswith("the file")
    file.write_bytes(b"\xef\xbb\xbf" + (b"" if whole else fine + b"\r\n\r\n") + raw + b"\n" + fine)
    records, problems = read_jsonl(file, kind, strict=False)
    assert len(records) == (0 if whole else 2)
    assert len(problems) == 1
    assert problems[0].number == (1 if whole else 3)
    assert problems[0].reason.startswith(reason)
    assert "\n" not in str(problems[0])
    with pytest.raises(BadLinesError) as error:
        read_jsonl(file, kind)
    assert isinstance(error.value, ValueError)
    assert error.value.problems == problems
    assert f"line {problems[0].number}: {reason}" in str(error.value)


def test_all_bad_lines_are_named(tmp_path: Path) -> None:
    good = json.dumps({"messages": [user(), assistant()]})
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join([good, "bad"] * 25))
    with pytest.raises(BadLinesError) as error:
        read_jsonl(file)
    lines = str(error.value).splitlines()
    assert lines[0] == (
        f"25 bad lines in {file}, 25 good: mend them, or go on without them by strict=False"
    )
    assert lines[1] == "  line 2: no JSON: Expecting value at column 1 | bad"
    assert len(lines) == 12
    assert lines[-1] == "  ... and 15 more"
    records, problems = read_jsonl(file, strict=False)
    assert len(records) == 25
    assert [problem.number for problem in problems] == list(range(2, 51, 2))
    assert problems == error.value.problems


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def fails(says: str, path: Path, kind: str = "chat") -> None:
        with pytest.raises(CorpusError, match=says) as error:
            read_jsonl(path, kind)
        one_line(error)

    fails("there is no file", tmp_path / "nowhere")
    fails("there is no file", tmp_path)
    (tmp_path / "a").write_text("\n \n")
    fails("is empty: expected one JSON object a line", tmp_path / "a")
    fails(
        "kind is one of 'chat', 'preference', 'prompt_answer', got 'chats'", tmp_path / "a", "chats"
    )
    (tmp_path / "a.gz").write_bytes(b"no gzip")
    fails("is damaged, or not compressed by gzip", tmp_path / "a.gz")
    (tmp_path / "b").write_bytes('{"messages": []}'.encode("utf-16"))
    with pytest.raises(BadLinesError, match="the file is UTF-16: save it as UTF-8"):
        read_jsonl(tmp_path / "b")
