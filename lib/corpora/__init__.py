"""What models read: one way to every text (given; no lesson builds it).

    from lib.corpora import read

    for document in read("python", part="docstrings"):
        ...

| name     | part                      | what it is                                 |
|----------|---------------------------|--------------------------------------------|
| "python" | "reference" (the default) | Python's language reference, 0.5 MB        |
|          | "docstrings"              | the standard library's docstrings, 2 MB    |
|          | "sources"                 | the standard library's source code, 12 MB  |
| "town"   | "stories" (the default)   | a small world, told and true; see `town`   |
| "file"   |                           | a text file of yours, or a folder of them  |
| "hub"    | "tinystories"             | two million short stories, when online     |
|          | "fineweb_edu"             | the web, filtered for what teaches         |

Documents are texts. What has parts of its own, conversations, preferences and problems, comes from
`read_records`, as dicts: from the town and from open data sets; `read_jsonl` reads those of yours.

"python" comes with every Python and needs no network. What it says differs a little from one
version of Python to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lib.corpora._base import (
    SPLITS,
    Corpus,
    CorpusError,
    CorpusNotFoundError,
    Document,
    Request,
)
from lib.corpora._file import documents_of_files
from lib.corpora._hub import PARTS as HUB_PARTS
from lib.corpora._hub import open_hub
from lib.corpora._jsonl import BadLine, BadLinesError, read_jsonl
from lib.corpora._python import PARTS, documents_of_python
from lib.corpora._records import Records, read_records
from lib.corpora.town import PARTS as TOWN_PARTS
from lib.corpora.town import documents_of_town

__all__ = [
    "BadLine", "BadLinesError", "Corpus", "CorpusError", "CorpusNotFoundError", "Records", "read",
    "read_jsonl", "read_records",
]  # fmt: skip


def read(
    name: str,
    part: str | None = None,
    split: str = "train",
    path: str | Path | None = None,
    *,
    size: int | None = None,
    seed: int = 0,
) -> Corpus:
    """Open a corpus.

    Args:
        name: where the text comes from: "python", "town", "file" or "hub".
        part: which part of it; left out, the first one.
        split: "train" (nine documents in ten), "held_out" (the tenth) or "all". Which documents
            are held out is the same everywhere: it depends on their names alone. TinyStories
            comes with a split of its own.
        path: for "file", the text file or the folder; for "hub", a copy of it that you have.
        size: how many documents at most; for "town" exactly so many (left out, 10,000).
        seed: for "town", which stories: another seed, other stories. The others have no use for it.

    Returns:
        A `Corpus`: iterate over it for its documents, as often as you like. That of "hub" streams:
        it has no length.

    Raises:
        CorpusError: a `ValueError` of one line, when there is no such corpus, or it is out of
            reach; the line says what to do about it.
        CorpusNotFoundError: a `CorpusError` that is a `FileNotFoundError` as well.
    """
    if split not in SPLITS:
        raise CorpusError(f"split is one of {', '.join(map(repr, SPLITS))}, got {split!r}")
    if name not in _SOURCES:
        raise CorpusError(f"there is no corpus {name!r}; there are: {', '.join(_SOURCES)}")
    parts, open_documents = _SOURCES[name]
    if part is None:
        part = parts[0] if parts else ""
    elif part not in parts:
        known = f"it has: {', '.join(parts)}" if parts else "it has no parts, leave part out"
        raise CorpusError(f"the corpus {name!r} has no part {part!r}; {known}")
    if size is not None and size < 1:
        raise CorpusError(f"size is how many documents to read, at least 1, got {size}")
    opened = open_documents(Request(part, path, split, size, seed))
    if isinstance(opened, Corpus):  # a stream, which knows how to take its split
        return opened
    documents, origin = opened
    return Corpus(name, part, split, documents, origin, size)


_Source = Callable[[Request], "tuple[Sequence[Document], str] | Corpus"]
_SOURCES: dict[str, tuple[tuple[str, ...], _Source]] = {
    "python": (PARTS, lambda asked: documents_of_python(asked.part, asked.path)),
    "town": (TOWN_PARTS, documents_of_town),
    "file": ((), lambda asked: documents_of_files(asked.part, asked.path)),
    "hub": (HUB_PARTS, lambda asked: open_hub(asked.part, asked.split, asked.path, asked.size)),
}
