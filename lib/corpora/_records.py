"""Records: conversations, preferences and problems, one dict each, from the town or from the hub.

Open data sets that models learn to answer from: Dolly (Databricks 2023), 15,000 instructions with
answers that people wrote; HH-RLHF (Bai et al. 2022, arXiv 2204.05862), pairs of replies, of which
people preferred one; GSM8K (Cobbe et al. 2021, arXiv 2110.14168), word problems with worked
solutions; CommonsenseQA (Talmor et al. 2018, arXiv 1811.00937), multiple choice. Each is streamed
through `datasets`, or read from a copy; out come the same records as from the town.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from lib.corpora import _hub, town
from lib.corpora._base import SPLITS, CorpusError, CorpusNotFoundError, Request, is_held_out
from lib.corpora._record_sources import SOURCES, Record, Source, Unfit
from lib.corpora._town_sums import arithmetic
from lib.corpora.quiz import quiz

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz")


class Records:
    """Records, one by one; iterating starts from the first one every time.

    Attributes:
        name: where they come from, "gsm8k" for instance.
        part: which part of it; empty if it has none.
        split: "train", "held_out" or "all".
        origin: where they come from, in words.
        left_out: how many rows of the latest pass made no record, by reason.
    """

    def __init__(
        self, name: str, part: str, split: str, origin: str, rows: Callable[[], Iterator[Any]],
        record: Callable[[Any], Record], size: int | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            name: as the attribute.
            part: as the attribute.
            split: as the attribute.
            origin: as the attribute.
            rows: starts a stream of the rows of this split.
            record: makes a record of a row, or raises `Unfit`.
            size: stop after so many records.

        Raises:
            CorpusError: there is no record, or the first one cannot be read.
        """
        self.name, self.part, self.split, self.origin = name, part, split, origin
        self.left_out: Counter[str] = Counter()
        self._rows, self._record, self._size = rows, record, size
        if next(iter(self), None) is None:
            why = "; ".join(f"{reason} ({n} times)" for reason, n in self.left_out.most_common(2))
            raise CorpusError(
                f"the split {split!r} of {origin} holds no records{': ' if why else ''}{why}: give "
                "more of them, or read split='all'"
            )

    def __iter__(self) -> Iterator[Record]:
        return islice(self._records(), self._size)

    def _records(self) -> Iterator[Record]:
        self.left_out.clear()
        n_read = 0
        rows = self._rows()
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except CorpusError:
                raise
            except Exception as error:  # each network and file library has errors of its own
                reason = f"{type(error).__name__}: {error}"[:200]
                raise CorpusError(
                    f"{self.origin} broke off after {n_read} rows ({reason}): go online and start "
                    "again, or give the path of a copy that you have"
                ) from None
            n_read += 1
            try:
                record = self._record(row)
            except Unfit as unfit:
                self.left_out[str(unfit)] += 1
                continue
            yield record

    def __repr__(self) -> str:
        part = f", {self.part}" if self.part else ""
        most = "" if self._size is None else f": at most {self._size}"
        return f"Records({self.name}{part}, {self.split}{most})"


def read_records(
    name: str,
    part: str | None = None,
    split: str = "train",
    path: str | Path | None = None,
    *,
    size: int | None = None,
    seed: int = 0,
) -> Records:
    """Open conversations, preferences or problems.

    | name             | part            | a record                                                |
    |------------------|-----------------|---------------------------------------------------------|
    | "town"           | as in `read`    | of the parts whose documents are JSON, and of the sums  |
    | "quiz"           |                 | {"story", "question", "options", "right", "reasons", …} |
    | "dolly"          |                 | {"messages", "category"}: an instruction and its answer |
    | "hh_rlhf"        | "helpful-base"… | {"prompt", "chosen", "rejected"}: messages, two replies |
    | "gsm8k"          |                 | {"question", "steps", "answer"}: three texts            |
    | "commonsense_qa" |                 | {"question", "options", "right", "answer"}              |

    Args:
        name: where they come from.
        part: which part of it. Left out, all of "hh_rlhf"; the town needs one.
        split: "train", "held_out" or "all". HH-RLHF, GSM8K and CommonsenseQA come with a test or
            validation split, which is held out; of Dolly one row in ten is, by its text.
        path: a copy that you have, in the layout of the data set: a file (JSON lines, also
            compressed by gzip, or Parquet), or a folder of such files.
        size: how many records at most; for the town and its quiz exactly so many.
        seed: for the town and its quiz, which records.

    Returns:
        `Records`: iterate over them, as often as you like. Rows that are no good, such as an empty
        reply, are left out, and counted in `left_out`.

    Raises:
        CorpusError: a `ValueError` of one line, when there is no such source, or it is out of
            reach; the line says what to do about it.
        CorpusNotFoundError: a `CorpusError` that is a `FileNotFoundError` as well.
    """
    if split not in SPLITS:
        raise CorpusError(f"split is one of {', '.join(map(repr, SPLITS))}, got {split!r}")
    if size is not None and (type(size) is not int or size < 1):
        raise CorpusError(f"size is a number of records, at least 1, got {size!r}")
    if name == "town":
        return _of_town(part, split, path, size, seed)
    if name == "quiz":
        return _of_quiz(part, split, path, size, seed)
    if name not in SOURCES:
        known = ", ".join(("town", "quiz", *SOURCES))
        raise CorpusError(f"there are no records {name!r}; there are: {known}")
    source = SOURCES[name]
    if part is not None and part not in source.folders:
        known = ", ".join(source.folders)
        known = f"it has: {known}" if known else "it has no parts, leave part out"
        raise CorpusError(f"{name!r} has no part {part!r}; {known}")
    if path is not None:
        streams, origin = _local(source, part, Path(path).expanduser())
    else:
        streams, origin = _remote(source, part), f"{source.name} on the hub"
    rows = partial(_of_split, streams, source, split, origin)
    return Records(name, part or "", split, origin, rows, source.record, size)


# --- the town -------------------------------------------------------------------------------------


def _of_town(
    part: str | None, split: str, path: str | Path | None, size: int | None, seed: int
) -> Records:
    if part not in town.PARTS:
        raise CorpusError(f"the town has no part {part!r}; it has: {', '.join(town.PARTS)}")
    documents, origin = town.documents_of_town(Request(part, path, split, size, seed))
    if part in ("arithmetic", "worked_arithmetic"):
        return Records("town", part, split, origin, lambda: (d.key for d in documents), _sum_of_key)
    return Records("town", part, split, origin, lambda: (d.load() for d in documents), _parsed)


def _of_quiz(
    part: str | None, split: str, path: str | Path | None, size: int | None, seed: int
) -> Records:
    if part is not None or path is not None:
        raise CorpusError("the quiz is made up, and has no parts: leave part and path out")
    n = size or town.SIZE

    def numbers() -> Iterator[tuple[int, str]]:
        for number in range(n):
            last = number % 10 == 9  # of all: nine of training, then one held out
            if split != "all":
                yield number, split
            else:
                yield (number // 10, "held_out") if last else (number - number // 10, "train")

    def record(which: tuple[int, str]) -> Record:
        made = quiz(*which, seed)
        return {
            "story": made.story, "question": made.question, "options": list(made.options),
            "right": made.right, "answer": made.answer, "reasons": list(made.reasons),
            "kind": made.kind,
        }  # fmt: skip

    return Records("quiz", "", split, f"the quiz, made from seed {seed}", numbers, record)


def _sum_of_key(key: str) -> Record:
    seed, _, split, index = key.split("/")
    problem = arithmetic(int(index), split, int(seed))
    steps = " ".join(f"{step}." for step in problem.steps)
    return {"question": problem.question, "steps": steps, "answer": str(problem.answer)}


def _parsed(document: str) -> Record:
    if not document.startswith("{"):
        raise CorpusError("this part of the town is plain text: open it with read('town', part)")
    record: Record = json.loads(document)
    return record


# --- where rows come from -------------------------------------------------------------------------


def _of_split(
    streams: Mapping[str, _hub.Rows], source: Source, split: str, origin: str
) -> Iterator[Mapping[str, Any]]:
    """The rows of a split: that of its makers, or one row in ten by what it says."""
    parted = "held_out" in streams
    names = {"train": ["train"], "held_out": ["held_out"]}.get(split, list(streams))
    number = 0
    for name in names if parted else ["train"]:
        for row in streams[name]():
            number += 1
            lacking = [column for column in source.columns if column not in row]
            if lacking:
                raise CorpusError(
                    f"row {number} of {origin} has no {lacking[0]!r}: expected the columns "
                    f"{', '.join(source.columns)}"
                )
            key = "\0".join(str(row[column]) for column in source.columns)
            if parted or split == "all" or is_held_out(key) == (split == "held_out"):
                yield row


def _remote(source: Source, part: str | None) -> dict[str, _hub.Rows]:
    splits = {"train": "train"} | ({"held_out": source.held_out} if source.held_out else {})
    return {name: partial(_stream, source, part, theirs) for name, theirs in splits.items()}


def _stream(source: Source, part: str | None, split: str) -> Iterator[Mapping[str, Any]]:
    datasets = _hub._datasets()
    try:
        stream = datasets.load_dataset(
            source.name, source.subset, data_dir=part, split=split, streaming=True
        )
    except Exception as error:  # each network library has errors of its own
        raise CorpusError(
            f"{source.name} on the hub is out of reach ({type(error).__name__}): go online, give "
            "the path of a copy that you have, or read the town's records, which need no network"
        ) from None
    return _hub._columns(stream, source.columns)


def _local(source: Source, part: str | None, path: Path) -> tuple[dict[str, _hub.Rows], str]:
    """The streams under a path, and its origin in words."""
    if not path.exists():
        raise CorpusNotFoundError(f"there is no file or folder {path} (looked from {Path.cwd()})")
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if _belongs(file, path, source, part))
    if not files or not all(file.name.endswith(SUFFIXES) for file in files):
        inside = f" of the part {part!r}" if part else ""
        raise CorpusNotFoundError(
            f"{path} holds no records{inside}: expected files of the kinds {', '.join(SUFFIXES)}"
        )
    held_out = [file for file in files if path.is_dir() and _HELD_OUT.search(file.name.lower())]
    streams: dict[str, _hub.Rows] = {
        "train": partial(_rows, [file for file in files if file not in held_out], source.columns)
    }
    if held_out:
        streams["held_out"] = partial(_rows, held_out, source.columns)
    return streams, f"the copy in {path}"


_HELD_OUT = re.compile(r"(?<![a-z])(test|valid)")


def _belongs(file: Path, folder: Path, source: Source, part: str | None) -> bool:
    steps = file.relative_to(folder).parts
    if any(step.startswith(".") for step in steps) or not file.is_file():
        return False
    if any(word in step for word in source.skipped for step in steps):
        return False
    return file.name.endswith(SUFFIXES) and (part is None or part in (*steps, folder.name))


def _rows(files: list[Path], columns: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    for file in files:
        if file.suffix == ".parquet":
            yield from _hub._read_parquet(file, columns)
        else:
            yield from _hub._read_json_lines(file)
