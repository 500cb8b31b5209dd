"""Chat formats of published models, and the templates in which they are written down (given).

Every published assistant comes with a chat template: a small program in the language Jinja that
turns messages into a text. `render_template` runs any of them as Hugging Face's `transformers`
does. `FAMILIES` says in a table how four families write a turn; `TEMPLATE` is this course's own
format, for models that go out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from lib._chat_parts import Message, call_text, check_messages

TRAINING_TEMPLATE = r"""
{%- if tools %}
    {{- "<|im_start|>system\n" }}
    {%- if messages[0].role == "system" and messages[0].content %}
        {{- messages[0].content + "\n\n" }}
    {%- endif %}
    {{- "You may call these tools:" }}
    {%- for tool in tools %}
        {{- "\n" + (tool | tojson) }}
    {%- endfor %}
    {{- "<|im_end|>\n" }}
{%- endif %}
{%- for message in messages %}
    {%- set content = message.content or "" %}
    {%- if message.role == "assistant" %}
        {{- "<|im_start|>assistant\n" }}
        {%- generation %}
            {%- if message.reasoning_content %}
                {{- "<think>\n" + message.reasoning_content + "\n</think>\n\n" }}
            {%- endif %}
            {{- content }}
            {%- for tool_call in message.tool_calls or [] %}
                {%- set call = tool_call.function or tool_call %}
                {%- if content or not loop.first %}
                    {{- "\n" }}
                {%- endif %}
                {{- '<tool_call>\n{"name": ' + (call.name | tojson) + ', "arguments": ' }}
                {{- call.arguments if call.arguments is string else call.arguments | tojson }}
                {{- "}\n</tool_call>" }}
            {%- endfor %}
            {{- "<|im_end|>" }}
        {%- endgeneration %}
        {{- "\n" }}
    {%- elif message.role == "tool" %}
        {{- "<|im_start|>user\n<tool_response>\n" + content + "\n</tool_response><|im_end|>\n" }}
    {%- elif message.role not in ["system", "user"] %}
        {{- raise_exception("a role is system, user, assistant or tool, not " + message.role) }}
    {%- elif not (tools and loop.first and message.role == "system") %}
        {{- "<|im_start|>" + message.role + "\n" + content + "<|im_end|>\n" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<|im_start|>assistant\n" }}
{%- endif %}"""
"""`render_chat` as a Jinja template that also says what the assistant has written, for libraries
that train with it: what stands between `generation` and `endgeneration`."""

TEMPLATE = TRAINING_TEMPLATE.replace("{%- generation %}", "").replace("{%- endgeneration %}", "")
"""`render_chat` as a Jinja template, for every program that reads chat templates."""


# --- any template ---------------------------------------------------------------------------------


def render_template(
    template: str,
    messages: Sequence[Message],
    generate: bool = False,
    tools: Sequence[dict[str, Any]] | None = None,
    **variables: Any,
) -> str:
    """Run a chat template on a conversation, as Hugging Face's `transformers` does.

    Templates come from strangers: they run in a sandbox, where they can look at what they are given
    and change nothing.

    Args:
        template: a text in Jinja, such as `chat_template` in a model's tokenizer_config.json.
        messages: the conversation.
        generate: begin the assistant's next turn (Hugging Face's `add_generation_prompt`).
        tools: what may be called, as JSON schemas.
        variables: what else the template may ask for: bos_token, eos_token, enable_thinking …

    Raises:
        ValueError: the template is none, or refuses the conversation; the message says why.

    >>> render_template("{{ bos_token }}{{ messages[0].content | trim }}",
    ...                 [{"role": "user", "content": " Hello "}], bos_token="<s>")
    '<s>Hello'
    """
    from jinja2 import TemplateError

    try:
        return _compiled(template).render(
            messages=[dict(message) for message in messages],
            tools=None if tools is None else list(tools),
            documents=None,
            add_generation_prompt=generate,
            **variables,
        )
    except (TemplateError, TypeError) as error:
        raise ValueError(f"the chat template cannot write this conversation: {error}") from None


@lru_cache(maxsize=32)
def _compiled(template: str) -> Any:
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """The tag `generation` marks what a model wrote. For the text it makes no difference."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("_same"), [], [], body).set_lineno(line)

        def _same(self, caller: Callable[[], str]) -> str:
            return caller()

    def refuse(message: str) -> NoReturn:
        raise TemplateError(message)

    def to_json(
        x: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        return json.dumps(
            x,
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = to_json  # Jinja's own is for web pages: it would write \u003c
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment.from_string(template)


# --- families of models ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Family:
    """How a family of published models writes a conversation.

    Attributes:
        before: what stands before a content; {role} is who speaks.
        after: what stands behind it.
        end: the token at which the model stops.
        begin: what stands before the first turn.
        roles: what roles are called, where it is another name.
        trims: whether blanks and line ends around a content are cut off.
        system: a system message becomes a "turn", is "refused", or is "merged" into the first turn
            of the user.
        default_system: the system message of conversations without one.
        alternates: whether user and assistant must take turns.
        thinks: whether it knows thoughts and tools, as Qwen3 does.
    """

    before: str
    after: str
    end: str
    begin: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    trims: bool = False
    system: str = "turn"
    default_system: str | None = None
    alternates: bool = False
    thinks: bool = False

    def header(self, role: str) -> str:
        """What stands before a content of `role`."""
        return self.before.format(role=self.roles.get(role, role))


CHATML = Family(before="<|im_start|>{role}\n", after="<|im_end|>\n", end="<|im_end|>")
"""How this course writes a turn; see `lib.chat.render_chat` for thoughts and tools."""

GEMMA = Family(
    before="<start_of_turn>{role}\n",
    after="<end_of_turn>\n",
    end="<end_of_turn>",
    begin="<bos>",
    roles={"assistant": "model"},
    trims=True,
    system="refused",
    alternates=True,
)
FAMILIES: dict[str, Family] = {
    "smollm2": Family(
        before="<|im_start|>{role}\n",
        after="<|im_end|>\n",
        end="<|im_end|>",
        default_system="You are a helpful AI assistant named SmolLM, trained by Hugging Face",
    ),
    "qwen3": Family(
        before="<|im_start|>{role}\n",
        after="<|im_end|>\n",
        end="<|im_end|>",
        thinks=True,
    ),
    "llama3": Family(
        before="<|start_header_id|>{role}<|end_header_id|>\n\n",
        after="<|eot_id|>",
        end="<|eot_id|>",
        begin="<|begin_of_text|>",
        trims=True,
    ),
    "gemma": GEMMA,
    "gemma3": Family(**{**GEMMA.__dict__, "system": "merged"}),
}
"""SmolLM2, Qwen3, Llama 3, Gemma 1 and 2, Gemma 3: the instruction-tuned models."""


def family_of(name: str | None) -> Family:
    """The family called `name`; this course's own format for None.

    Raises:
        ValueError: there is none of this name.
    """
    if name is not None and name not in FAMILIES:
        raise ValueError(f"there is no chat format {name!r}; there are: {', '.join(FAMILIES)}")
    return CHATML if name is None else FAMILIES[name]


def render_as(
    name: str, messages: Sequence[Message], generate: bool = False, thinking: bool = True
) -> str:
    """A conversation as one text, as a family of published models has it.

    The text begins with the family's first token, if it has one: whoever encodes it must not add
    another one in front.

    Args:
        name: one of `FAMILIES`.
        messages: as for `lib.chat.render_chat`.
        generate: begin the assistant's next turn.
        thinking: False begins Qwen3's next turn with an empty thought, so that it does not think.

    Raises:
        ValueError: the family refuses the conversation.

    >>> render_as("gemma", [{"role": "user", "content": "Hello "}], generate=True)
    '<bos><start_of_turn>user\\nHello<end_of_turn>\\n<start_of_turn>model\\n'
    """
    check_messages(messages)
    family = family_of(name)
    if family.thinks:
        return _render_qwen3(messages, generate, thinking)
    text, prefix = family.begin, ""
    if messages[0]["role"] == "system" and family.system != "turn":
        if family.system == "refused":
            raise ValueError(f"{name} has no system turn: put it into the first turn of the user")
        prefix, messages = messages[0]["content"] + "\n\n", messages[1:]
    elif messages[0]["role"] != "system" and family.default_system is not None:
        text += family.header("system") + family.default_system + family.after
    for number, message in enumerate(messages):
        if family.alternates and (message["role"] == "user") != (number % 2 == 0):
            raise ValueError(f"in {name}, user and assistant take turns, and the user begins")
        if message.get("reasoning_content") or message.get("tool_calls"):
            raise ValueError(f"{name} has no place for thoughts and tool calls: leave them out")
        content = message["content"].strip() if family.trims else message["content"]
        text += family.header(message["role"]) + (prefix if number == 0 else "") + content
        text += family.after
    return text + family.header("assistant") if generate else text


def _render_qwen3(messages: Sequence[Message], generate: bool, thinking: bool) -> str:
    """Thoughts stay only behind the last question, where the last answer has one even if it is
    empty; tools that answer one after the other share a turn of the user."""
    messages = list(messages)
    questions = [i for i, message in enumerate(messages) if _is_question(message)]
    last_question = questions[-1] if questions else len(messages) - 1
    text = ""
    for i, message in enumerate(messages):
        role, content = message["role"], message.get("content") or ""
        if role == "tool":
            text += "" if i and messages[i - 1]["role"] == "tool" else "<|im_start|>user"
            text += f"\n<tool_response>\n{content}\n</tool_response>"
            more = i + 1 < len(messages) and messages[i + 1]["role"] == "tool"
            text += "" if more else "<|im_end|>\n"
            continue
        if role == "assistant":
            thought, content = _thought_of(message, content)
            lines = [content] if content else []
            for call in message.get("tool_calls") or []:
                lines.append(f"<tool_call>\n{call_text(call)}\n</tool_call>")
            last = i == len(messages) - 1
            if i > last_question and (last or thought):
                if lines and content:
                    lines[0] = content.lstrip("\n")
                thought = thought.strip("\n")
                content = f"<think>\n{thought}\n</think>\n\n" + "\n".join(lines)
            else:
                content = "\n".join(lines)
        text += f"<|im_start|>{role}\n{content}<|im_end|>\n"
    if generate:
        text += "<|im_start|>assistant\n" + ("" if thinking else "<think>\n\n</think>\n\n")
    return text


def _is_question(message: Message) -> bool:
    """Whether a user asks: not a tool's result that somebody wrote as a user's message."""
    content = message.get("content") or ""
    is_result = content.startswith("<tool_response>") and content.endswith("</tool_response>")
    return message["role"] == "user" and not is_result


def _thought_of(message: Message, content: str) -> tuple[str, str]:
    """An assistant's thought and what it said, even where both are written into the content."""
    thought = message.get("reasoning_content")
    if thought is not None or "</think>" not in content:
        return thought or "", content
    before, *_, said = content.split("</think>")
    return before.rstrip("\n").split("<think>")[-1].lstrip("\n"), said.lstrip("\n")
