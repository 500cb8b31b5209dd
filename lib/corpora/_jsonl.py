"""A learner's own JSON lines: every line is read, and every bad line is named."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lib.corpora._base import CorpusError, CorpusNotFoundError

SHOWN = 10
"""How many bad lines an error shows."""

Record = dict[str, Any]


class BadLine(NamedTuple):
    """A line that is no record: its number, from 1; what is wrong with it; how it begins."""

    number: int
    reason: str
    start: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.reason}" + (f" | {self.start}" if self.start else "")


class BadLinesError(CorpusError):
    """Lines of a file are bad. `problems` names them all; the message shows the first ten.

    Unlike that of other errors of a corpus, the message has a line for each.
    """

    def __init__(self, path: Path, problems: Sequence[BadLine], n_good: int) -> None:
        n = len(problems)
        lines = [
            f"{n} bad {'line' if n == 1 else 'lines'} in {path}, {n_good} good: mend them, or go "
            "on without them by strict=False",
            *(f"  {problem}" for problem in problems[:SHOWN]),
            *([f"  ... and {n - SHOWN} more"] if n > SHOWN else []),
        ]
        ValueError.__init__(self, "\n".join(lines))
        self.problems = list(problems)


def read_jsonl(
    path: str | Path, kind: str = "chat", *, strict: bool = True
) -> tuple[list[Record], list[BadLine]]:
    """Read a file of your own, one JSON object a line.

    | kind            | a line                                    | its record                     |
    |-----------------|-------------------------------------------|--------------------------------|
    | "chat"          | {"messages": [...]}                       | the same                       |
    | "preference"    | {"prompt", "chosen", "rejected"}          | the same, prompt as messages   |
    | "prompt_answer" | {"prompt": text, "answer": text}          | {"messages": [...]}, two turns |

    A message is {"role", "content"}: perhaps one of the role "system", then "user" and "assistant"
    in turn, the last one of "assistant". After an assistant's "tool_calls" come messages of the
    role "tool". A prompt is a text, or messages that end with the user's; chosen and rejected are
    texts, or a list of one message of the assistant each. Other keys of an object are kept. Lines
    without anything on them do not count.

    Args:
        path: the file; UTF-8, also compressed by gzip if its name ends in .gz.
        kind: what its lines are.
        strict: raise an error if a line is bad; otherwise go on with the good ones.

    Returns:
        The records, and the bad lines (none if `strict`).

    Raises:
        BadLinesError: a `ValueError` that names what is wrong with which lines.
        CorpusError: there is no such kind, or the file cannot be read or holds nothing.
        CorpusNotFoundError: there is no such file.
    """
    if kind not in _KINDS:
        raise CorpusError(f"kind is one of {', '.join(map(repr, _KINDS))}, got {kind!r}")
    path = Path(path).expanduser()
    raw = _bytes(path)
    records: list[Record] = []
    problems: list[BadLine] = []
    whole = ""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        whole = "the file is UTF-16: save it as UTF-8"
    elif raw.lstrip()[:1] == b"[":
        whole = "the file is one JSON list: write each record as an object on a line of its own"
    if whole:
        problems.append(BadLine(1, whole, ""))
        raw = b""
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            records.append(_KINDS[kind](_object(line)))
        except _Wrong as wrong:
            problems.append(BadLine(number, str(wrong), _start(line)))
    if strict and problems:
        raise BadLinesError(path, problems, len(records))
    if not records and not problems:
        raise CorpusError(f"{path} is empty: expected one JSON object a line")
    return records, problems


class _Wrong(Exception):
    """What is wrong with a line."""


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise CorpusNotFoundError(f"there is no file {path} (looked from {Path.cwd()})")
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise CorpusError(f"{path} is damaged, or not compressed by gzip") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CorpusError(f"{path} cannot be read ({reason}): check its permissions") from None
    return raw.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")


def _start(line: bytes) -> str:
    text = line.decode("utf-8", "replace").strip()
    return text if len(text) <= 60 else text[:57] + "..."


def _object(line: bytes) -> Record:
    """The JSON object on a line."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Wrong(f"byte {error.start + 1} is not UTF-8: save the file as UTF-8") from None
    try:
        record = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise _Wrong(f"no JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise _Wrong(f"no JSON: {error}") from None
    if not isinstance(record, dict):
        raise _Wrong(f"expected a JSON object, {{...}}, got {_a(record)}")
    return record


def _once(pairs: list[tuple[str, Any]]) -> Record:
    record: Record = {}
    for key, value in pairs:
        if key in record:
            raise _Wrong(f"the key {key!r} stands twice")
        record[key] = value
    return record


def _a(value: object) -> str:
    """What JSON calls a value."""
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text",
             list: "a list", dict: "an object", type(None): "null"}  # fmt: skip
    return names[type(value)]


def _value(record: Mapping[str, Any], key: str, where: str = "") -> Any:
    if key not in record:
        keys = ", ".join(map(repr, record)) or "none"
        raise _Wrong(f"{where}the key {key!r} is missing; there are: {keys}")
    return record[key]


def _text(value: object, what: str) -> str:
    """A text that says something."""
    if not isinstance(value, str):
        raise _Wrong(f"{what} is a text, got {_a(value)}")
    if not value.strip():
        raise _Wrong(f"{what} is empty")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _Wrong(f"{what} holds half a character (a lone surrogate)") from None
    return value


_CALL = "a tool call"  # a message of the assistant with "tool_calls"
_FOLLOWS = {
    "": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user",),
    _CALL: ("tool",),
    "tool": ("tool", "assistant"),
}
_ROLES = ("system", "user", "assistant", "tool")


def _named(before: str) -> str:
    return before if before == _CALL else repr(before)


def _messages(value: object, what: str, last: tuple[str, ...]) -> list[Record]:
    """Messages whose roles follow each other as they should."""
    if not isinstance(value, list):
        raise _Wrong(f"{what} is a list of messages, got {_a(value)}")
    if not value:
        raise _Wrong(f"{what} is an empty list")
    before = ""
    for number, message in enumerate(value, start=1):
        where = f"message {number}"
        if not isinstance(message, dict):
            raise _Wrong(f"{where} is an object, got {_a(message)}")
        role = _value(message, "role", f"{where}: ")
        if role not in _ROLES:
            raise _Wrong(f"{where} has the role {role!r}; a role is one of {', '.join(_ROLES)}")
        if role not in _FOLLOWS[before]:
            expected = " or ".join(_FOLLOWS[before])
            after = f"follows {_named(before)}" if before else "stands first"
            raise _Wrong(f"{where} of the role {role!r} {after}; expected {expected}")
        calls = message.get("tool_calls")
        if calls is not None and (role != "assistant" or not isinstance(calls, list)):
            raise _Wrong(f"{where}: tool_calls is a list, in a message of the assistant")
        content = _value(message, "content", f"{where}: ") if not calls else message.get("content")
        if not calls or content:
            _text(content, f"{where}: content")
        if message.get("reasoning_content") is not None:
            _text(message["reasoning_content"], f"{where}: reasoning_content")
        before = _CALL if calls else str(role)
    if before not in last:
        raise _Wrong(f"{what} ends with {_named(before)}; expected {' or '.join(last)}")
    return value


def _chat(record: Record) -> Record:
    _messages(_value(record, "messages"), "messages", ("assistant", _CALL))
    return record


def _preference(record: Record) -> Record:
    prompt = _value(record, "prompt")
    if isinstance(prompt, str):
        prompt = [{"role": "user", "content": _text(prompt, "prompt")}]
    prompt = _messages(prompt, "prompt", ("user", "tool"))
    chosen, rejected = (_reply(_value(record, key), key) for key in ("chosen", "rejected"))
    if chosen == rejected:
        raise _Wrong("chosen and rejected are the same")
    return {**record, "prompt": prompt, "chosen": chosen, "rejected": rejected}


def _reply(value: object, what: str) -> str:
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        if value[0].get("role") == "assistant":
            return _text(_value(value[0], "content", f"{what}: "), what)
    if isinstance(value, list):
        raise _Wrong(f"{what} is a text, or a list of one message of the assistant")
    return _text(value, what)


def _prompt_answer(record: Record) -> Record:
    rest = {key: value for key, value in record.items() if key not in ("prompt", "answer")}
    prompt, answer = (_text(_value(record, key), key) for key in ("prompt", "answer"))
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return {"messages": messages, **rest}


_KINDS: dict[str, Callable[[Record], Record]] = {
    "chat": _chat,
    "preference": _preference,
    "prompt_answer": _prompt_answer,
}
