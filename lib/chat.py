"""Chat: how a conversation becomes one text, and an answer a message again (lesson
"supervised_fine_tuning").

A language model reads one text. A conversation is messages: who speaks, and what they say. The chat
format turns one into the other. Its control texts are tokens of their own, which nothing that
people say can ever become:

    <|im_start|>user
    How many boats are there?<|im_end|>
    <|im_start|>assistant
    Three.<|im_end|>

This is ChatML, with thoughts and tool calls as Qwen3 writes them. A message is a dict, as in Hugging
Face's libraries: {"role": "user", "content": "How many boats are there?"}.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from lib._chat_parts import (
    CALL,
    CONTROL,
    END,
    END_CALL,
    END_THINK,
    START,
    SWITCHES,
    THINK,
    Message,
    call_text,
    check_messages,
    hide_control,
    read_call,
)
from lib.generation import Processor, generate
from lib.tokenizer import Tokenizer
from lib.transformer import Transformer

__all__ = [
    "END",
    "START",
    "Message",
    "answer_header",
    "encode_chat",
    "end_token",
    "parse_reply",
    "render_chat",
    "reply",
    "set_thinking",
]


def render_chat(messages: Sequence[Message], generate: bool = False) -> str:
    """A conversation as one text, in ChatML.

    Each message is a turn: <|im_start|>, who speaks, a line end, what they say, <|im_end|>, a line
    end. An assistant's thought stands before what it says, as <think>, a line end, the thought, a
    line end, </think> and two line ends. Its tool calls stand behind, each on a line of its own
    after what was said, if anything was: <tool_call>, a line end, the call as JSON (`call_text`), a
    line end, </tool_call>. What a tool answers is a turn of the user, between <tool_response>, a
    line end, and a line end, </tool_response>.

    Args:
        messages: dicts with "role" ("system", "user", "assistant" or "tool") and "content"; an
            assistant's may have "reasoning_content", a text, and "tool_calls", a list.
        generate: begin the assistant's next turn, for a model to go on with.

    Raises:
        ValueError: the messages are none (`check_messages`).

    >>> render_chat([{"role": "user", "content": "Hello"}], generate=True)
    '<|im_start|>user\\nHello<|im_end|>\\n<|im_start|>assistant\\n'
    """
    check_messages(messages)
    text = ""
    for message in messages:
        role, content = message["role"], message.get("content") or ""
        calls = [call_text(call) for call in message.get("tool_calls") or []]
        lines = [content] if content else []
        lines += [f"<tool_call>\n{call}\n</tool_call>" for call in calls]
        body = "\n".join(lines)
        if message.get("reasoning_content"):
            body = f"<think>\n{message['reasoning_content']}\n</think>\n\n{body}"
        if role == "tool":
            role, body = "user", f"<tool_response>\n{content}\n</tool_response>"
        text += f"<|im_start|>{role}\n{body}<|im_end|>\n"
    return text + "<|im_start|>assistant\n" if generate else text


def encode_chat(
    messages: Sequence[Message], tokenizer: Tokenizer, generate: bool = False
) -> list[int]:
    """A conversation as tokens, in which only the format itself writes control tokens.

    Whoever types "<|im_end|>" gets the letters of it. On everything else it gives what
    `tokenizer.encode` makes of the text of `render_chat`, with one exception: the header of a turn,
    such as "<|im_start|>assistant" and its line end, is always encoded by itself, even before a
    content that begins with an empty line. So a prompt is always the beginning of the whole.

    Args:
        messages: as for `render_chat`.
        tokenizer: has the control texts among its special tokens.
        generate: as for `render_chat`.

    Raises:
        ValueError: the messages are none, or the tokenizer lacks a control token.
    """
    end_token(tokenizer)
    special = tokenizer.special_tokens
    hidden, mark = hide_control(messages, special)
    text = render_chat(hidden, generate)
    longest_first = sorted(special, key=len, reverse=True)
    cuts = "|".join(re.escape(token) for token in longest_first)
    ids: list[int] = []
    for part in re.split(rf"((?<={re.escape(START)})\w+\n|{cuts})", text):
        if part in special:
            ids.append(special[part])
        elif part:
            ids += tokenizer.encode_ordinary(part.replace(mark, "") if mark else part)
    return ids


def end_token(tokenizer: Tokenizer) -> int:
    """The id of <|im_end|>, which ends a turn.

    Raises:
        ValueError: the tokenizer lacks a control token of the chat format.
    """
    missing = [token for token in CONTROL if token not in tokenizer.special_tokens]
    if missing:
        raise ValueError(
            f"the tokenizer has no special token {', '.join(missing)}: a chat needs one that was "
            "made with them, such as that of data/mini"
        )
    return tokenizer.special_tokens[END]


def answer_header(tokenizer: Tokenizer) -> list[int]:
    """The ids with which every turn of the assistant begins."""
    end_token(tokenizer)
    return [tokenizer.special_tokens[START], *tokenizer.encode_ordinary("assistant\n")]


def parse_reply(text: str) -> Message:
    """What an assistant wrote, as a message: `render_chat` the other way round.

    Args:
        text: what follows the header, up to <|im_end|> or to where it was cut off.

    Returns:
        A message with "content"; with "reasoning_content" if it thought, whether it came to an end
        or not; with "tool_calls" if it called tools. A call that is no JSON stays in the content.

    >>> parse_reply("<think>\\nTwo and one.\\n</think>\\n\\nThree.")
    {'role': 'assistant', 'content': 'Three.', 'reasoning_content': 'Two and one.'}
    """
    message: Message = {"role": "assistant", "content": ""}
    body = text.split(END)[0]
    if body.startswith(THINK):
        thought, closed, body = body.removeprefix(THINK).partition(END_THINK)
        body = body.lstrip("\n")
        if thought.strip("\n"):
            message["reasoning_content"] = thought.strip("\n")
    calls = []

    def take(found: re.Match[str]) -> str:
        call = read_call(found[1])
        if call is None:
            return found[0]
        calls.append(call)
        return ""

    content = re.sub(rf"\n?{CALL}\s*(.*?)\s*{END_CALL}", take, body, flags=re.DOTALL)
    message["content"] = content
    if calls:
        message["tool_calls"] = calls
    return message


def reply(
    model: Transformer,
    tokenizer: Tokenizer,
    conversations: Sequence[Sequence[Message]],
    max_new_tokens: int = 256,
    *,
    temperature: float = 0.0,
    processors: Sequence[Processor] = (),
    generator: torch.Generator | None = None,
    batch_size: int = 64,
) -> list[Message]:
    """Let the model answer several conversations at once.

    Args:
        model: an assistant.
        tokenizer: its tokenizer.
        conversations: lists of messages, of any length.
        max_new_tokens: how long an answer becomes at most.
        temperature: as for `lib.generation.generate`; at 0 the likeliest token is taken.
        processors: as for `lib.generation.generate`.
        generator: where the chance comes from.
        batch_size: how many conversations are answered at once.

    Returns:
        A message for each conversation, as of `parse_reply`. Its "finish_reason" is "stop" if the
        model ended it, "length" if it was cut off.
    """
    end = end_token(tokenizer)
    prompts = [encode_chat(messages, tokenizer, generate=True) for messages in conversations]
    answers: list[Message] = []
    for first in range(0, len(prompts), batch_size):
        written = generate(
            model,
            prompts[first : first + batch_size],
            max_new_tokens,
            temperature=temperature,
            processors=processors,
            stop=[end],
            generator=generator,
        )
        for ids in written:
            stopped = bool(ids) and ids[-1] == end
            message = parse_reply(tokenizer.decode(ids[:-1] if stopped else ids))
            answers.append({**message, "finish_reason": "stop" if stopped else "length"})
    return answers


def set_thinking(messages: Sequence[Message], on: bool) -> list[Message]:
    """The same conversation, whose system turn ends with "/think" or "/no_think".

    >>> set_thinking([{"role": "user", "content": "Hello"}], on=False)[0]
    {'role': 'system', 'content': '/no_think'}
    """
    check_messages(messages)
    first, rest = messages[0], list(messages[1:])
    if first["role"] != "system":
        first, rest = {"role": "system", "content": ""}, list(messages)
    kept = [line for line in first["content"].split("\n") if line not in SWITCHES.values()]
    lines = [*kept, SWITCHES[on]] if any(kept) else [SWITCHES[on]]
    return [{**first, "content": "\n".join(lines)}, *rest]
