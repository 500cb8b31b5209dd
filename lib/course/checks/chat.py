"""Checks of the floor `lib.chat`. Oracle: the course's chat template, run by Jinja; small ones by
hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lib.chat import TEMPLATE, Message, render_template
from lib.course.bank import Case, Exercise
from lib.course.checks.ngram import came_back


def by_jinja(messages: Sequence[Message], generate: bool = False) -> str:
    return render_template(TEMPLATE, messages, generate)


def user(content: str) -> Message:
    return {"role": "user", "content": content}


def assistant(content: str | None, thought: str | None = None, *calls: Any) -> Message:
    message: Message = {"role": "assistant", "content": content}
    if thought is not None:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = list(calls)
    return message


def system(content: str) -> Message:
    return {"role": "system", "content": content}


def result(content: str) -> Message:
    return {"role": "tool", "content": content}


COUNT = {"type": "function", "function": {"name": "count", "arguments": {"what": "boats"}}}
LOOK = {"name": "look", "arguments": {"where": "café", "times": 2}}


def boats() -> list[Message]:
    """Two questions and their answers."""
    return [
        user("How many boats are there?"),
        assistant("Three."),
        user("And how many are red?"),
        assistant("One of them."),
    ]


RENDER_CHAT = Exercise(
    "lib.chat.render_chat",
    oracle=by_jinja,
    cases=[
        Case(
            "one message",
            lambda: ([user("Hello")],),
            expected=lambda *_: "<|im_start|>user\nHello<|im_end|>\n",
        ),
        Case(
            "one message, and the answer begins",
            lambda: ([user("Hello")], True),
            expected=lambda *_: "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
        ),
        Case("two questions and answers", lambda: (boats(),)),
        Case("a system turn before them", lambda: ([system("Be brief."), *boats()],)),
        Case("a third answer begins", lambda: ([*boats(), user("Which one?")], True)),
        Case(
            "blanks and line ends at the edges of contents",
            lambda: ([system("\n Be kind. "), user("Hello \n"), assistant("\n\nHello ")],),
        ),
        Case("an answer that ends in line ends", lambda: ([user("Go."), assistant("Gone.\n\n")],)),
        Case("another answer begins behind an answer", lambda: (boats(), True)),
        Case("an empty content", lambda: ([user(""), assistant("")],)),
        Case(
            "a thought",
            lambda: ([user("Two and one?"), assistant("Three.", "2 + 1 = 3")],),
            expected=lambda *_: (
                "<|im_start|>user\nTwo and one?<|im_end|>\n"
                "<|im_start|>assistant\n<think>\n2 + 1 = 3\n</think>\n\nThree.<|im_end|>\n"
            ),
        ),
        Case(
            "a thought with blanks and line ends around it",
            lambda: ([user("Two and one?"), assistant("Three.", "\n 2 + 1 = 3 \n")],),
        ),
        Case("a thought and no word", lambda: ([user("Go."), assistant("", "Where?")],)),
        Case(
            "thoughts in both answers",
            lambda: (
                [
                    user("Two and one?"),
                    assistant("Three.", "2 + 1 = 3"),
                    user("And four?"),
                    assistant("Seven.", "3 + 4 = 7\nYes."),
                ],
            ),
        ),
        Case(
            "thoughts that are empty, or None",
            lambda: (
                [user("a"), assistant("b", ""), {**assistant("c"), "reasoning_content": None}],
            ),
        ),
        Case(
            "a tool call after some words",
            lambda: ([user("How many boats?"), assistant("I look.", None, COUNT)],),
            expected=lambda *_: (
                "<|im_start|>user\nHow many boats?<|im_end|>\n"
                "<|im_start|>assistant\nI look.\n<tool_call>\n"
                '{"name": "count", "arguments": {"what": "boats"}}\n'
                "</tool_call><|im_end|>\n"
            ),
        ),
        Case(
            "two tool calls without a word, after a thought; content is None",
            lambda: ([user("Go."), assistant(None, "I need both.", COUNT, LOOK)],),
        ),
        Case(
            "what two tools answered, and the answer begins",
            lambda: (
                [user("Go."), assistant("", None, COUNT, LOOK), result("3"), result("a boat\n")],
                True,
            ),
        ),
        Case("no messages", lambda: ([],), run=came_back, raises=ValueError),
        Case(
            "a role that there is not",
            lambda: ([user("Hello"), {"role": "bot", "content": "Hello"}],),
            run=came_back,
            raises=ValueError,
        ),
        Case(
            "a content that is no text",
            lambda: ([{"role": "user", "content": 3}],),
            run=came_back,
            raises=ValueError,
        ),
    ],
    speed=lambda: ([system("Be brief."), *boats() * 50], True),
    hints=(
        "Do one message by hand first: who speaks stands on the first line, what they say below, "
        "and where does the control text that ends the turn stand, and the line end behind it?",
        'Make the body of each turn first, then put f"<|im_start|>{role}\\n{body}<|im_end|>\\n" '
        "around it. For an assistant the body has up to three parts: a thought, the content, calls. "
        "A tool's message becomes a turn of the user.",
        'lines = [content] if content else []; each call adds f"<tool_call>\\n{call_text(call)}\\n'
        '</tool_call>"; "\\n".join(lines) is the body. If there is a thought, that is not empty, '
        'f"<think>\\n{thought}\\n</think>\\n\\n" goes in front. And generate adds one more header.',
    ),
)
