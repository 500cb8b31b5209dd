"""A window to talk to a model in: the answer appears as it is written, and can be stopped."""

from __future__ import annotations

import html
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lib.chat import Chat

EVERY = 0.05
"""Seconds between two looks of the window at what has been written."""
BOX = (
    "border:1px solid var(--jp-border-color2,#bbb);border-radius:8px;padding:6px 10px;margin:4px 0"
)
PALE = "color:var(--jp-ui-font-color2,#666)"


def talk(chat: Chat, *, thinking: bool = False) -> Any:
    """A field to type into, buttons to send, to stop and to begin again, and what has been said.

    The model writes in a thread of its own, so the notebook stays usable, and *Stop* is heard. What
    was said is in `chat.messages`, here as anywhere.

    Args:
        chat: the conversation; what it holds already is shown.
        thinking: a switch that puts "/think" or "/no_think" into the system turn, for a model that
            has learnt them.

    Returns:
        The widget, to be shown as the last value of a cell; None (after a line that says so) where
        ipywidgets is not installed.
    """
    try:
        import ipywidgets
    except ImportError:
        print(
            "The window needs ipywidgets (pip install ipywidgets). Without it: chat.ask('Hello.')"
        )
        return None
    from lib.chat import set_thinking

    said = ipywidgets.HTML()
    wide = ipywidgets.Layout(width="98%", max_width="640px")
    field = ipywidgets.Text(placeholder="Say something, then Enter", layout=wide)
    send = ipywidgets.Button(description="Send", button_style="primary")
    stop = ipywidgets.Button(description="Stop", disabled=True)
    anew = ipywidgets.Button(description="Begin again")
    think = ipywidgets.ToggleButton(description="Think first", value=False)
    stopping = threading.Event()
    writing: list[threading.Thread] = []

    def busy(now: bool) -> None:
        send.disabled = anew.disabled = think.disabled = now
        stop.disabled = not now

    def answer(text: str) -> None:
        """Runs in its own thread."""
        written, looked = "", 0.0
        before = transcript(chat.messages) + bubble("user", text)
        try:
            said.value = before + bubble("assistant", "…")
            for piece in chat.stream(text):
                written += piece
                if time.monotonic() - looked > EVERY:
                    said.value = before + bubble("assistant", written)
                    looked = time.monotonic()
                if stopping.is_set():
                    break
            said.value = transcript(chat.messages)
        except Exception as error:  # nobody sees what a thread raises: say it where they look
            problem = html.escape(f"{type(error).__name__}: {error}")
            said.value = before + f'<pre style="white-space:pre-wrap">{problem}</pre>'
        finally:
            busy(False)

    def begin(_: Any) -> None:
        text = field.value.strip()
        if not text or (writing and writing[-1].is_alive()):
            return
        field.value = ""
        if thinking:
            before = chat.messages or [{"role": "system", "content": ""}]
            chat.messages = set_thinking(before, think.value)
        stopping.clear()
        busy(True)
        writing[:] = [threading.Thread(target=answer, args=(text,), daemon=True)]
        writing[0].start()

    def begin_again(_: Any) -> None:
        chat.reset()
        said.value = transcript(chat.messages)

    send.on_click(begin)
    with warnings.catch_warnings():  # what it advises instead also sends when the field is left
        warnings.simplefilter("ignore", DeprecationWarning)
        field.on_submit(begin)
    stop.on_click(lambda _: stopping.set())
    anew.on_click(begin_again)
    said.value = transcript(chat.messages)
    buttons = [send, stop, anew, *([think] if thinking else [])]
    box = ipywidgets.VBox([said, field, ipywidgets.HBox(buttons)])
    box.add_class("token-by-token-talk")
    return box


def transcript(messages: Any) -> str:
    """A conversation as HTML, without its system turn."""
    shown = []
    for message in messages:
        if message["role"] == "system":
            continue
        text = str(message["content"])
        if message.get("reasoning_content"):
            text = f"<think>\n{message['reasoning_content']}\n</think>\n\n{text}"
        shown.append(bubble(str(message["role"]), text))
    return "".join(shown)


def bubble(role: str, text: str) -> str:
    """One turn as HTML. A thought is paler than what is said; its end may be missing still."""
    thought, content = "", text
    if text.lstrip().startswith("<think>"):
        thought, _, content = text.lstrip().removeprefix("<think>").partition("</think>")
    parts = [f'<div style="{PALE};font-size:90%">{role}</div>']
    if thought.strip():
        parts.append(f'<div style="{PALE};font-style:italic">{html.escape(thought.strip())}</div>')
    parts.append(f'<div style="white-space:pre-wrap">{html.escape(content.strip())}</div>')
    return f'<div style="{BOX}">{"".join(parts)}</div>'
