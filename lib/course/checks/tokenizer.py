"""Checks of the floor `lib.tokenizer`. Oracles: brute force, merge by merge, on byte strings."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import regex

from lib.course.bank import Case, Exercise, with_method
from lib.tokenizer import PATTERN, Tokenizer

Pair = tuple[int, int]

ENGLISH = (
    "The newest tokens are low, lower, lowest; the widest are wide, wider, widest. It's the newest "
    "of the new: they're slower, slowest, and it's 2024 or 2025. In the end the ends meet an end. "
)


def ids_of(text: str) -> list[int]:
    """The bytes of a text, as the checks write ids down."""
    return list(text.encode())


def words_of(text: str) -> dict[tuple[int, ...], int]:
    counts: dict[tuple[int, ...], int] = {}
    for word in text.split():
        counts[tuple(word.encode())] = counts.get(tuple(word.encode()), 0) + 1
    return counts


def babble(n_words: int, n_known: int = 400, seed: int = 0) -> str:
    """Made-up words, common ones more often: something to time on."""
    draw = random.Random(seed)
    syllables = ["to", "ken", "mer", "ge", "by", "te", "pa", "ir", "lo", "wer", "est", "an", "ing"]
    known = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(n_known)]
    return " ".join(known[int(n_known * draw.random() ** 2)] for _ in range(n_words))


# --- count_pairs ----------------------------------------------------------------------------------


def brute_count(words: Mapping[tuple[int, ...], int]) -> dict[Pair, int]:
    """One window after another, each word as often as it occurs."""
    counts: dict[Pair, int] = {}
    for word, times in words.items():
        for _ in range(times):
            for i in range(len(word) - 1):
                counts[word[i], word[i + 1]] = counts.get((word[i], word[i + 1]), 0) + 1
    return counts


COUNT_PAIRS = Exercise(
    "lib.tokenizer.count_pairs",
    oracle=brute_count,
    cases=[
        Case("two words, 10 times and 5 times", lambda: ({(1, 2, 3): 10, (1, 2): 5},)),
        Case("the same id again and again", lambda: ({(7, 7, 7): 3, (7, 7, 7, 7, 8): 2},)),
        Case("a pair and its mirror image", lambda: ({(1, 2, 1): 2, (1, 2): 3, (2, 1): 4},)),
        Case("a pair twice in one word", lambda: ({(4, 5, 6, 4, 5): 6, (9, 4, 5): 1},)),
        Case("words of one id hold no pair", lambda: ({(5,): 4, (6, 7): 2, (8,): 9},)),
        Case("no words", lambda: ({},)),
        Case("an English sentence", lambda: (words_of(ENGLISH),)),
    ],
    speed=lambda: (words_of(babble(5000)),),
    hints=(
        "Take one word, (1, 2, 3), that occurs 10 times. Write down by hand what it adds to which "
        "counts.",
        "Two loops: over the words with their times, and inside each word over the positions of all "
        "neighbours. What is added is not 1.",
        "zip(word, word[1:]) walks over the neighbours of a word; counts.get(pair, 0) + times is "
        "the new count.",
    ),
)

# --- merge_pair -----------------------------------------------------------------------------------


def brute_merge(ids: Sequence[int], pair: Pair, new_id: int) -> list[int]:
    """Eat the list from its left end."""
    rest, merged = list(ids), []
    while rest:
        if tuple(rest[:2]) == tuple(pair):
            merged.append(new_id)
            rest = rest[2:]
        else:
            merged.append(rest.pop(0))
    return merged


MERGE_PAIR = Exercise(
    "lib.tokenizer.merge_pair",
    oracle=brute_merge,
    cases=[
        Case("twice in the middle", lambda: ([5, 1, 2, 3, 1, 2, 4], (1, 2), 9)),
        Case("at the start and at the end", lambda: ([1, 2, 3, 3, 1, 2], (1, 2), 9)),
        Case("three of the same", lambda: ([1, 1, 1], (1, 1), 9)),
        Case("five of the same, then another", lambda: ([1, 1, 1, 1, 1, 2], (1, 1), 9)),
        Case("a false start: 1 1 2", lambda: ([1, 1, 2, 1], (1, 2), 9)),
        Case("the pair is not there", lambda: ([2, 1, 3, 2], (1, 2), 9)),
        Case("one id", lambda: ([1], (1, 1), 9)),
        Case("no ids", lambda: ([], (1, 2), 9)),
        Case("a tuple of ids", lambda: ((3, 1, 2), (1, 2), 9)),
    ],
    speed=lambda: (ids_of(babble(2000)), (ord("e"), ord("r")), 256),
    hints=(
        "Walk along the ids with a position i. At each place there are two possibilities: the pair "
        "starts here, or it does not.",
        "Build a new list. If the pair starts at i, append new_id and go on two places further; else "
        "append ids[i] and go on one place. What about the very last id?",
        "while i < len(ids): test ids[i] and, if i + 1 < len(ids), ids[i + 1] as well; step by 2 "
        "or by 1.",
    ),
)

# --- train_bpe ------------------------------------------------------------------------------------


def place(token: bytes, made: Sequence[bytes]) -> int:
    """Where a token stands when ties are broken: printable bytes, other bytes, merges by age."""
    if len(token) > 1:
        return 256 + list(made).index(token)
    shown = [b for b in range(256) if 33 <= b <= 126 or (161 <= b <= 255 and b != 173)]
    hidden = [b for b in range(256) if b not in shown]
    return (shown + hidden).index(token[0])


def brute_train(text: str | Iterable[str], vocab_size: int, pattern: str = PATTERN) -> list[Pair]:
    """Algorithm 1 of the paper as it stands, on byte strings, counting anew after each merge."""
    texts = [text] if isinstance(text, str) else list(text)
    words: list[list[bytes]] = []
    for one in texts:
        for word in regex.findall(pattern, one):
            words.append([bytes([byte]) for byte in word.encode()])
    made: list[bytes] = []
    merges: list[Pair] = []
    while 256 + len(made) < vocab_size:
        counts: dict[tuple[bytes, bytes], int] = {}
        for pieces in words:
            for i in range(len(pieces) - 1):
                counts[pieces[i], pieces[i + 1]] = counts.get((pieces[i], pieces[i + 1]), 0) + 1
        if not counts:
            break
        most = max(counts.values())
        best = [pair for pair, count in counts.items() if count == most]
        a, b = min(best, key=lambda pair: (place(pair[0], made), place(pair[1], made)))
        merges.append((id_of(a, made), id_of(b, made)))
        made.append(a + b)
        for pieces in words:
            i = 0
            while i + 1 < len(pieces):
                if (pieces[i], pieces[i + 1]) == (a, b):
                    pieces[i : i + 2] = [a + b]
                i += 1
    return merges


def id_of(token: bytes, made: Sequence[bytes]) -> int:
    return token[0] if len(token) == 1 else 256 + list(made).index(token)


TRAIN_BPE = Exercise(
    "lib.tokenizer.train_bpe",
    oracle=brute_train,
    cases=[
        Case("three merges", lambda: ("hug hug hug pug", 259)),
        Case("an English sentence, 24 merges", lambda: (ENGLISH, 280)),
        Case("a tie: which of two pairs goes first", lambda: ("zu zu ba ba", 258)),
        Case("ties with blanks and é among them", lambda: ("é é a~ a~ .\n.\n", 260)),
        Case("the same letter again and again", lambda: ("a" * 11 + " " + "a" * 6, 262)),
        Case("no pair is left: fewer merges", lambda: ("ab ab", 300)),
        Case("Chinese: several bytes a character", lambda: ("人人生而自由，人人平等", 268)),
        Case("documents do not touch", lambda: (["ab", "ab", "cb", "c", "b"], 300)),
        Case("another pattern", lambda: ("10 10 10 2 100", 260, r"\S+|\s+")),
        Case("the bytes alone", lambda: ("hug hug", 256)),
        Case("fewer than the bytes", lambda: ("hug hug", 255), raises=ValueError),
    ],
    # Large enough that the plain loop, a right answer, stays out of lib: later lessons train on
    # real text, for which it takes minutes.
    speed=lambda: (babble(4000, n_known=2000), 1200),
    hints=(
        "train_naively is a right answer already. To be fast, keep two things besides the words, and "
        "correct them instead of counting anew: counts, a PairRanking(count_pairs(...)), and "
        "where[pair], the set of the numbers of the words that hold the pair.",
        "Go through the words in where[best] alone. Subtract each pair of the word from counts, as "
        "often as the word occurs; merge; add each pair of the new word in the same way, and note "
        "the word's number in where for it.",
        "for i in where.pop(best): before = words[i]; words[i] = merge_pair(before, best, new_id). "
        "Then counts[pair] -= times[i] for the pairs of before, counts[pair] += times[i] for those "
        "of words[i], and where[pair].add(i) for those with new_id in them.",
    ),
)

# --- encode_word ----------------------------------------------------------------------------------


def brute_encode(ids: Sequence[int], merges: Mapping[Pair, int]) -> list[int]:
    """Do what training did: every merge in order of age, each over the whole word."""
    word = list(ids)
    for pair in sorted(merges, key=lambda pair: merges[pair]):
        word = brute_merge(word, pair, merges[pair])
    return word


def merges_from(*tokens: str) -> dict[Pair, int]:
    """Merges that make these tokens, oldest first: "l|ow" merges l with ow."""
    ids: dict[str, int] = {}
    merges: dict[Pair, int] = {}
    for token in tokens:
        left, right = token.split("|")
        pair = (ids.get(left) or ord(left), ids.get(right) or ord(right))
        merges[pair] = ids[left + right] = 256 + len(merges)
    return merges


LEARNT = {pair: 256 + i for i, pair in enumerate(brute_train(ENGLISH, 300))}
UNUSED = {(5000 + i, 9000): 300 + i for i in range(3796)}

ENCODE_WORD = Exercise(
    "lib.tokenizer.encode_word",
    oracle=brute_encode,
    cases=[
        Case(
            "the older merge stands further right", lambda: ([1, 2, 3], {(2, 3): 256, (1, 2): 257})
        ),
        Case(
            "the oldest merge, not the longest token",
            lambda: (ids_of("abcd"), merges_from("b|c", "a|b", "ab|c", "c|d")),
        ),
        Case(
            "the oldest merge makes way for a long token",
            lambda: (ids_of("abcd"), merges_from("b|c", "a|bc", "a|b", "c|d")),
        ),
        Case(
            "merges of merges",
            lambda: (ids_of("lower"), merges_from("l|o", "e|r", "lo|w", "low|er")),
        ),
        Case("the same letter five times", lambda: (ids_of("aaaaa"), merges_from("a|a", "aa|aa"))),
        Case(
            "a common pair that is younger than a rare one",
            lambda: (ids_of("xyxyxyz"), merges_from("y|z", "y|x", "x|y")),
        ),
        Case("the first pair is no merge", lambda: (ids_of("qhugs"), merges_from("u|g", "h|ug"))),
        Case("nothing to merge", lambda: (ids_of("xyz"), merges_from("u|g"))),
        Case("one id", lambda: ([7], {(7, 7): 256})),
        Case("no ids", lambda: ([], {(7, 7): 256})),
        Case("merges learnt from English", lambda: (ids_of(" slowest"), LEARNT)),
        Case(
            "bytes that have other ids",
            lambda: ([71, 84, 70, 71, 84], {(84, 70): 900, (71, 84): 901, (901, 900): 905}),
        ),
    ],
    # With as many merges as a real vocabulary: trying each of them on every word takes minutes.
    speed=lambda: (ids_of(" " + babble(6).replace(" ", "")), LEARNT | UNUSED),
    hints=(
        "Do the first case by hand: which of the two merges was learnt first, and what is left for "
        "the other one?",
        "Loop: of all pairs in the word now, find the one whose merge makes the smallest id. If "
        "none of them is a merge you are done; else merge_pair, and look at all pairs again.",
        "min(pairs, key=lambda pair: merges.get(pair, math.inf)) gives the oldest; a pair that is "
        "not in merges counts as infinitely young.",
    ),
)

# --- Tokenizer.encode -----------------------------------------------------------------------------

MERGES = [*brute_train(ENGLISH, 290), (ord("1"), ord("2")), (ord("t"), ord(" "))]
"""The last two can never be used: the pattern always cuts between their halves."""

SPECIAL = ["<|end|>", "<|user|>"]


def brute_tokenizer(
    text: str,
    allowed_special: Any = frozenset(),
    disallowed_special: Any = "all",
    special: Sequence[str] = SPECIAL,
) -> list[int]:
    """Position by position: is there a special token here? What stands between them is text."""
    allowed = (
        list(special) if allowed_special == "all" else [s for s in special if s in allowed_special]
    )
    if disallowed_special == "all":
        disallowed_special = [s for s in special if s not in allowed]
    if any(s in text for s in disallowed_special):
        raise ValueError("the text contains a special token")
    merges = {pair: 256 + i for i, pair in enumerate(MERGES)}
    ids: list[int] = []
    waiting, i = "", 0
    while i <= len(text):
        here = max((s for s in allowed if text.startswith(s, i)), key=len, default="")
        if here or i == len(text):
            for word in regex.findall(PATTERN, waiting):
                ids += brute_encode(ids_of(word), merges)
            waiting = ""
        if here:
            ids.append(256 + len(MERGES) + list(special).index(here))
        else:
            waiting += text[i : i + 1]
        i += len(here) or 1
    return ids


def run_encode(encode: Callable[..., list[int]], text: str, options: dict[str, Any]) -> list[int]:
    tokenizer = with_method(Tokenizer, "encode", encode)(MERGES, special_tokens=SPECIAL)
    return tokenizer.encode(text, **options)


def run_plain(encode: Callable[..., list[int]], text: str) -> list[int]:
    tokenizer = with_method(Tokenizer, "encode", encode)(MERGES)
    return tokenizer.encode(text, allowed_special="all")


LONGEST = "low<|end|>\n<|end|>low"


def run_longest(encode: Callable[..., list[int]], text: str) -> list[int]:
    """The same text with many names for <|end|>: an order that is left to chance, that of a set, is
    wrong for one of them, and the first wrong answer is the same whichever it was."""
    ids: list[int] = []
    for name in "<|end|>", *(f"<|end{i}|>" for i in range(15)):
        names = [name, name + "\n"]
        tokenizer = with_method(Tokenizer, "encode", encode)(MERGES, special_tokens=names)
        ids = tokenizer.encode(text.replace("<|end|>", name), allowed_special="all")
        if ids != right_longest(text):
            break
    return ids


def right_longest(text: str) -> list[int]:
    return brute_tokenizer(text, "all", special=["<|end|>", "<|end|>\n"])


def encode_case(title: str, text: str, refused: bool = False, **options: Any) -> Case:
    written = ", ".join([repr(text), *(f"{name}={value!r}" for name, value in options.items())])
    return Case(
        title,
        lambda: (text, options),
        run=run_encode,
        expected=lambda text, options: brute_tokenizer(text, **options),
        raises=ValueError if refused else None,
        call=f"tokenizer.encode({written})" + f" with special tokens {SPECIAL}" * ("<|" in text),
    )


ENCODE = Exercise(
    "lib.tokenizer.Tokenizer.encode",
    cases=[
        encode_case("one word", "low"),
        encode_case("English", ENGLISH),
        encode_case("blanks and line ends are text too", " the  newest\n\n  lowest\t "),
        encode_case("pre-tokens are never merged across", "12 at the 12"),
        encode_case("bytes that no merge knows", "né 中 😀"),
        encode_case("no text", ""),
        encode_case("a special token that nobody allowed", "low <|end|> lower", refused=True),
        encode_case("all are allowed", "<|user|>the end<|end|>", allowed_special="all"),
        encode_case("blanks around it", "low <|user|> lower", allowed_special={"<|user|>"}),
        encode_case(
            "one is allowed, another is there",
            "<|user|>low<|end|>",
            refused=True,
            allowed_special={"<|user|>"},
        ),
        encode_case(
            "one is allowed, the others are text",
            "<|user|>low<|end|>",
            allowed_special={"<|user|>"},
            disallowed_special=(),
        ),
        encode_case("all are text", "low<|end|>\n", disallowed_special=()),
        encode_case(
            "a refused text that is no special token",
            "the lowest",
            refused=True,
            disallowed_special={"low"},
        ),
        encode_case(
            "one is refused by name, the others are text",
            "low<|user|>",
            disallowed_special={"<|end|>"},
        ),
        Case(
            "the longest special token wins",
            lambda: (LONGEST,),
            run=run_longest,
            expected=right_longest,
            call=f"tokenizer.encode({LONGEST!r}, allowed_special='all') with special tokens "
            "['<|end|>', '<|end|>\\n'], or others named alike",
        ),
        Case(
            "a tokenizer without special tokens",
            lambda: ("the <|end|>",),
            run=run_plain,
            expected=lambda text: brute_tokenizer(text, "all", special=[]),
            call="Tokenizer(merges).encode('the <|end|>', allowed_special='all')",
        ),
    ],
    speed=lambda: (babble(2000) + "<|end|>", {"allowed_special": "all"}),
    speed_run=run_encode,
    hints=(
        "Three steps: refuse what must not be there; cut the text at the allowed special tokens; "
        "encode what lies between them, pre-token by pre-token.",
        "regex.split with a group around the alternatives keeps the special tokens in the result. "
        "regex.escape each of them (| means 'or'), and put longer ones before shorter ones.",
        "for part in regex.split(f'({cuts})', text) if allowed else [text]: what is in allowed becomes "
        "self.special_tokens[part]; for the rest, each word of self.words(part) goes through "
        "self.encode_cached.",
    ),
)

# --- Tokenizer.decode -----------------------------------------------------------------------------


def run_decode(decode: Callable[..., str], ids: list[int]) -> str:
    tokenizer = with_method(Tokenizer, "decode", decode)(MERGES, special_tokens=SPECIAL)
    return tokenizer.decode(ids)


def run_other_ids(decode: Callable[..., str], ids: list[int]) -> str:
    """A vocabulary from elsewhere: byte b has the id 255 − b."""
    vocab = [bytes([255 - i]) for i in range(256)]
    return with_method(Tokenizer, "decode", decode)([], vocab=vocab).decode(ids)


def brute_decode(ids: Sequence[int]) -> str:
    made: list[bytes] = [bytes([byte]) for byte in range(256)]
    for left, right in MERGES:
        made.append(made[left] + made[right])
    made += [special.encode() for special in SPECIAL]
    whole = b""
    for i in ids:
        whole += made[i]
    return str(whole, "utf-8", "replace")


N_IDS = 256 + len(MERGES) + len(SPECIAL)


def decode_case(title: str, ids: list[int], unknown: bool = False) -> Case:
    return Case(
        title,
        lambda: (ids,),
        run=run_decode,
        expected=brute_decode,
        raises=ValueError if unknown else None,
        call=f"tokenizer.decode({ids})" if len(ids) < 12 else f"tokenizer.decode([{ids[0]}, ...])",
    )


DECODE = Exercise(
    "lib.tokenizer.Tokenizer.decode",
    cases=[
        decode_case("English", brute_tokenizer(ENGLISH)),
        decode_case("a character spread over three tokens", ids_of("a中b")),
        decode_case("half a character", [97, 0xE4, 0xB8, 98]),
        decode_case("bytes that are never UTF-8", [0xFF, 97, 0xC0, 0x80]),
        decode_case("special tokens", [256 + len(MERGES), 97, N_IDS - 2]),
        decode_case("no ids", []),
        decode_case("the last id there is", [N_IDS - 1]),
        decode_case("an id too large", [97, N_IDS], unknown=True),
        decode_case("a negative id", [97, -1], unknown=True),
        Case(
            "a vocabulary in which ids are not bytes",
            lambda: ([255 - byte for byte in "zoë".encode()],),
            run=run_other_ids,
            expected=lambda ids: bytes(255 - i for i in ids).decode(),
            call="tokenizer.decode([133, 144, 60, 84])        # id i is byte 255 − i",
        ),
    ],
    speed=lambda: (brute_tokenizer(ENGLISH) * 50,),
    speed_run=run_decode,
    hints=(
        "self.vocab holds the bytes of every id. When do bytes become characters: one token at a "
        "time, or all at the end?",
        "Join the bytes of all ids first: b''.join(...). A model may produce bytes that are no "
        "UTF-8; bytes.decode has an argument for that.",
        "self.token_bytes(i) gives the bytes of one id and refuses ids that do not exist; then "
        ".decode('utf-8', errors=...), and it must not be 'strict'.",
    ),
)
