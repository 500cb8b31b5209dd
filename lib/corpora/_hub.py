"""The corpus "hub": two large open texts, streamed through `datasets`, or the same from files.

TinyStories (Eldan and Li 2023, arXiv 2305.07759) is two million short stories in the words of small
children; FineWeb-Edu (Penedo et al. 2024, arXiv 2406.17557) is the web, filtered for what teaches.
Documents arrive one by one, so memory stays small, however large the whole is.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from lib.corpora._base import Corpus, CorpusError, CorpusNotFoundError, is_held_out

END = "<|endoftext|>"
"""The line that parts documents in a text file, as in TinyStories' own."""

SUFFIXES = (".parquet", ".jsonl", ".txt")

Rows = Callable[[], Iterator[Mapping[str, Any]]]
"""Starts a stream of rows from the beginning; each has a text, and perhaps an id."""


@dataclass(frozen=True)
class Source:
    """A text on the hub.

    Attributes:
        name: of the data set there.
        subset: of the data set, if it has several.
        validation: the split that its makers hold out; if there is none, we hold out one document
            in ten, by its id.
    """

    name: str
    subset: str | None = None
    validation: str | None = None


SOURCES = {
    "tinystories": Source("roneneldan/TinyStories", validation="validation"),
    "fineweb_edu": Source("HuggingFaceFW/fineweb-edu", subset="sample-10BT"),
}
PARTS = tuple(SOURCES)
"""What the corpus has, the first one for those who do not say."""


class StreamedCorpus(Corpus):
    """Documents that arrive one by one. There is no telling how many until all have passed."""

    def __init__(
        self,
        name: str,
        part: str,
        split: str,
        rows: Mapping[str, Rows],
        origin: str,
        size: int | None = None,
    ) -> None:
        """
        Args:
            name: as the attribute.
            part: as the attribute.
            split: as the attribute.
            rows: streams by name: "train", and "validation" if there is one. Without it one
                document in ten of "train" is held out.
            origin: where they come from, in words.
            size: stop after so many documents.

        Raises:
            CorpusError: the split holds no document, or its first one cannot be read.
        """
        self.name, self.part, self.split, self.origin = name, part, split, origin
        self.rows, self.size = rows, size
        if next(iter(self), None) is None:
            raise CorpusError(
                f"the split {split!r} of {origin} is empty: give more documents, or read "
                "split='all'"
            )

    def __iter__(self) -> Iterator[str]:
        return islice(self._documents(), self.size)

    def _documents(self) -> Iterator[str]:
        parted = "validation" in self.rows
        wanted = {"train": ["train"], "held_out": ["validation"], "all": ["train", "validation"]}
        names = wanted[self.split] if parted else ["train"]
        streams = chain.from_iterable(self.rows[name]() for name in names)
        for number, row in enumerate(self._guarded(streams), start=1):
            text = row.get("text")
            if not isinstance(text, str):
                raise CorpusError(
                    f"document {number} of {self.origin} has no text: expected a column 'text'"
                )
            if text.strip() and (parted or self._belongs(row.get("id"), text)):
                yield text

    def _belongs(self, key: object, text: str) -> bool:
        held_out = is_held_out(key if isinstance(key, str) and key else text)
        return self.split == "all" or held_out == (self.split == "held_out")

    def _guarded(self, rows: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The same rows; what goes wrong between them becomes one line."""
        n_read = 0
        try:
            for row in rows:
                yield row
                n_read += 1
        except CorpusError:
            raise
        except Exception as error:  # each network and file library has errors of its own
            reason = f"{type(error).__name__}: {error}"[:200]
            raise CorpusError(
                f"{self.origin} broke off after {n_read} documents ({reason}): go online and start "
                "again, or give the path of a copy that you have"
            ) from None

    def __len__(self) -> int:
        raise TypeError("a streamed corpus has no length: iterate over it, or count as you go")

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        most = "streamed" if self.size is None else f"at most {self.size} documents"
        return f"Corpus({self.name}, {self.part}, {self.split}: {most})"

    def card(self) -> dict[str, str | int]:
        """What this is: name, part, split, origin; documents and bytes if a size was given."""
        card: dict[str, str | int] = {
            "name": self.name,
            "part": self.part,
            "split": self.split,
            "origin": self.origin,
        }
        if self.size is not None:
            n_documents = n_bytes = 0
            for document in self:
                n_documents += 1
                n_bytes += len(document.encode("utf-8", "replace"))
            card |= {"documents": n_documents, "bytes": n_bytes}
        return card


def open_hub(
    part: str, split: str, path: str | Path | None = None, size: int | None = None
) -> StreamedCorpus:
    """Open a text of the hub.

    Args:
        part: "tinystories" or "fineweb_edu".
        split: "train", "held_out" or "all".
        path: a copy of it: a file (Parquet, JSON lines or text), or a folder of such files, of
            which those with "valid" in their name are held out.
        size: at most so many documents.

    Raises:
        CorpusError: it is out of reach; the line says what to do about it.
        CorpusNotFoundError: there is nothing at `path`.
    """
    if size is not None and (type(size) is not int or size < 1):
        raise CorpusError(f"size is a number of documents, at least 1, got {size!r}")
    if path is not None:
        rows, origin = _local(Path(path).expanduser())
        return StreamedCorpus("hub", part, split, rows, origin, size)
    source = SOURCES[part]
    names = {"train": "train"} | ({"validation": source.validation} if source.validation else {})
    rows = {name: partial(_remote, source, theirs) for name, theirs in names.items()}
    return StreamedCorpus("hub", part, split, rows, f"{source.name} on the hub", size)


# --- the hub --------------------------------------------------------------------------------------


def _datasets() -> Any:
    try:
        import datasets
    except ImportError:
        raise CorpusError(
            "the corpus 'hub' needs the package datasets: pip install datasets, or read another "
            "corpus ('town' and 'python' need nothing)"
        ) from None
    return datasets


def _remote(source: Source, split: str | None) -> Iterator[Mapping[str, Any]]:
    datasets = _datasets()
    try:
        stream = datasets.load_dataset(source.name, source.subset, split=split, streaming=True)
    except Exception as error:  # each network library has errors of its own
        raise CorpusError(
            f"{source.name} on the hub is out of reach ({type(error).__name__}): go online, give "
            "the path of a copy that you have, or read another corpus ('town' and 'python' need no "
            "network)"
        ) from None
    return _columns(stream)


def _columns(stream: Any, names: Sequence[str] = ("text", "id")) -> Iterator[Mapping[str, Any]]:
    """The rows of a stream, without the columns that nobody reads."""
    if stream.column_names:
        stream = stream.select_columns([c for c in names if c in stream.column_names])
    return iter(stream)


# --- copies ---------------------------------------------------------------------------------------


def _local(path: Path) -> tuple[dict[str, Rows], str]:
    """The streams under a path, and its origin in words."""
    if not path.exists():
        raise CorpusNotFoundError(f"there is no file or folder {path} (looked from {Path.cwd()})")
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if _is_document_file(file, path))
    if not files or any(file.suffix not in SUFFIXES for file in files):
        raise CorpusNotFoundError(
            f"{path} holds no documents: expected files of the kinds {', '.join(SUFFIXES)}"
        )
    held_out = [file for file in files if path.is_dir() and "valid" in file.name.lower()]
    parts = {"train": [file for file in files if file not in held_out], "validation": held_out}
    streams = {
        name: partial(_read_files, some) for name, some in parts.items() if some or name == "train"
    }
    return dict(streams), f"the copy in {path}"


def _is_document_file(file: Path, folder: Path) -> bool:
    hidden = any(step.startswith(".") for step in file.relative_to(folder).parts)
    return file.suffix in SUFFIXES and not hidden and file.is_file()


def _read_files(files: list[Path]) -> Iterator[Mapping[str, Any]]:
    readers = {".parquet": _read_parquet, ".jsonl": _read_json_lines, ".txt": _read_text}
    return chain.from_iterable(readers[file.suffix](file) for file in files)


def _read_parquet(file: Path, names: Sequence[str] = ("text", "id")) -> Iterator[Mapping[str, Any]]:
    load_dataset = _datasets().load_dataset
    try:
        stream = load_dataset("parquet", data_files=str(file), split="train", streaming=True)
        yield from _columns(stream, names)
    except Exception as error:
        raise CorpusError(
            f"{file} is damaged, or no Parquet file ({type(error).__name__}): get it again"
        ) from None


def _read_json_lines(file: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise CorpusError(f"line {number} of {file} is no JSON object, or only a part of one")
        yield row


def _read_text(file: Path) -> Iterator[Mapping[str, Any]]:
    lines: list[str] = []
    for line in chain(_lines(file), [END]):
        before, found, after = line.partition(END)
        lines.append(before)
        while found:
            yield {"text": "".join(lines).strip("\n")}
            before, found, after = after.partition(END)
            lines = [before]


def _lines(file: Path) -> Iterator[str]:
    """Lines with their ends. `CorpusError` says what is wrong with the file."""
    try:
        with (gzip.open if file.suffix == ".gz" else open)(
            file, "rt", encoding="utf-8-sig"
        ) as stream:
            yield from stream
    except UnicodeDecodeError:
        raise CorpusError(f"{file} is not UTF-8: save it as UTF-8 text") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise CorpusError(f"{file} is damaged, or not compressed by gzip: get it again") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CorpusError(f"{file} cannot be read ({reason}): check its permissions") from None
