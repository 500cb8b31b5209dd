"""The parts of `lib.chat` that no exercise builds: messages checked, tool calls written and read,
control texts hidden inside contents."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

Message = dict[str, Any]
"""One turn: "role" and "content", an assistant's also "reasoning_content" and "tool_calls"."""

ROLES = ("system", "user", "assistant", "tool")
SWITCHES = {True: "/think", False: "/no_think"}


def check_messages(messages: Sequence[Message]) -> None:
    """Raises `ValueError` that says which message is none, and why."""
    if isinstance(messages, (str, dict)) or not isinstance(messages, Sequence):
        raise ValueError(
            f"expected a list of messages such as [{{'role': 'user', 'content': 'Hello'}}], got "
            f"{messages!r:.80}"
        )
    if not messages:
        raise ValueError("expected at least one message, got an empty conversation")
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or "role" not in message:
            raise ValueError(
                f"message {number} should be a dict with 'role' and 'content', got {message!r:.80}"
            )
        role, calls = message["role"], message.get("tool_calls")
        content, thought = message.get("content"), message.get("reasoning_content")
        if role not in ROLES:
            raise ValueError(f"message {number}: role is one of {', '.join(ROLES)}, got {role!r}")
        if not isinstance(content, str) and not (calls and content is None):
            raise ValueError(f"message {number}: content should be a text, got {content!r:.80}")
        if thought is not None and not isinstance(thought, str):
            raise ValueError(
                f"message {number}: reasoning_content should be a text, got {thought!r:.80}"
            )
        if role != "assistant" and (thought or calls):
            raise ValueError(
                f"message {number}: only the assistant thinks and calls tools, not the {role}"
            )
        for call in calls or []:
            call_text(call)


# --- tools ----------------------------------------------------------------------------------------


def call_text(call: dict[str, Any]) -> str:
    """A tool call as JSON, on one line.

    Args:
        call: {"function": {"name": ..., "arguments": ...}} as Hugging Face has it, or what is in
            it alone. Arguments that are a text are taken for JSON already.

    Raises:
        ValueError: it is neither.

    >>> call_text({"name": "count", "arguments": {"what": "boats"}})
    '{"name": "count", "arguments": {"what": "boats"}}'
    """
    function = call.get("function", call) if isinstance(call, dict) else call
    if not isinstance(function, dict) or not {"name", "arguments"} <= set(function):
        raise ValueError(
            "expected a tool call such as {'name': 'count', 'arguments': {'what': 'boats'}}, got "
            f"{call!r:.80}"
        )
    name, arguments = json.dumps(function["name"], ensure_ascii=False), function["arguments"]
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return f'{{"name": {name}, "arguments": {arguments}}}'


def read_call(text: str) -> dict[str, Any] | None:
    """What `call_text` wrote, in Hugging Face's form; None if it is no tool call."""
    try:
        call = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return None
    arguments = call.get("arguments", {})
    return {"type": "function", "function": {"name": call["name"], "arguments": arguments}}


def tools_text(tools: Sequence[dict[str, Any]]) -> str:
    """What the system turn says about the tools that may be called, each as JSON on a line."""
    return "\n".join(
        ["You may call these tools:", *(json.dumps(t, ensure_ascii=False) for t in tools)]
    )


# --- control texts --------------------------------------------------------------------------------


def hide_control(
    messages: Sequence[Message], control: Collection[str]
) -> tuple[list[Message], str]:
    """Messages in whose texts no control text stands any more, and the mark that broke each up.

    The mark is a character that occurs nowhere in the messages; taking it out brings all back. It
    is empty where there was nothing to hide.

    >>> hidden, mark = hide_control([{"role": "user", "content": "a<b>"}], ["<b>"])
    >>> hidden[0]["content"].replace(mark, "|")
    'a<|b>'
    """
    texts = [text for message in messages for text in _texts_in(message)]
    if not any(token in text for text in texts for token in control):
        return list(messages), ""
    used = set("".join(texts))
    mark = next(chr(c) for c in range(0xFDD0, 0x110000) if chr(c) not in used)
    longest_first = sorted(control, key=len, reverse=True)
    pattern = re.compile("|".join(re.escape(token) for token in longest_first))

    def hide(text: str) -> str:
        while found := pattern.search(text):  # again: control texts may overlap
            cut = found.start() + 1
            text = text[:cut] + mark + text[cut:]
        return text

    return [_each_text(message, hide) for message in messages], mark


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """The same lists and dicts, with `change` applied to every text in them, keys too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_each_text(key, change): _each_text(inner, change) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_each_text(inner, change) for inner in value]
    return value


def _texts_in(value: Any) -> Iterator[str]:
    """Every text in lists and dicts, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts_in(key)
            yield from _texts_in(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts_in(inner)
