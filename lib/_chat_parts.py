"""The parts of `lib.chat` that no exercise builds: messages checked, tool calls written and read,
control texts hidden inside contents, conversations made to fit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

Message = dict[str, Any]
"""One turn: "role" and "content", an assistant's also "reasoning_content" and "tool_calls"."""

ROLES = ("system", "user", "assistant", "tool")
START, END = "<|im_start|>", "<|im_end|>"
THINK, END_THINK = "<think>", "</think>"
CALL, END_CALL = "<tool_call>", "</tool_call>"
RESULT, END_RESULT = "<tool_response>", "</tool_response>"
CONTROL = (START, END, THINK, END_THINK, CALL, END_CALL, RESULT, END_RESULT)
"""The texts that only the chat format itself may write."""

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
        if role not in ROLES:
            raise ValueError(f"message {number}: role is one of {', '.join(ROLES)}, got {role!r}")
        if not isinstance(message.get("content"), str) and not (
            calls and message.get("content") is None
        ):
            raise ValueError(
                f"message {number}: content should be a text, got {message.get('content')!r:.80}"
            )
        thought = message.get("reasoning_content")
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
    arguments = function["arguments"]
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return (
        f'{{"name": {json.dumps(function["name"], ensure_ascii=False)}, "arguments": {arguments}}}'
    )


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


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """The same lists and dicts, with `change` applied to every text in them, keys excepted."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: each_text(inner, change) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [each_text(inner, change) for inner in value]
    return value


def texts_in(value: Any) -> Iterable[str]:
    """Every text in lists and dicts, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from texts_in(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from texts_in(inner)


def hide_control(
    messages: Sequence[Message], control: Collection[str]
) -> tuple[list[Message], str]:
    """Messages in whose texts no control text stands any more, and the mark that was put into each.

    The mark is a character that occurs nowhere in the messages; taking it out brings all back.
    """
    texts = list(texts_in(list(messages)))
    if not any(token in text for text in texts for token in control):
        return list(messages), ""
    everything = "".join(texts)
    mark = next(chr(c) for c in range(0xFDD0, 0x110000) if chr(c) not in everything)
    longest_first = sorted(control, key=len, reverse=True)
    pattern = re.compile("|".join(re.escape(token) for token in longest_first))

    def hide(text: str) -> str:
        # Overlapping ones as well: look again behind the first character of each.
        while found := pattern.search(text):
            cut = found.start() + 1
            text = text[:cut] + mark + text[cut:]
        return text

    hidden = []
    for message in messages:
        changed = each_text({k: v for k, v in message.items() if k != "role"}, hide)
        hidden.append({"role": message["role"], **changed})
    return hidden, mark
