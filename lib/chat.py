"""Chat: how a conversation becomes one text, and an answer a message again (lesson
"supervised_fine_tuning").

A language model reads one text. A conversation is messages: who speaks, and what they say. The chat
format turns one into the other. Its control texts are tokens of their own, which nothing that
people say can ever become:

    <|im_start|>user
    How many boats are there?<|im_end|>
    <|im_start|>assistant
    Three.<|im_end|>

This is ChatML, with thoughts and tool calls as Qwen3 writes them. A message is a dict, as in
Hugging Face: {"role": "user", "content": "How many boats are there?"}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from tqdm import tqdm

from lib._chat_parts import (
    SWITCHES,
    Message,
    call_text,
    check_messages,
    hide_control,
    read_call,
    tools_text,
)
from lib._chat_templates import (
    FAMILIES,
    TEMPLATE,
    TRAINING_TEMPLATE,
    family_of,
    render_as,
    render_template,
)
from lib.generation import Processor, generate, stream
from lib.tokenizer import Tokenizer
from lib.transformer import Transformer

__all__ = [
    "FAMILIES",
    "TEMPLATE",
    "TRAINING_TEMPLATE",
    "Chat",
    "Message",
    "answer_header",
    "call_text",
    "check_messages",
    "encode_chat",
    "end_token",
    "fit_messages",
    "parse_reply",
    "render_as",
    "render_chat",
    "render_template",
    "reply",
    "set_thinking",
    "with_tools",
]


def render_chat(messages: Sequence[Message], generate: bool = False) -> str:
    """A conversation as one text, in ChatML.

    Every message is a turn, with a line end behind it:

        <|im_start|>{role}
        {body}<|im_end|>

    The body is the content. An assistant's has up to three parts, of which those that are empty or
    None leave nothing behind. The empty line belongs to the thought, whatever follows:

        <think>
        {reasoning_content}
        </think>

        {content}
        <tool_call>
        {call_text(call)}
        </tool_call>

    What a tool answers is a turn of the user, in which <tool_response> and </tool_response> stand
    on lines of their own above and below the content.

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
    messages: Sequence[Message],
    tokenizer: Tokenizer,
    generate: bool = False,
    family: str | None = None,
) -> list[int]:
    """A conversation as tokens, in which only the format itself writes control tokens.

    Whoever types "<|im_end|>" gets the letters of it. On everything else it gives what
    `tokenizer.encode` makes of the whole text, with one exception: the header of a turn, such as
    "<|im_start|>assistant" and its line end, is always encoded by itself, even before a content
    that begins with an empty line. So a prompt is always the beginning of the whole.

    Args:
        messages: as for `render_chat`.
        tokenizer: has the control texts among its special tokens.
        generate: as for `render_chat`.
        family: for published models, one of `FAMILIES`; left out, this course's format.

    Raises:
        ValueError: the messages are none, or the tokenizer lacks the tokens of the format.
    """
    check_messages(messages)
    end_token(tokenizer, family)
    special = tokenizer.special_tokens
    hidden, mark = hide_control(messages, special)
    text = render_as(family, hidden, generate) if family else render_chat(hidden, generate)
    header = family_of(family).before.split("{role}")
    longest_first = sorted(special, key=len, reverse=True)
    cuts = "|".join([r"\w+".join(map(re.escape, header)), *map(re.escape, longest_first)])
    ids: list[int] = []
    for number, part in enumerate(re.split(f"({cuts})", text)):
        if number % 2:  # a header, or another control text
            ids += tokenizer.encode(part, allowed_special="all")
        elif part:
            ids += tokenizer.encode_ordinary(part.replace(mark, "") if mark else part)
    return ids


def end_token(tokenizer: Tokenizer, family: str | None = None) -> int:
    """The id that ends a turn: <|im_end|>, or what a family of published models has for it.

    Raises:
        ValueError: the tokenizer lacks a token of the format.
    """
    chosen = family_of(family)
    needed = {chosen.end, *re.findall(r"<[^<>]+>", chosen.before)}
    if missing := sorted(needed - set(tokenizer.special_tokens)):
        raise ValueError(
            f"the tokenizer has no special token {', '.join(missing)}: a chat needs one that was "
            "made with them, such as that of data/mini"
        )
    return tokenizer.special_tokens[chosen.end]


def answer_header(tokenizer: Tokenizer, family: str | None = None) -> list[int]:
    """The ids with which every turn of the assistant begins."""
    end_token(tokenizer, family)
    return tokenizer.encode(family_of(family).header("assistant"), allowed_special="all")


def parse_reply(text: str) -> Message:
    """What an assistant wrote, as a message: `render_chat` the other way round.

    Args:
        text: what follows the header, without <|im_end|>.

    Returns:
        A message with "content"; with "reasoning_content" if it thought, whether or not the
        thought came to its end; with "tool_calls" if it called tools. What stands between
        <tool_call> and </tool_call> and is no call stays in the content.

    >>> parse_reply("<think>\\nTwo and one.\\n</think>\\n\\nThree.")
    {'role': 'assistant', 'content': 'Three.', 'reasoning_content': 'Two and one.'}
    """
    message: Message = {"role": "assistant", "content": text}
    if text.startswith("<think>"):
        thought, _, said = text.removeprefix("<think>").partition("</think>")
        message["content"] = said.removeprefix("\n").removeprefix("\n")
        if thought.strip("\n"):
            message["reasoning_content"] = thought.removeprefix("\n").removesuffix("\n")
    calls = []

    def take(found: re.Match[str]) -> str:
        call = read_call(found[1])
        if call is None:
            return found[0]
        calls.append(call)
        return ""

    pattern = r"\n?<tool_call>\s*(.*?)\s*</tool_call>"
    message["content"] = re.sub(pattern, take, message["content"], flags=re.DOTALL)
    if calls:
        message["tool_calls"] = calls
    return message


def set_thinking(messages: Sequence[Message], on: bool) -> list[Message]:
    """The same conversation, whose system turn ends with "/think" or "/no_think".

    >>> set_thinking([{"role": "user", "content": "Hello"}], on=False)[0]
    {'role': 'system', 'content': '/no_think'}
    """
    system, rest = _system_of(messages)
    lines = [line for line in system.split("\n") if line not in SWITCHES.values()]
    content = "\n".join([*lines, SWITCHES[on]] if any(lines) else [SWITCHES[on]])
    return [{"role": "system", "content": content}, *rest]


def with_tools(messages: Sequence[Message], tools: Sequence[dict[str, Any]]) -> list[Message]:
    """The same conversation, whose system turn ends with the tools that may be called.

    Args:
        messages: the conversation.
        tools: each as a JSON schema, {"name": …, "description": …, "parameters": …}.
    """
    system, rest = _system_of(messages)
    content = f"{system}\n\n{tools_text(tools)}" if system else tools_text(tools)
    return [{"role": "system", "content": content}, *rest]


def _system_of(messages: Sequence[Message]) -> tuple[str, list[Message]]:
    check_messages(messages)
    if messages[0]["role"] == "system":
        return messages[0]["content"], list(messages[1:])
    return "", list(messages)


def fit_messages(
    messages: Sequence[Message], tokenizer: Tokenizer, n_tokens: int, family: str | None = None
) -> list[Message]:
    """The same conversation without its oldest turns, so that a prompt has at most `n_tokens`.

    System turns at the beginning stay, and so do the last message of the user and what follows it,
    even if that is too long. What goes, goes from one message of the user to the next.
    """
    check_messages(messages)
    n_system = next((i for i, m in enumerate(messages) if m["role"] != "system"), len(messages))
    system, rest = list(messages[:n_system]), list(messages[n_system:])
    kept = [*system, *rest]
    for first, message in enumerate(rest):
        if first and message["role"] != "user":
            continue
        kept = [*system, *rest[first:]]
        if len(encode_chat(kept, tokenizer, True, family)) <= n_tokens:
            break
    return kept


def reply(
    model: Transformer,
    tokenizer: Tokenizer,
    conversations: Sequence[Sequence[Message]],
    max_new_tokens: int = 256,
    *,
    temperature: float = 0.0,
    processors: Sequence[Processor] = (),
    generator: torch.Generator | None = None,
    begin: str = "",
    drop_oldest: bool = False,
    batch_size: int = 64,
    family: str | None = None,
    progress: bool = False,
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
        begin: what every answer begins with, control texts included: "<think>\\n" for a thought.
        drop_oldest: leave out the oldest turns of a conversation that is too long.
        batch_size: how many conversations are answered at once.
        family: for published models, one of `FAMILIES`; left out, this course's format.
        progress: show a bar.

    Returns:
        A message for each conversation, as of `parse_reply`. Its "finish_reason" is "stop" if the
        model ended the turn, "length" if it was cut off.

    Raises:
        ValueError: a conversation is none, or it leaves no room for an answer.
    """
    end = end_token(tokenizer, family)
    prompts = []
    for number, messages in enumerate(conversations):
        if drop_oldest:
            room = max(model.config.n_context - max_new_tokens, 1)
            messages = fit_messages(messages, tokenizer, room, family)
        prompt = _prompt(messages, tokenizer, begin, family)
        if len(prompt) >= model.config.n_context:
            raise ValueError(
                f"conversation {number} has {len(prompt)} tokens, which leaves no room in a "
                f"context of {model.config.n_context}: shorten it, or leave out its oldest turns "
                "with drop_oldest=True"
            )
        prompts.append(prompt)
    answers: dict[int, Message] = {}
    by_length = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    starts = range(0, len(prompts), batch_size)
    for first in tqdm(starts, desc="answering", unit="batch", disable=not progress):
        numbers = by_length[first : first + batch_size]
        written = generate(
            model, [prompts[number] for number in numbers], max_new_tokens,
            temperature=temperature, processors=processors, stop=[end], generator=generator,
        )  # fmt: skip
        for number, ids in zip(numbers, written):
            stopped = bool(ids) and ids[-1] == end
            text = begin + tokenizer.decode(ids[:-1] if stopped else ids)
            answers[number] = _answer(text, stopped)
    return [answers[number] for number in range(len(prompts))]


def _prompt(
    messages: Sequence[Message], tokenizer: Tokenizer, begin: str, family: str | None
) -> list[int]:
    ids = encode_chat(messages, tokenizer, generate=True, family=family)
    return ids + tokenizer.encode(begin, allowed_special="all")


def _answer(text: str, stopped: bool) -> Message:
    return {**parse_reply(text), "finish_reason": "stop" if stopped else "length"}


class Chat:
    """A conversation with a model that goes on from message to message.

    Attributes:
        messages: what was said so far, the system message included; yours to read and to change.
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: Tokenizer,
        system: str | None = None,
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        processors: Sequence[Processor] = (),
        generator: torch.Generator | None = None,
        begin: str = "",
        drop_oldest: bool = True,
        family: str | None = None,
    ) -> None:
        """
        Args:
            model: an assistant.
            tokenizer: its tokenizer.
            system: what it is told before anything else, if anything.
            max_new_tokens: as for `reply`, and so are the others.
            temperature: at 0 the likeliest token is taken.
            processors: what changes the scores of the next token.
            generator: where the chance comes from.
            begin: what every answer begins with.
            drop_oldest: forget the oldest turns when the conversation has become too long.
            family: the chat format of a published model.
        """
        self.model, self.tokenizer, self.system = model, tokenizer, system
        self.max_new_tokens, self.drop_oldest, self.family = max_new_tokens, drop_oldest, family
        self.begin = begin
        self.sampling: dict[str, Any] = {
            "temperature": temperature,
            "processors": processors,
            "generator": generator,
        }
        self.messages: list[Message] = []
        self.reset()

    def reset(self) -> None:
        """Forget everything but the system message."""
        start = [] if self.system is None else [{"role": "system", "content": self.system}]
        self.messages = list(start)

    def ask(self, text: str) -> str:
        """Say something; what the model answers, without thoughts and tool calls.

        The whole answer is `messages[-1]`.
        """
        asked = [*self.messages, {"role": "user", "content": text}]
        (answer,) = reply(
            self.model, self.tokenizer, [asked], self.max_new_tokens, begin=self.begin,
            drop_oldest=self.drop_oldest, family=self.family, **self.sampling,
        )  # fmt: skip
        self.messages = [*asked, answer]
        return answer["content"]

    def stream(self, text: str) -> Iterator[str]:
        """Say something; the answer piece by piece as it is written, thoughts and tool calls too.

        Whoever takes no more pieces stops the model; what it has said by then stays in `messages`.
        """
        asked = [*self.messages, {"role": "user", "content": text}]
        kept: Sequence[Message] = asked
        n_context = self.model.config.n_context
        if self.drop_oldest:
            room = max(n_context - self.max_new_tokens, 1)
            kept = fit_messages(asked, self.tokenizer, room, self.family)
        prompt = _prompt(kept, self.tokenizer, self.begin, self.family)
        limit, n_drawn = min(self.max_new_tokens, n_context - len(prompt)), 0

        def count(tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            nonlocal n_drawn
            n_drawn += 1
            return logits

        written, stopped = self.begin, False
        sampling = {**self.sampling, "processors": [*self.sampling["processors"], count]}
        end = end_token(self.tokenizer, self.family)
        try:
            if self.begin:
                yield self.begin
            for piece in stream(
                self.model, self.tokenizer, prompt, self.max_new_tokens, stop=[end], **sampling
            ):
                written += piece
                yield piece
            stopped = n_drawn < limit
        finally:
            if n_drawn:
                self.messages = [*asked, _answer(written, stopped)]
