"""Other right answers for the floor `lib.chat`."""

from lib.chat import TEMPLATE, call_text, check_messages, render_template
from tests.variants import right

RENDER = "lib.chat.render_chat"


@right(RENDER)
def with_pieces(messages, generate=False):
    """A list of pieces, joined at the end."""
    check_messages(messages)
    pieces = []
    for message in messages:
        tool = message["role"] == "tool"
        pieces += ["<|im_start|>", "user" if tool else message["role"], "\n"]
        if tool:
            pieces += ["<tool_response>\n", message["content"], "\n</tool_response>"]
        else:
            thought = message.get("reasoning_content")
            if thought:
                pieces += ["<think>\n", thought, "\n</think>\n\n"]
            said = message.get("content")
            if said:
                pieces.append(said)
            for number, call in enumerate(message.get("tool_calls", [])):
                if said or number > 0:
                    pieces.append("\n")
                pieces += ["<tool_call>\n", call_text(call), "\n</tool_call>"]
        pieces += ["<|im_end|>", "\n"]
    if generate:
        pieces += ["<|im_start|>", "assistant", "\n"]
    return "".join(pieces)


@right(RENDER, slow=True)
def with_a_template(messages, generate=False):
    """The template does it; the messages are checked before."""
    check_messages(messages)
    return render_template(TEMPLATE, messages, generate=generate)


@right(RENDER)
def with_helpers(messages, generate=False):
    """Small functions, one for each kind of turn."""

    def turn(role, body):
        return f"<|im_start|>{role}\n{body}<|im_end|>\n"

    def answer(message):
        thought = message.get("reasoning_content") or ""
        before = "<think>\n" + thought + "\n</think>\n\n" if thought else ""
        parts = [message.get("content") or None]
        calls = map(call_text, message.get("tool_calls") or ())
        parts += ["<tool_call>\n" + call + "\n</tool_call>" for call in calls]
        return before + "\n".join(part for part in parts if part is not None)

    def one(message):
        if message["role"] == "assistant":
            return turn("assistant", answer(message))
        if message["role"] == "tool":
            return turn("user", "<tool_response>\n" + message["content"] + "\n</tool_response>")
        return turn(message["role"], message["content"])

    check_messages(messages)
    text = "".join(map(one, messages))
    return text + "<|im_start|>assistant\n" if generate else text
