"""What models read: one way to every text (given; no lesson builds it).

    from lib.corpora import read

    for document in read("python", part="docstrings"):
        ...

| name     | part                      | what it is                                 |
|----------|---------------------------|--------------------------------------------|
| "python" | "reference" (the default) | Python's language reference, 0.5 MB        |
|          | "docstrings"              | the standard library's docstrings, 2 MB    |
|          | "sources"                 | the standard library's source code, 12 MB  |
| "file"   |                           | a text file of yours, or a folder of them  |

"python" comes with every Python and needs no network. What it says differs a little from one
version of Python to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lib.corpora._base import SPLITS, Corpus, CorpusError, CorpusNotFoundError, Document
from lib.corpora._file import documents_of_files
from lib.corpora._python import PARTS, documents_of_python

__all__ = ["Corpus", "CorpusError", "CorpusNotFoundError", "read"]


def read(
    name: str, part: str | None = None, split: str = "train", path: str | Path | None = None
) -> Corpus:
    """Open a corpus.

    Args:
        name: where the text comes from: "python" or "file".
        part: which part of it; left out, the first one.
        split: "train" (nine documents in ten), "held_out" (the tenth) or "all". Which documents
            are held out is the same everywhere: it depends on their names alone.
        path: for "file", the text file or the folder.

    Returns:
        A `Corpus`: iterate over it for its documents, as often as you like.

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
    documents, origin = open_documents(part, path)
    return Corpus(name, part, split, documents, origin)


_Source = Callable[[str, "str | Path | None"], tuple[list[Document], str]]
_SOURCES: dict[str, tuple[tuple[str, ...], _Source]] = {
    "python": (PARTS, documents_of_python),
    "file": ((), documents_of_files),
}
