"""The detector as a command: python -m lib.watermark detect FILE --key KEY (given).

FILE is a text, "-" for what is piped in. The key is a number or any text; put it in quotes. The
settings must be those that the text was written with; which tokenizer, too.

It ends with status 0 if the watermark was found, 1 if not, 2 if it could not look.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from lib import watermark
from lib._watermark_parts import WIDTH, Detection
from lib.checkpoint import CheckpointError, load_tokenizer, shipped
from lib.tokenizer import Tokenizer

SCHEMES = ("green", "gumbel", "tournament")
RED, GREEN, PLAIN = "\033[31m", "\033[32m", "\033[0m"


def main(arguments: list[str] | None = None) -> None:
    """Read the file, detect, report, and end with a status."""
    options = _options(arguments)
    try:
        tokenizer = _tokenizer(options.tokenizer)
        ids = tokenizer.encode_ordinary(_read(options.file))
        key = watermark.key_of(options.key)
        found = _detect(ids, key, options)
        report = _json if options.json else _report
        print(report(found, len(ids), options))
        if options.show:
            print("\n" + _shown(ids, key, tokenizer, options))
    except (ValueError, OSError) as error:
        print(f"python -m lib.watermark: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(0 if found.p_value < options.alpha else 1)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lib.watermark", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    about = "was this text written with this key?"
    command = commands.add_parser("detect", help=about, description=about)
    command.add_argument("file", help='the text; "-" reads what is piped in')
    command.add_argument("--key", required=True, help="a number, or any text")
    command.add_argument(
        "--tokenizer", default="mini",
        help="a checkpoint of the course, the folder of one, or a tokenizer.json (%(default)s)",
    )  # fmt: skip
    command.add_argument("--scheme", choices=SCHEMES, default="green", help="(%(default)s)")
    command.add_argument("--gamma", type=float, default=0.25, help="share of green (%(default)s)")
    command.add_argument("--width", type=int, default=WIDTH, help="tokens a context (%(default)s)")
    command.add_argument("--layers", type=int, default=30, help="of a tournament (%(default)s)")
    command.add_argument(
        "--alpha", type=float, default=1e-5,
        help="found if the p-value is below: how many false alarms you accept (%(default)s)",
    )  # fmt: skip
    command.add_argument("--json", action="store_true", help="for other programs")
    command.add_argument("--show", action="store_true", help="the text in green and red as well")
    return parser.parse_args(arguments)


def _tokenizer(name: str) -> Tokenizer:
    path = Path(name)
    if path.is_file():
        return Tokenizer.load(path)
    try:
        return load_tokenizer(path if path.is_dir() else shipped(name))
    except CheckpointError as error:
        raise ValueError(str(error)) from None


def _read(name: str) -> str:
    data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is no text in UTF-8: byte {error.start} is none") from None


def _detect(ids: list[int], key: int, options: argparse.Namespace) -> Detection:
    if options.scheme == "gumbel":
        return watermark.gumbel_score(ids, key, options.width)
    if options.scheme == "tournament":
        return watermark.detect_tournament(ids, key, options.layers, options.width)
    if options.width == 0:
        raise ValueError(
            "with a width of 0 every token has the same context: there is one to count"
        )
    return watermark.detect(ids, key, options.gamma, options.width)


def _json(found: Detection, n_tokens: int, options: argparse.Namespace) -> str:
    numbers: dict[str, Any] = {
        "file": options.file, "scheme": options.scheme, "tokens": n_tokens,
        "counted": found.n_counted, "score": found.score, "share": found.share,
        "expected_share": found.mean, "z": found.z, "p_value": found.p_value,
        "watermarked": found.p_value < options.alpha,
    }  # fmt: skip
    return json.dumps(numbers, indent=2)


def _report(found: Detection, n_tokens: int, options: argparse.Namespace) -> str:
    n, p = found.n_counted, found.p_value
    expected = n * found.mean
    lines = [f"{'Tokens':10}{n_tokens}, by the tokenizer {options.tokenizer}"]
    lines += [f"{'Counted':10}{n}: each context of {options.width} tokens once"]
    if options.scheme == "green":
        score = f"{found.score:.0f} of {n}, {found.share:.1%}; by chance {found.mean:.1%}"
        lines += [f"{'Green':10}{score}, about {expected:.0f}"]
    else:
        score = f"{found.score:.1f}, {found.share:.3f} a token; by chance {found.mean:.3f}"
        lines += [f"{'Score':10}{score}, about {expected:.1f}"]
    lines += [f"{'z':10}{found.z:.2f} standard deviations above chance"]
    lines += [f"{'p-value':10}{p:.2g}{_in_words(p)}"]
    if p < options.alpha:
        verdict = f"watermarked with this key (p-value below {options.alpha:g})"
    else:
        verdict = f"no sign of this key (p-value not below {options.alpha:g})"
        least = _fewest(found, options)
        if least > n:
            verdict += f"; too short to tell: even if all agreed with it, it would take {least}"
    return "\n".join([*lines, f"{'Verdict':10}{verdict}"])


def _in_words(p: float) -> str:
    if p > 0.01:
        return ""
    if p == 0:
        return ": too small for a number"
    return f": one text in {10 ** round(-math.log10(p)):,} written without the key does as well"


def _fewest(found: Detection, options: argparse.Namespace) -> int:
    """How many counted tokens, all of them green, it takes to be found."""
    if options.scheme != "green":
        return 0
    return math.floor(math.log(options.alpha) / math.log(found.mean)) + 1


def _shown(ids: list[int], key: int, tokenizer: Tokenizer, options: argparse.Namespace) -> str:
    """The text with its counted tokens in their colours, as a terminal shows them."""
    if options.scheme != "green":
        raise ValueError("only green lists have colours to show: leave --show out")
    pieces = []
    for token, green in zip(ids, watermark.colours(ids, key, options.gamma, options.width)):
        piece = tokenizer.decode([token])
        colour = "" if green is None else GREEN if green else RED
        pieces.append(f"{colour}{piece}{PLAIN}" if colour else piece)
    return "".join(pieces)
