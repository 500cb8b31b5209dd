"""Classic mistakes on the floor `lib.chat`."""

import json

import lib.course.checks.chat  # the exercises must be known first
from lib.chat import call_text, check_messages
from lib.course.bank import mistake

RENDER = "lib.chat.render_chat"


def _body(message, think="<think>\n{}\n</think>\n\n", between="\n", calls="behind", gap="if said"):
    """What stands between header and end of an assistant's turn."""
    content = message.get("content") or ""
    made = [
        f"<tool_call>\n{call_text(call)}\n</tool_call>" for call in message.get("tool_calls") or []
    ]
    if calls == "left out":
        made = []
    lines = [content] if content or (made and gap == "always") else []
    body = between.join([*made, *lines] if calls == "before" else [*lines, *made])
    if message.get("reasoning_content"):
        body = think.format(message["reasoning_content"]) + body
    return body


def _render(
    messages,
    generate,
    *,
    check=True,
    begin="",
    header="<|im_start|>{}\n",
    end="<|im_end|>\n",
    last_end=None,
    prompt="<|im_start|>assistant\n",
    tool="<tool_response>\n{}\n</tool_response>",
    tool_role="user",
    body=_body,
):
    """The format, with one part of it wrong."""
    if check:
        check_messages(messages)
    text = begin
    for number, message in enumerate(messages):
        role, content = message["role"], body(message)
        if role == "tool":
            role, content = tool_role, tool.format(message["content"])
        last = number == len(messages) - 1
        text += header.format(role) + content + (last_end if last and last_end is not None else end)
    return text + (prompt if generate else "")


@mistake(
    RENDER,
    "The line end behind the role is missing: who speaks and what they say run into each other, as in "
    "<|im_start|>userHello.",
)
def no_line_end_behind_role(messages, generate=False):
    return _render(messages, generate, header="<|im_start|>{}", prompt="<|im_start|>assistant")


@mistake(
    RENDER,
    "Behind the role stands a blank instead of a line end: to the model these are other tokens than "
    "the ones it was trained on.",
)
def blank_behind_role(messages, generate=False):
    return _render(messages, generate, header="<|im_start|>{} ", prompt="<|im_start|>assistant ")


@mistake(
    RENDER, "There is no line end behind <|im_end|>: the next turn begins on a line of its own."
)
def no_line_end_behind_turn(messages, generate=False):
    return _render(messages, generate, end="<|im_end|>")


@mistake(
    RENDER,
    "There is no line end behind the last turn: join puts them between the turns, not behind the last.",
)
def joined_turns(messages, generate=False):
    text = _render(messages, generate)
    return text if generate else text.removesuffix("\n")


@mistake(
    RENDER,
    "A line end stands before <|im_end|>, where it belongs to what was said: a model learns to write an "
    "empty line at the end of every answer.",
    seen_in="simplified templates in tutorials",
)
def line_end_before_end(messages, generate=False):
    return _render(messages, generate, end="\n<|im_end|>\n")


@mistake(
    RENDER,
    "The last turn is left open, without <|im_end|>: who trains on that never learns to stop. Only "
    "generate=True leaves a turn open, a new one.",
)
def last_turn_open(messages, generate=False):
    return _render(messages, generate, last_end=None if generate else "")


@mistake(
    RENDER,
    "generate=True is ignored: the text does not begin the assistant's turn, so that a model goes on as "
    "whoever it likes, often as the user.",
)
def prompt_missing(messages, generate=False):
    return _render(messages, False)


@mistake(
    RENDER,
    "Every text ends with the beginning of an assistant's turn: only generate=True asks for that, a "
    "text to train on is complete.",
)
def prompt_always(messages, generate=False):
    return _render(messages, True)


@mistake(
    RENDER,
    "The turn that begins lacks the line end behind the role: the model would have to write it, and in "
    "training it never did, since it belongs to the header.",
)
def prompt_without_line_end(messages, generate=False):
    return _render(messages, generate, prompt="<|im_start|>assistant")


@mistake(
    RENDER,
    "generate=True begins a turn without saying whose: the role and a line end belong to the header.",
)
def prompt_without_role(messages, generate=False):
    return _render(messages, generate, prompt="<|im_start|>")


@mistake(
    RENDER,
    "Contents are stripped of the blanks and line ends around them. Llama 3 and Gemma do so; in this "
    "format a content stays as it is.",
)
def contents_stripped(messages, generate=False):
    stripped = [{**m, "content": (m.get("content") or "").strip()} for m in messages]
    check_messages(messages)
    return _render(stripped, generate)


@mistake(
    RENDER,
    "Line ends behind an answer are taken away: a content stays as it is.",
)
def answers_stripped_behind(messages, generate=False):
    check_messages(messages)
    stripped = [
        {**m, "content": (m.get("content") or "").rstrip("\n")} if m["role"] == "assistant" else m
        for m in messages
    ]
    return _render(stripped, generate)


@mistake(
    RENDER,
    "Thoughts are stripped of the blanks and line ends around them: a thought stays as it is.",
)
def thoughts_stripped(messages, generate=False):
    check_messages(messages)
    stripped = [
        {**m, "reasoning_content": m["reasoning_content"].strip()}
        if m.get("reasoning_content")
        else m
        for m in messages
    ]
    return _render(stripped, generate)


@mistake(
    RENDER,
    "generate=True does nothing behind an answer of the assistant: whoever asks for its next turn gets "
    "the beginning of one.",
)
def prompt_behind_users_alone(messages, generate=False):
    check_messages(messages)
    return _render(messages, generate and messages[-1]["role"] != "assistant")


@mistake(
    RENDER,
    "A conversation without a system turn gets one that nobody wrote. SmolLM2's template does so; in "
    "this format there are only the turns that there are.",
    seen_in="SmolLM2",
)
def default_system(messages, generate=False):
    check_messages(messages)
    if messages[0]["role"] != "system":
        messages = [{"role": "system", "content": "You are a helpful assistant."}, *messages]
    return _render(messages, generate)


@mistake(RENDER, "System turns are left out: they are turns like all others.")
def system_left_out(messages, generate=False):
    check_messages(messages)
    return _render([m for m in messages if m["role"] != "system"], generate)


@mistake(
    RENDER,
    "The text begins with <|endoftext|>, which this format does not have: where both the template and "
    "the tokenizer put a first token in front, there are two of them, which no model has seen.",
    seen_in="double BOS with Llama 3",
)
def first_token(messages, generate=False):
    return _render(messages, generate, begin="<|endoftext|>")


@mistake(
    RENDER, "Thoughts are left out: an assistant's reasoning_content stands before its content."
)
def no_thoughts(messages, generate=False):
    return _render(messages, generate, body=lambda m: _body(m, think=""))


@mistake(
    RENDER,
    "Only the last thought is kept. Qwen3 forgets the earlier ones; in this format all of them stay, so "
    "that what was written before never changes.",
    seen_in="Qwen3",
)
def earlier_thoughts_dropped(messages, generate=False):
    check_messages(messages)
    last = max((i for i, m in enumerate(messages) if m["role"] == "user"), default=-1)
    kept = [m if i > last else {**m, "reasoning_content": None} for i, m in enumerate(messages)]
    return _render(kept, generate)


@mistake(RENDER, "The thought stands behind the content: the model should think before it speaks.")
def thought_behind(messages, generate=False):
    def body(message):
        thought = message.get("reasoning_content")
        said = _body({**message, "reasoning_content": None})
        return said + (f"<think>\n{thought}\n</think>\n\n" if thought else "")

    return _render(messages, generate, body=body)


@mistake(RENDER, "Behind </think> stands one line end, where there should be two: an empty line.")
def one_line_end_behind_thought(messages, generate=False):
    return _render(messages, generate, body=lambda m: _body(m, think="<think>\n{}\n</think>\n"))


@mistake(
    RENDER,
    "<think> and </think> stand on the same line as the thought: each has a line of its own.",
)
def thought_on_one_line(messages, generate=False):
    return _render(messages, generate, body=lambda m: _body(m, think="<think>{}</think>\n\n"))


@mistake(
    RENDER,
    "A thought that is empty, or None, is written as an empty <think> block: where there is no thought, "
    "nothing should stand.",
)
def empty_thoughts(messages, generate=False):
    def body(message):
        if "reasoning_content" not in message:
            return _body(message)
        thought = message["reasoning_content"] or ""
        return f"<think>\n{thought}\n</think>\n\n" + _body({**message, "reasoning_content": None})

    return _render(messages, generate, body=body)


@mistake(
    RENDER,
    "Every answer gets a <think> block, also those without a thought: only where there is one.",
)
def thought_everywhere(messages, generate=False):
    def body(message):
        if message["role"] != "assistant":
            return _body(message)
        thought = message.get("reasoning_content") or ""
        return f"<think>\n{thought}\n</think>\n\n" + _body({**message, "reasoning_content": None})

    return _render(messages, generate, body=body)


@mistake(RENDER, "Tool calls are left out: they stand behind the content.")
def no_calls(messages, generate=False):
    return _render(messages, generate, body=lambda m: _body(m, calls="left out"))


@mistake(RENDER, "Tool calls stand before the content: they belong behind it.")
def calls_before(messages, generate=False):
    return _render(messages, generate, body=lambda m: _body(m, calls="before"))


@mistake(
    RENDER,
    "Content and tool calls follow each other without a line end: each call begins on a new line.",
)
def calls_glued(messages, generate=False):
    return _render(messages, generate, body=lambda m: _body(m, between=""))


@mistake(
    RENDER,
    "A line end stands before the first tool call even if nothing was said before it: it only parts "
    "what is there.",
)
def gap_before_calls(messages, generate=False):
    return _render(messages, generate, body=lambda m: _body(m, gap="always"))


@mistake(
    RENDER,
    "A tool call is written as Python shows a dict, with single quotes: it should be JSON, which "
    "call_text makes.",
)
def calls_as_python(messages, generate=False):
    def body(message):
        text = _body(message)
        for call in message.get("tool_calls") or []:
            function = call.get("function", call)
            shown = {"name": function["name"], "arguments": function["arguments"]}
            text = text.replace(call_text(call), str(shown))
        return text

    return _render(messages, generate, body=body)


@mistake(
    RENDER,
    "Letters such as é become \\u00e9 in a tool call: json.dumps needs ensure_ascii=False, as call_text "
    "has it.",
)
def calls_escaped(messages, generate=False):
    def body(message):
        text = _body(message)
        for call in message.get("tool_calls") or []:
            function = call.get("function", call)
            shown = {"name": function["name"], "arguments": function["arguments"]}
            text = text.replace(call_text(call), json.dumps(shown))
        return text

    return _render(messages, generate, body=body)


@mistake(
    RENDER,
    "What a tool answers is a turn of the role tool: in this format it is a turn of the user, between "
    "<tool_response> and </tool_response>.",
)
def tool_turns(messages, generate=False):
    return _render(messages, generate, tool_role="tool")


@mistake(
    RENDER,
    "What a tool answers is a turn of the role tool, and without <tool_response>: the model could not "
    "tell where it comes from.",
)
def tool_turns_bare(messages, generate=False):
    return _render(messages, generate, tool="{}", tool_role="tool")


@mistake(
    RENDER,
    "What a tool answers stands in a turn of the user without <tool_response>: the model would take it "
    "for the user's own words.",
)
def results_bare(messages, generate=False):
    return _render(messages, generate, tool="{}")


@mistake(
    RENDER,
    "The results of tools that answer one after the other share a turn, as in Qwen3: in this format each "
    "has a turn of its own.",
    seen_in="Qwen3",
)
def results_together(messages, generate=False):
    border = "</tool_response><|im_end|>\n<|im_start|>user\n<tool_response>"
    return _render(messages, generate).replace(border, "</tool_response>\n<tool_response>")


@mistake(
    RENDER,
    "Messages that are none go through unnoticed: check_messages(messages) says what is wrong with them.",
)
def not_checked(messages, generate=False):
    return _render(messages, generate, check=False, body=lambda m: str(_body(m)))
