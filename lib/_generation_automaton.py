"""What a text may look like, as a machine that reads bytes: from a pattern to an automaton."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

Node = tuple[str, list["Node"], frozenset[int], int, int | None]
"""A part of a pattern: what it is, its parts, its bytes, how often at least and at most."""

NOTHING: frozenset[int] = frozenset()
DIGITS = frozenset(b"0123456789")
WORD = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
SPACE = frozenset(b" \t\n\r\f\v")
ASCII = frozenset(range(128))
CLASSES = {"d": DIGITS, "w": WORD, "s": SPACE}
CONTROLS = {"n": ord("\n"), "t": ord("\t"), "r": ord("\r")}
MOST_STATES = 10_000

# How characters beyond ASCII look in UTF-8: for each byte of them, from where to where.
# The Unicode Standard, table 3-7.
LONGER = (
    ((0xC2, 0xDF), (0x80, 0xBF)),
    ((0xE0, 0xE0), (0xA0, 0xBF), (0x80, 0xBF)),
    ((0xE1, 0xEC), (0x80, 0xBF), (0x80, 0xBF)),
    ((0xED, 0xED), (0x80, 0x9F), (0x80, 0xBF)),
    ((0xEE, 0xEF), (0x80, 0xBF), (0x80, 0xBF)),
    ((0xF0, 0xF0), (0x90, 0xBF), (0x80, 0xBF), (0x80, 0xBF)),
    ((0xF1, 0xF3), (0x80, 0xBF), (0x80, 0xBF), (0x80, 0xBF)),
    ((0xF4, 0xF4), (0x80, 0x8F), (0x80, 0xBF), (0x80, 0xBF)),
)


def one_of(values: Iterable[int]) -> Node:
    """One byte, any of these."""
    return ("byte", [], frozenset(values), 1, 1)


def in_turn(parts: list[Node]) -> Node:
    """These parts, one after the other."""
    return parts[0] if len(parts) == 1 else ("turn", parts, NOTHING, 1, 1)


def either(parts: list[Node]) -> Node:
    """One of these parts."""
    return parts[0] if len(parts) == 1 else ("either", parts, NOTHING, 1, 1)


def literal(text: str) -> Node:
    """This text and no other."""
    return in_turn([one_of([byte]) for byte in text.encode()])


def any_longer() -> list[Node]:
    """Every character beyond ASCII."""
    return [in_turn([one_of(range(a, b + 1)) for a, b in row]) for row in LONGER]


@dataclass(frozen=True)
class Automaton:
    """A machine that reads a text byte by byte and knows at every byte what may follow.

    It starts in state 0. Reading a byte leads to the next state, or nowhere: then no allowed text
    begins like this. From each of its states an accepting one can be reached.

    Attributes:
        steps: for each state, the bytes that may come and the state each leads to.
        accepting: the states in which the text may end.
    """

    steps: tuple[dict[int, int], ...]
    accepting: frozenset[int]

    @classmethod
    def of(cls, pattern: str) -> Automaton:
        r"""The automaton that accepts exactly the whole texts that `pattern` matches.

        Patterns are regular expressions of the plain kind: characters, `.` (any but a line end),
        `[a-z]` and `[^a-z]`, `\d \w \s` (ASCII), `(…|…)`, `? * + {2} {2,} {2,5}`, and `\` before
        a character that is meant as such.

        Raises:
            ValueError: it is no such pattern; the message says where it goes wrong.

        >>> Automaton.of("no|yes!?").matches("yes!")
        True
        """
        return _determined(_Parser(pattern).whole())

    @classmethod
    def choice(cls, texts: Iterable[str]) -> Automaton:
        """The automaton that accepts each of `texts` and nothing else."""
        texts = list(texts)
        if not texts or "" in texts:
            raise ValueError(f"expected one text or more to choose from, none empty, got {texts}")
        return _determined(either([literal(text) for text in texts]))

    def matches(self, text: str) -> bool:
        """Whether the whole text is allowed."""
        state: int | None = 0
        for byte in text.encode():
            state = self.steps[state].get(byte) if state is not None else None
        return state in self.accepting


class _Parser:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.at = pattern, 0

    def error(self, problem: str) -> ValueError:
        return ValueError(f"the pattern {self.pattern!r} {problem} at position {self.at}")

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def take(self) -> str:
        if self.at == len(self.pattern):
            raise self.error("ends too early")
        self.at += 1
        return self.pattern[self.at - 1]

    def whole(self) -> Node:
        node = self.alternatives()
        if self.peek():
            raise self.error("closes a bracket that was never opened")
        return node

    def alternatives(self) -> Node:
        parts = [self.sequence()]
        while self.peek() == "|":
            self.take()
            parts.append(self.sequence())
        return either(parts)

    def sequence(self) -> Node:
        parts: list[Node] = []
        while self.peek() and self.peek() not in "|)":
            parts.append(self.repeated(self.atom()))
        return in_turn(parts)

    def repeated(self, node: Node) -> Node:
        while self.peek() and self.peek() in "?*+{":
            sign = self.take()
            least, most = {"?": (0, 1), "*": (0, None), "+": (1, None), "{": (0, 0)}[sign]
            if sign == "{":
                counts = re.compile(r"(\d+)(,?)(\d*)\}").match(self.pattern, self.at)
                if not counts:
                    raise self.error("should have {2}, {2,} or {2,5}")
                least = int(counts[1])
                most = int(counts[3]) if counts[3] else None if counts[2] else least
                if most is not None and most < least:
                    raise self.error("asks for more at least than at most")
                self.at = counts.end()
            node = ("again", [node], NOTHING, least, most)
        return node

    def atom(self) -> Node:
        char = self.take()
        if char == "(":
            if self.peek() == "?":
                raise self.error("has a (?…), which is not known here,")
            node = self.alternatives()
            if self.peek() != ")":
                raise self.error("leaves a ( open")
            self.take()
            return node
        if char == ".":
            return either([one_of(ASCII - {ord("\n")}), *any_longer()])
        if char == "[":
            return self.choice_of_characters()
        if char in "?*+{" or char in "^$":
            raise self.error(f"has a {char} (write \\{char} for the character itself)")
        if char == "\\":
            return self.escaped()
        return literal(char)

    def escaped(self) -> Node:
        char = self.take()
        if char in CLASSES:
            return one_of(CLASSES[char])
        if char in CONTROLS:
            return one_of([CONTROLS[char]])
        if char.isalnum():
            raise self.error(f"has \\{char}, which is not known here,")
        return literal(char)

    def choice_of_characters(self) -> Node:
        """What stands in square brackets."""
        inverted = self.peek() == "^"
        if inverted:
            self.take()
        found: set[int] = set()
        while self.peek() != "]":
            char = self.take()
            if char == "\\" and self.peek() in CLASSES:
                found |= CLASSES[self.take()]
                continue
            first = last = self.character(char)
            if self.peek() == "-" and self.pattern[self.at + 1 : self.at + 2] != "]":
                self.take()
                last = self.character(self.take())
            if last < first:
                raise self.error("has a range that runs backwards")
            found.update(range(first, last + 1))
        self.take()
        ascii_part = frozenset(found) & ASCII
        longer = sorted(found - ASCII)
        if inverted:
            if longer:
                raise self.error("leaves out characters beyond ASCII, which is not known here,")
            return either([one_of(ASCII - ascii_part), *any_longer()])
        if not found:
            raise self.error("has an empty []")
        plain = [one_of(ascii_part)] if ascii_part else []
        return either(plain + [literal(chr(code)) for code in longer])

    def character(self, char: str) -> int:
        if char != "\\":
            return ord(char)
        char = self.take()
        return CONTROLS.get(char, ord(char))


class _Net:
    """States that several steps may leave at once, some of them without reading a byte."""

    def __init__(self) -> None:
        self.reads: list[list[tuple[frozenset[int], int]]] = []
        self.jumps: list[list[int]] = []

    def state(self) -> int:
        self.reads.append([])
        self.jumps.append([])
        if len(self.reads) > 10 * MOST_STATES:
            raise ValueError("the pattern is too large: repeat less often")
        return len(self.reads) - 1

    def add(self, node: Node, start: int) -> int:
        """Enter a part of a pattern that begins in `start`; where it ends. (Thompson 1968.)"""
        kind, parts, values, least, most = node
        if kind == "byte":
            end = self.state()
            self.reads[start].append((values, end))
            return end
        if kind == "turn":
            for part in parts:
                start = self.add(part, start)
            return start
        if kind == "either":
            ends = [self.add(part, self.jump(start)) for part in parts]
            end = self.state()
            for last in ends:
                self.jumps[last].append(end)
            return end
        for _ in range(least):
            start = self.add(parts[0], start)
        if most is None:
            loop = self.jump(start)
            self.jumps[self.add(parts[0], loop)].append(loop)
            return self.jump(loop)
        end = self.state()
        for _ in range(most - least):
            self.jumps[start].append(end)
            start = self.add(parts[0], start)
        self.jumps[start].append(end)
        return end

    def jump(self, start: int) -> int:
        """A new state that `start` reaches without reading."""
        end = self.state()
        self.jumps[start].append(end)
        return end

    def reached(self, states: Iterable[int]) -> frozenset[int]:
        """These states, and all that they reach without reading."""
        found, waiting = set(states), list(states)
        while waiting:
            for state in self.jumps[waiting.pop()]:
                if state not in found:
                    found.add(state)
                    waiting.append(state)
        return frozenset(found)


def _determined(node: Node) -> Automaton:
    """An automaton that is always in one state: each is a set of states of the net."""
    net = _Net()
    start = net.state()
    end = net.add(node, start)
    first = net.reached([start])
    numbers = {first: 0}
    waiting = [first]
    steps: list[dict[int, int]] = []
    for together in waiting:  # it grows while we walk
        targets: dict[int, set[int]] = {}
        for state in together:
            for values, target in net.reads[state]:
                for value in values:
                    targets.setdefault(value, set()).add(target)
        row = {}
        for value in sorted(targets):
            target_set = net.reached(targets[value])
            if target_set not in numbers:
                if len(numbers) >= MOST_STATES:
                    raise ValueError(f"the pattern needs more than {MOST_STATES} states")
                numbers[target_set] = len(numbers)
                waiting.append(target_set)
            row[value] = numbers[target_set]
        steps.append(row)
    accepting = frozenset(number for states, number in numbers.items() if end in states)
    return Automaton(tuple(steps), accepting)
