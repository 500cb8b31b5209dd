"""Hugging Face's `tokenizer.json`, as far as it describes a byte-level BPE.

In that file tokens are strings in GPT-2's byte alphabet: each byte is one printable character, the
blank for instance is Ġ.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import regex

from lib._tokenizer_parts import ALPHABET, GPT2_DIGITS_PATTERN, GPT2_PATTERN, PRINTABLE

if TYPE_CHECKING:
    from lib.tokenizer import Tokenizer

BYTE_TO_CHAR = {
    byte: chr(byte) if byte in PRINTABLE else chr(256 + place - len(PRINTABLE))
    for place, byte in enumerate(ALPHABET)
}
CHAR_TO_BYTE = {char: byte for byte, char in BYTE_TO_CHAR.items()}


def save(tokenizer: Tokenizer, path: Path) -> None:
    """Write beside `path`, then move into place: a reader sees the old file or the new one."""
    names = {i: name for name, i in tokenizer.special_tokens.items()}
    spelled = [names.get(i) or _spell(token) for i, token in enumerate(tokenizer.vocab)]
    vocab = {token: i for i, token in enumerate(spelled)}
    if len(vocab) < len(spelled):
        twice = next(token for i, token in enumerate(spelled) if vocab[token] != i)
        raise ValueError(
            f"{path.name} cannot be written: {twice!r} names an ordinary and a special token; "
            "rename the special one"
        )
    cut = {"type": "Split", "pattern": {"Regex": tokenizer.pattern}, "behavior": "Isolated"}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added_token(i, name) for i, name in sorted(names.items())],
        "normalizer": {"type": "NFC"} if tokenizer.nfc else None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [cut | {"invert": False}, byte_level | {"use_regex": False}],
        },
        "post_processor": None,
        "decoder": byte_level | {"use_regex": False},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": tokenizer.ignore_merges,
            "vocab": vocab,
            "merges": [f"{spelled[left]} {spelled[right]}" for left, right in tokenizer.merges],
        },
    }
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
        os.replace(beside, path)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def load(path: Path, cls: type[Tokenizer]) -> Tokenizer:
    """Read a file into a tokenizer of the class `cls`; every error is one line that starts with the
    file's name."""
    try:
        return _build(_read(path), cls)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


def _read(path: Path) -> dict[str, Any]:
    if path.is_dir():
        raise ValueError("this is a folder: give the file tokenizer.json in it")
    try:
        content = json.loads(path.read_bytes().decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("this is no text in UTF-8, so no tokenizer.json") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"this is no JSON, or only a part of it: {error}") from None
    except RecursionError:
        raise ValueError("this JSON is nested too deeply for a tokenizer.json") from None
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ValueError("the field 'model' is missing: expected a Hugging Face tokenizer.json")
    if content.get("version") != "1.0":
        raise ValueError(f"expected version '1.0', got {content.get('version')!r}")
    return content


def _build(content: Mapping[str, Any], cls: type[Tokenizer]) -> Tokenizer:
    model = content["model"]
    if model.get("type", "BPE") != "BPE":
        raise ValueError(f"expected a model of type 'BPE', got {model['type']!r}")
    ids, merges = model.get("vocab"), model.get("merges")
    if not isinstance(ids, dict) or not isinstance(merges, list):
        raise ValueError("the model's 'vocab' or 'merges' is missing, or not of the expected kind")
    options = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
    for option in options:
        if model.get(option):
            raise ValueError(f"the model uses {option}={model[option]!r}, which is not supported")
    if (
        not isinstance(content.get("decoder"), dict)
        or content["decoder"].get("type") != "ByteLevel"
    ):
        raise ValueError("the decoder is not ByteLevel: only byte-level BPE is supported")
    special = _special_tokens(content.get("added_tokens") or [])
    return cls(
        [_merge(entry, ids) for entry in merges],
        _pattern(content.get("pre_tokenizer")),
        special,
        vocab=_vocab(ids, special),
        ignore_merges=bool(model.get("ignore_merges")),
        nfc=_is_nfc(content.get("normalizer")),
    )


def _spell(token: bytes) -> str:
    return "".join(BYTE_TO_CHAR[byte] for byte in token)


def _added_token(i: int, name: str) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": i, "content": name, **flags, "special": True}


def _special_tokens(entries: Any) -> dict[str, int]:
    special: dict[str, int] = {}
    for entry in entries if isinstance(entries, list) else [entries]:
        try:
            name, i = entry["content"], entry["id"]
        except (TypeError, KeyError):
            raise ValueError(f"an added token without 'id' or 'content': {entry!r}") from None
        if not isinstance(name, str) or type(i) is not int:
            raise ValueError(f"an added token needs a text and a whole number, got {entry!r}")
        for flag in ("lstrip", "rstrip", "single_word"):
            if entry.get(flag):
                raise ValueError(f"the added token {name!r} uses {flag}, which is not supported")
        special[name] = i
    return special


def _vocab(ids: Mapping[str, Any], special: Mapping[str, int]) -> list[bytes]:
    """The bytes behind each id: ordinary tokens spelled in the byte alphabet, special ones not."""
    for token, i in ids.items():
        if type(i) is not int:
            raise ValueError(f"the id of the token {token!r} is no whole number: {i!r}")
    ordered = sorted(ids.items(), key=lambda item: item[1])
    vocab: list[bytes] = []
    for token, i in [*ordered, *sorted(special.items(), key=lambda item: item[1])]:
        if i < len(vocab) and special.get(token) == i == ids.get(token):
            continue  # a special token that stands in the vocabulary as well
        if i != len(vocab):
            raise ValueError(f"the token {token!r} has the id {i}, expected {len(vocab)}: no gaps")
        if token in special:
            vocab.append(token.encode())
        elif all(char in CHAR_TO_BYTE for char in token):
            vocab.append(bytes(CHAR_TO_BYTE[char] for char in token))
        else:
            raise ValueError(f"the token {token!r} is not spelled in bytes: no byte-level BPE")
    return vocab


def _merge(entry: Any, ids: Mapping[str, int]) -> tuple[int, int]:
    """A merge is the string "left right" or, in newer files, the list [left, right]."""
    pair = entry.split(" ") if isinstance(entry, str) else entry
    if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(p, str) for p in pair)):
        raise ValueError(f"a merge names two tokens, got {entry!r}")
    left, right = pair
    for token in (left, right, left + right):
        if token not in ids:
            raise ValueError(f"the merge {left!r} + {right!r} needs {token!r}, an unknown token")
    return ids[left], ids[right]


def _is_nfc(normalizer: Any) -> bool:
    if isinstance(normalizer, dict) and normalizer.get("type") == "Sequence":
        steps = normalizer.get("normalizers") or [None]
        normalizer = steps[0] if len(steps) == 1 else normalizer
    if normalizer is None:
        return False
    if isinstance(normalizer, dict) and normalizer.get("type") == "NFC":
        return True
    raise ValueError(f"the normalizer {_kind(normalizer)} is not supported: only NFC, or none")


def _pattern(pre_tokenizer: Any) -> str:
    """Where the file cuts text into pre-tokens, as one regular expression."""
    steps = [pre_tokenizer]
    if isinstance(pre_tokenizer, dict) and pre_tokenizer.get("type") == "Sequence":
        steps = pre_tokenizer.get("pretokenizers") or []
    last = steps[-1] if steps else None
    if not isinstance(last, dict) or last.get("type") != "ByteLevel":
        raise ValueError("the pre-tokenizer is not ByteLevel: only byte-level BPE is supported")
    if last.get("add_prefix_space"):
        raise ValueError("the pre-tokenizer uses add_prefix_space, which is not supported")
    own_regex = last.get("use_regex", True)
    match steps[:-1]:
        case [] if own_regex:
            return GPT2_PATTERN
        case []:
            return r"(?s:.+)"
        case [{"type": "Digits", "individual_digits": True}] if own_regex:
            return GPT2_DIGITS_PATTERN
        case [
            {"type": "Split", "behavior": "Isolated", "pattern": {"Regex": str(pattern)}, **more}
        ]:
            if not more.get("invert") and not own_regex:
                return pattern
        case [{"type": "Split", "behavior": "Isolated", "pattern": {"String": str(text)}, **more}]:
            if not more.get("invert") and not own_regex:
                return str(regex.escape(text))
    kinds = " + ".join(_kind(step) for step in steps)
    raise ValueError(
        f"the pre-tokenizer {kinds} is not supported: expected ByteLevel, alone or after one "
        "isolating Split or after single Digits"
    )


def _kind(part: Any) -> str:
    return str(part.get("type")) if isinstance(part, dict) else repr(part)
