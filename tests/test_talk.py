"""The window to talk in, without a browser: what it shows, stops and says when something fails."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lib.course.talk import bubble, talk


class Slow:
    """A conversation whose answers come piece by piece, as the test lets them."""

    def __init__(self, pieces: list[str]) -> None:
        self.messages: list[dict[str, Any]] = [{"role": "system", "content": "Be <kind>."}]
        self.pieces, self.go, self.seen = pieces, threading.Semaphore(0), threading.Event()

    def reset(self) -> None:
        del self.messages[1:]

    def stream(self, text: str) -> Iterator[str]:
        written = ""
        try:
            for piece in self.pieces:
                self.seen.set()
                assert self.go.acquire(timeout=20)
                if piece == "!":
                    raise RuntimeError("out of <breath>")
                written += piece
                yield piece
        finally:
            answer = {"role": "assistant", "content": written}
            self.messages += [{"role": "user", "content": text}, answer]


def parts(box: Any) -> tuple[Any, Any, dict[str, Any]]:
    said, field, row = box.children
    return said, field, {button.description: button for button in row.children}


def wait(condition: Any) -> None:
    for _ in range(400):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


def ask(chat: Slow, text: str = "Hello <you>") -> tuple[Any, Any, dict[str, Any]]:
    said, field, buttons = parts(talk(chat))  # type: ignore[arg-type]
    field.value = text
    buttons["Send"].click()
    assert chat.seen.wait(5)
    return said, field, buttons


def test_an_answer_grows_and_stays() -> None:
    chat = Slow(["I ", "am ", "here."])
    said, field, buttons = ask(chat)
    assert field.value == "" and buttons["Send"].disabled and not buttons["Stop"].disabled
    chat.go.release()
    wait(lambda: "I" in said.value.split("assistant")[-1])
    assert "here" not in said.value
    chat.go.release(2)
    wait(lambda: not buttons["Send"].disabled)
    assert "I am here." in said.value and "Hello &lt;you&gt;" in said.value
    assert "Be " not in said.value, "the system turn is not shown"
    assert buttons["Stop"].disabled


def test_stop_is_heard_and_keeps_what_was_said() -> None:
    chat = Slow(["One ", "two ", "three"])
    said, _, buttons = ask(chat)
    buttons["Stop"].click()
    chat.go.release()
    wait(lambda: not buttons["Send"].disabled)
    assert chat.messages[-1]["content"] == "One "
    buttons["Begin again"].click()
    assert said.value == "" and len(chat.messages) == 1


def test_nothing_is_sent_while_it_writes_or_when_nothing_is_typed() -> None:
    chat = Slow(["a", "b"])
    _, field, buttons = ask(chat)
    field.value = "And another"
    buttons["Send"].click()
    assert field.value == "And another"
    chat.go.release(2)
    wait(lambda: not buttons["Send"].disabled)
    assert sum(m["role"] == "user" for m in chat.messages) == 1
    field.value = "   "
    buttons["Send"].click()
    assert not buttons["Send"].disabled


def test_what_fails_is_said_where_one_looks() -> None:
    chat = Slow(["!"])
    said, _, buttons = ask(chat)
    chat.go.release()
    wait(lambda: not buttons["Send"].disabled)
    assert "RuntimeError: out of &lt;breath&gt;" in said.value


def test_the_switch_is_in_the_system_turn() -> None:
    chat = Slow(["ok"])
    _, field, buttons = parts(talk(chat, thinking=True))  # type: ignore[arg-type]
    buttons["Think first"].value = True
    field.value = "Hello"
    buttons["Send"].click()
    chat.go.release()
    wait(lambda: not buttons["Send"].disabled)
    assert chat.messages[0] == {"role": "system", "content": "Be <kind>.\n/think"}


def test_the_switch_needs_no_system_turn() -> None:
    chat = Slow(["ok"])
    chat.messages = []
    _, field, buttons = parts(talk(chat, thinking=True))  # type: ignore[arg-type]
    field.value = "Hello"
    buttons["Send"].click()
    chat.go.release()
    wait(lambda: not buttons["Send"].disabled)
    assert chat.messages[0] == {"role": "system", "content": "/no_think"}


def test_a_thought_is_paler_than_what_is_said() -> None:
    done = bubble("assistant", "<think>\n2 + 2 = 4\n</think>\n\nFour.")
    assert done.index("italic") < done.index("2 + 2 = 4") < done.index("Four.")
    assert "think&gt;" not in done
    begun = bubble("assistant", "<think>\n2 + ")
    assert "italic" in begun and "2 +" in begun


def test_without_ipywidgets(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == "ipywidgets":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    assert talk(Slow([])) is None  # type: ignore[arg-type]
    assert "pip install ipywidgets" in capsys.readouterr().out
