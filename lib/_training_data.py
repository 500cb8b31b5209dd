"""Texts as one row of tokens, and batches as trees of tensors (given)."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from lib._training_parallel import each_tensor
from lib.corpora import read
from lib.corpora._hub import StreamedCorpus
from lib.tokenizer import Tokenizer

END = "<|endoftext|>"
"""Stands between any two documents."""


def encode_documents(
    documents: Iterable[str], tokenizer: Tokenizer, end: str = END, progress: bool = True
) -> Tensor:
    """All documents as one row of tokens, each followed by the token `end`.

    Args:
        documents: texts.
        tokenizer: has `end` among its special tokens.
        end: what stands behind every document.
        progress: show a bar.

    Returns:
        (n) ids, in the smallest type that holds them all.

    Raises:
        ValueError: the tokenizer has no such special token.
    """
    if end not in tokenizer.special_tokens:
        raise ValueError(
            f"the tokenizer has no special token {end!r}; it has: "
            f"{', '.join(tokenizer.special_tokens) or 'none'}"
        )
    end_id = tokenizer.special_tokens[end]
    dtype = torch.int16 if tokenizer.vocab_size <= 2**15 else torch.int32
    pieces = []
    for document in tqdm(documents, unit="document", desc="encoding", disable=not progress):
        ids = tokenizer.encode(document, disallowed_special=())
        pieces.append(torch.tensor([*ids, end_id], dtype=dtype))
    if not pieces:
        raise ValueError("there are no documents to encode")
    return torch.cat(pieces)


def encode_corpus(corpus: dict[str, Any], tokenizer: Tokenizer, n_processes: int = 1) -> Tensor:
    """The documents of `read(**corpus)` as `encode_documents` gives them, by several processes.

    The tokens are the same however many processes there are. What streams is read by one.
    """
    opened = read(**corpus)
    n = 1 if isinstance(opened, StreamedCorpus) else min(n_processes, len(opened))
    if n < 2:
        return encode_documents(opened, tokenizer)
    borders = [len(opened) * i // n for i in range(n + 1)]
    parts = [(corpus, tokenizer, first, last) for first, last in itertools.pairwise(borders)]
    with multiprocessing.get_context("spawn").Pool(n) as pool:
        return torch.cat(list(tqdm(pool.imap(_encode_part, parts), total=n, desc="encoding")))


def _encode_part(part: tuple[dict[str, Any], Tokenizer, int, int]) -> Tensor:
    corpus, tokenizer, first, last = part
    torch.set_num_threads(1)
    documents = read(**corpus).documents[first:last]
    return encode_documents((d.load() for d in documents), tokenizer, progress=False)


def document_starts(tokens: Tensor, end: int) -> Tensor:
    """Where documents begin in a row of tokens: the places of the mark `end` before each.

    A stretch from there reads the mark, and then a document from its first word. The document that
    opens the row has no mark before it and is passed over; behind the last mark nothing begins.

    >>> document_starts(torch.tensor([5, 6, 0, 7, 0, 8, 9, 0]), end=0)
    tensor([2, 4, 7])
    """
    return (tokens == end).nonzero()[:, 0]


def split_batch(batch: Any, n_parts: int) -> list[Any]:
    """A batch in `n_parts` parts along its first axis.

    Raises:
        ValueError: it has fewer examples than parts.
    """
    if n_parts == 1:
        return [batch]
    n = len(next(tensors(batch)))
    if n < n_parts:
        raise ValueError(f"a batch of {n} examples cannot be cut into {n_parts} parts")
    borders = [n * i // n_parts for i in range(n_parts + 1)]
    return [take(batch, slice(a, b)) for a, b in itertools.pairwise(borders)]


def take(batch: Any, which: slice) -> Any:
    """Some examples of a batch."""
    return each_tensor(batch, lambda x: x[which])


def tensors(batch: Any) -> Iterator[Tensor]:
    """The tensors of a batch, in order."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, dict):
        for value in batch.values():
            yield from tensors(value)
    elif isinstance(batch, (tuple, list)):
        for value in batch:
            yield from tensors(value)


def to_device(batch: Any, device: torch.device) -> Any:
    """The batch, where the model is."""
    return each_tensor(batch, lambda x: x.to(device))


def n_tokens(batch: Any) -> int:
    """How many tokens a batch holds: its largest tensor counts."""
    return max((x.numel() for x in tensors(batch)), default=0)
