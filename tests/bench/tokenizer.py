"""Our tokenizer and Hugging Face's side by side, in one run: training, encoding, memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Regex, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as HuggingFace

from lib.corpora import read
from lib.tokenizer import PATTERN, Tokenizer, train_bpe
from tests.bench._memory import peak_growth
from tests.bench._turns import seconds_in_turns

ROOT = Path(__file__).parents[2]
SIZE = 8_000_000


def hugging_face(text: str, vocab_size: int) -> HuggingFace:
    """Their tokenizer, trained with our pattern."""
    theirs = HuggingFace(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False
    )
    theirs.train_from_iterator([text], trainer)
    return theirs


def compare(ours: Callable[[], Any], theirs: Callable[[], Any], runs: int) -> tuple[float, float]:
    """Median seconds of both."""
    took = seconds_in_turns({"ours": ours, "theirs": theirs}, runs)
    return statistics.median(took["ours"]), statistics.median(took["theirs"])


def a_long_text() -> str:
    """8 MB of docstrings and sources, as one string."""
    docs = read("python", "docstrings", "all").text(SIZE // 4)
    return docs + read("python", "sources", "all").text(SIZE - len(docs))


def memory(who: str) -> None:
    """In a process of its own: how far encoding raises the peak, in bytes."""
    reference, text = read("python", split="all").text(), a_long_text()
    tokenizer: Any = (
        Tokenizer.train(reference, 4096) if who == "ours" else hugging_face(reference, 4096)
    )
    print(peak_growth(lambda: tokenizer.encode(text)))


def peak(who: str) -> float:
    """Bytes of `memory`, from a fresh process."""
    code = f"from tests.bench.tokenizer import memory; memory({who!r})"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(run.stdout)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    reference, text = read("python", split="all").text(), a_long_text()
    row = "{:<46} {:>12} {:>12}   {}".format
    print(row("", "ours", "Hugging Face", "ratio"))

    ours, theirs = compare(
        lambda: train_bpe(reference, 4096), lambda: hugging_face(reference, 4096), runs=7
    )
    what = f"train 4,096 on {len(reference.encode()):,} bytes"
    ratio = f"{ours / theirs:.2f} × its time"
    print(row(what, f"{ours:.3f} s", f"{theirs:.3f} s", ratio))

    tokenizer, other = Tokenizer.train(reference, 4096), hugging_face(reference, 4096)

    def encode_afresh() -> None:
        Tokenizer(tokenizer.merges).encode(text)  # nothing remembered from the run before

    ours, theirs = compare(encode_afresh, lambda: other.encode(text), runs=3)
    size = len(text.encode()) / 1e6
    what = f"encode one string of {size:.1f} MB"
    ratio = f"{theirs / ours:.2f} × its speed"
    print(row(what, f"{size / ours:.2f} MB/s", f"{size / theirs:.2f} MB/s", ratio))

    if sys.platform == "linux":
        ours, theirs = peak("ours"), peak("hugging face")
        what = "memory while encoding it, beyond the text"
        ratio = f"1/{theirs / max(ours, 1):.0f} of its memory"
        print(row(what, f"{ours / 1e6:.0f} MB", f"{theirs / 1e6:.0f} MB", ratio))
