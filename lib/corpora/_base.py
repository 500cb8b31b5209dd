"""What all corpora share: documents, splits, errors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

SPLITS = ("train", "held_out", "all")
"""The ways to take a corpus: nine tenths of its documents, the other tenth, or all."""


class CorpusError(ValueError):
    """A corpus is out of reach. The message is one line and says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class CorpusNotFoundError(CorpusError, FileNotFoundError):
    """There is no such file or folder, or nothing to read in it."""


@dataclass(frozen=True)
class Document:
    """One document: `key` names it for good, `load` gives its text."""

    key: str
    load: Callable[[], str]


def is_held_out(key: str) -> bool:
    """Whether a document is held out: one in ten is, by a hash of its key.

    >>> [is_held_out(key) for key in ("assert", "numbers", "with")]
    [False, False, False]
    """
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % 10 == 0


@dataclass(frozen=True)
class Request:
    """What a reader asks a source for."""

    part: str
    path: str | Path | None = None
    split: str = "train"
    size: int | None = None
    seed: int = 0


class MadeDocuments(Sequence[Document]):
    """Documents that are made when they are read: none is kept.

    A source that gives these has seen to the split itself.
    """

    def __init__(self, size: int, make: Callable[[int], Document]) -> None:
        """
        Args:
            size: how many there are.
            make: the document of a number from 0 to size − 1.
        """
        self._numbers, self._make = range(size), make

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Document: ...

    @overload
    def __getitem__(self, index: slice) -> list[Document]: ...

    def __getitem__(self, index: int | slice) -> Document | list[Document]:
        if isinstance(index, slice):
            return [self._make(number) for number in self._numbers[index]]
        return self._make(self._numbers[index])

    def __iter__(self) -> Iterator[Document]:
        return map(self._make, self._numbers)


class Corpus:
    """Documents to read, one string each. Iterating starts from the first one every time.

    Attributes:
        name: where it comes from, "python" for instance.
        part: which part of it; empty if it has none.
        split: "train", "held_out" or "all".
    """

    def __init__(
        self,
        name: str,
        part: str,
        split: str,
        documents: Sequence[Document],
        origin: str,
        size: int | None = None,
    ) -> None:
        """
        Args:
            name: as the attribute.
            part: as the attribute.
            split: as the attribute.
            documents: all documents, of both splits; or `MadeDocuments`, which are of this split.
            origin: where they come from, in words.
            size: keep at most so many documents, the first ones.

        Raises:
            CorpusError: the split holds no document.
        """
        self.name, self.part, self.split, self.origin = name, part, split, origin
        self.documents: Sequence[Document]
        if isinstance(documents, MadeDocuments):
            self.documents = documents
        else:
            self.documents = [
                document
                for document in documents
                if split == "all" or is_held_out(document.key) == (split == "held_out")
            ][:size]
        if not self.documents:
            raise CorpusError(
                f"the split {split!r} of {origin} is empty: of {len(documents)} documents one in "
                "ten is held out; give more documents, or read split='all'"
            )

    def __iter__(self) -> Iterator[str]:
        for document in self.documents:
            yield document.load()

    def __len__(self) -> int:
        return len(self.documents)

    def __repr__(self) -> str:
        part = f", {self.part}" if self.part else ""
        return f"Corpus({self.name}{part}, {self.split}: {len(self)} documents)"

    def text(self, limit: int | None = None) -> str:
        """All documents in one string, a blank line between any two.

        Args:
            limit: stop after so many characters, in the middle of a word if need be.
        """
        pieces: list[str] = []
        length = 0
        for document in self:
            if limit is not None and length >= limit:
                break
            length += len(document) + (2 if pieces else 0)
            pieces.append(document)
        return "\n\n".join(pieces)[:limit]

    def card(self) -> dict[str, str | int]:
        """What this is: name, part, split, documents, bytes (of UTF-8), origin."""
        return {
            "name": self.name,
            "part": self.part,
            "split": self.split,
            "documents": len(self),
            "bytes": sum(len(document.encode("utf-8", "replace")) for document in self),
            "origin": self.origin,
        }
