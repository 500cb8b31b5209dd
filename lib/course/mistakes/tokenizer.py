"""Classic mistakes on the floor `lib.tokenizer`."""

import math
from collections import Counter
from itertools import pairwise

import regex

import lib.course.checks.tokenizer  # the exercises must be known first
from lib.course.bank import mistake
from lib.tokenizer import PATTERN, count_pairs, count_words, merge_pair, tie_order

# --- count_pairs ----------------------------------------------------------------------------------

COUNT = "lib.tokenizer.count_pairs"


@mistake(
    COUNT,
    "Each word is counted once, however often it occurs in the text: add the word's number, not 1.",
)
def words_counted_once(words):
    counts = {}
    for word in words:
        for pair in pairwise(word):
            counts[pair] = counts.get(pair, 0) + 1
    return counts


@mistake(
    COUNT,
    "The counts are overwritten, not added up: a pair that occurs in several words keeps only the "
    "number of the last one.",
)
def overwritten(words):
    counts = {}
    for word, times in words.items():
        for pair in pairwise(word):
            counts[pair] = times
    return counts


@mistake(
    COUNT,
    "Pairs are counted across the border of two words: the last id of one word and the first of the "
    "next are no neighbours.",
)
def across_words(words):
    counts = {}
    last = None
    for word, times in words.items():
        if last is not None and word:
            counts[last, word[0]] = counts.get((last, word[0]), 0) + 1
        for pair in pairwise(word):
            counts[pair] = counts.get(pair, 0) + times
        last = word[-1] if word else last
    return counts


@mistake(
    COUNT,
    "Pairs that overlap are skipped: 1 1 1 holds the pair (1, 1) twice, at the first place and at "
    "the second.",
)
def without_overlap(words):
    counts = {}
    for word, times in words.items():
        i = 0
        while i + 1 < len(word):
            pair = (word[i], word[i + 1])
            counts[pair] = counts.get(pair, 0) + times
            i += 2 if word[i : i + 3] == (word[i],) * 3 else 1
    return counts


@mistake(
    COUNT,
    "A pair that stands in one word several times is counted there only once: no set, please.",
)
def once_a_word(words):
    counts = {}
    for word, times in words.items():
        for pair in set(pairwise(word)):
            counts[pair] = counts.get(pair, 0) + times
    return counts


@mistake(COUNT, "The pairs have lost their order: (1, 2) and (2, 1) are different pairs.")
def unordered(words):
    counts = {}
    for word, times in words.items():
        for pair in pairwise(word):
            pair = tuple(sorted(pair))
            counts[pair] = counts.get(pair, 0) + times
    return counts


@mistake(COUNT, "The last pair of each word is missing: a word of n ids holds n − 1 pairs.")
def last_missing(words):
    counts = {}
    for word, times in words.items():
        for i in range(len(word) - 2):
            counts[word[i], word[i + 1]] = counts.get((word[i], word[i + 1]), 0) + times
    return counts


@mistake(
    COUNT,
    "A dictionary by itself gives its keys alone: words.items() gives each word with its number.",
)
def keys_alone(words):
    counts = {}
    for word, times in words:
        for pair in pairwise(word):
            counts[pair] = counts.get(pair, 0) + times
    return counts


# --- merge_pair -----------------------------------------------------------------------------------

MERGE = "lib.tokenizer.merge_pair"


@mistake(
    MERGE,
    "An id is used for two merges: in 1 1 1 the middle one belongs to the first pair and is gone for "
    "the second, so a merge goes on two places further.",
)
def overlapping(ids, pair, new_id):
    merged = []
    used = False
    for i, token in enumerate(ids):
        here = tuple(ids[i : i + 2]) == pair
        if here:
            merged.append(new_id)
        elif not used:
            merged.append(token)
        used = here
    return merged


@mistake(
    MERGE,
    "The merges run from right to left: 1 1 1 becomes 1 9 instead of 9 1, and other programs' files "
    "no longer fit.",
)
def from_the_right(ids, pair, new_id):
    merged = []
    i = len(ids) - 1
    while i >= 0:
        if i > 0 and (ids[i - 1], ids[i]) == pair:
            merged.append(new_id)
            i -= 2
        else:
            merged.append(ids[i])
            i -= 1
    return merged[::-1]


@mistake(MERGE, "Only the first occurrence is merged: go on to the end of the ids.")
def first_only(ids, pair, new_id):
    for i, found in enumerate(pairwise(ids)):
        if found == pair:
            return [*ids[:i], new_id, *ids[i + 2 :]]
    return list(ids)


@mistake(
    MERGE,
    "The last id gets lost when it is in no merge: it starts no pair, but it has to be kept.",
)
def last_lost(ids, pair, new_id):
    merged = []
    i = 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@mistake(
    MERGE,
    "The ids are changed in place: make a new list, or whoever holds the old one (and a tuple) is in "
    "for a surprise.",
)
def in_place(ids, pair, new_id):
    i = 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            ids[i : i + 2] = [new_id]
        i += 1
    return ids


@mistake(
    MERGE,
    "The new id is put in, but the right half of the pair stays as well: step by two (in `for i in "
    "range(...)` changing i has no effect on the next round: use while).",
)
def right_half_stays(ids, pair, new_id):
    merged = []
    for i in range(len(ids)):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new_id)
        else:
            merged.append(ids[i])
    return merged


@mistake(
    MERGE,
    "The pairs are looked for at every second place only, as if the ids came in twos: where the pair "
    "is not, step by one.",
)
def in_twos(ids, pair, new_id):
    merged = []
    for i in range(0, len(ids), 2):
        found = tuple(ids[i : i + 2])
        merged.extend([new_id] if found == pair else found)
    return merged


@mistake(
    MERGE,
    "A slice of a list is a list, and [1, 2] == (1, 2) is False in Python: compare tuple(ids[i:i+2]) "
    "with the pair, or the two ids one by one.",
)
def slice_is_no_tuple(ids, pair, new_id):
    merged = []
    i = 0
    while i < len(ids):
        if ids[i : i + 2] == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@mistake(
    MERGE,
    "Nothing is ever merged. Is a list compared with the pair? [1, 2] == (1, 2) is False in Python: "
    "make it a tuple, or compare the two ids one by one.",
)
def list_is_no_tuple(ids, pair, new_id):
    merged = []
    i = 0
    while i < len(ids):
        if i + 1 < len(ids) and [ids[i], ids[i + 1]] == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


@mistake(
    MERGE,
    "Only the left half of the pair is compared: the id after it has to fit too.",
)
def left_half_only(ids, pair, new_id):
    merged = []
    i = 0
    while i < len(ids):
        if ids[i] == pair[0] and i + 1 < len(ids):
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


# --- train_bpe ------------------------------------------------------------------------------------

TRAIN = "lib.tokenizer.train_bpe"


def _best(counts):
    return min(counts, key=lambda pair: (-counts[pair], tie_order(pair)))


def _train(words, vocab_size, best=_best, least=1, first=256):
    """The plain loop, with the places where people go wrong as arguments."""
    if vocab_size < 256:
        raise ValueError("too small")
    merges = []
    while first + len(merges) < vocab_size:
        counts = count_pairs(words)
        if not counts or max(counts.values()) < least:
            break
        pair = best(counts)
        new_id = 256 + len(merges)
        merged = {}
        for word, times in words.items():
            word = tuple(merge_pair(word, pair, new_id))
            merged[word] = merged.get(word, 0) + times
        words = merged
        merges.append(pair)
    return merges


@mistake(
    TRAIN,
    "On a tie, the pair that was met first wins. That depends on the order of the text: break ties "
    "with tie_order.",
    seen_in="minbpe#90",
)
def first_met_wins(text, vocab_size, pattern=PATTERN):
    return _train(
        count_words(text, pattern), vocab_size, lambda counts: max(counts, key=counts.get)
    )


@mistake(
    TRAIN,
    "On a tie, the largest pair wins (max over count and pair): it has to be the one with the "
    "smallest tie_order.",
)
def largest_wins(text, vocab_size, pattern=PATTERN):
    return _train(
        count_words(text, pattern),
        vocab_size,
        lambda counts: max(counts, key=lambda pair: (counts[pair], tie_order(pair))),
    )


@mistake(
    TRAIN,
    "Ties are broken by the numbers of the bytes. The order is that of GPT-2's byte alphabet, in "
    "which the blank comes after the letters: use tie_order.",
)
def ties_by_byte_value(text, vocab_size, pattern=PATTERN):
    return _train(
        count_words(text, pattern),
        vocab_size,
        lambda counts: min(counts, key=lambda pair: (-counts[pair], pair)),
    )


@mistake(
    TRAIN,
    "Merges reach across pre-tokens, as if the text were one long word: count pairs only inside what "
    "count_words gives.",
)
def across_pre_tokens(text, vocab_size, pattern=PATTERN):
    texts = [text] if isinstance(text, str) else text
    return _train(dict(Counter(tuple(one.encode()) for one in texts)), vocab_size)


@mistake(
    TRAIN,
    "The 256 bytes are forgotten: vocab_size counts them too, so there are vocab_size − 256 merges.",
)
def bytes_not_counted(text, vocab_size, pattern=PATTERN):
    return _train(count_words(text, pattern), vocab_size, first=0)


@mistake(
    TRAIN,
    "Training stops at pairs that occur only once: it goes on while there is any pair, until the "
    "vocabulary is full.",
)
def stops_at_once(text, vocab_size, pattern=PATTERN):
    return _train(count_words(text, pattern), vocab_size, least=2)


@mistake(
    TRAIN,
    "The tokens start as characters, not as bytes: ord() gives ids beyond 255 for é or 中, which "
    "belong to merges.",
)
def characters(text, vocab_size, pattern=PATTERN):
    counts = Counter()
    for one in [text] if isinstance(text, str) else text:
        counts.update(tuple(map(ord, word)) for word in regex.findall(pattern, one))
    return _train(dict(counts), vocab_size)


@mistake(
    TRAIN,
    "Every distinct word counts once: a pair counts as often as it stands in the text.",
)
def distinct_words(text, vocab_size, pattern=PATTERN):
    return _train(dict.fromkeys(count_words(text, pattern), 1), vocab_size)


@mistake(TRAIN, "The pattern that the caller gave is not used: hand it on to count_words.")
def own_pattern_ignored(text, vocab_size, pattern=PATTERN):
    return _train(count_words(text), vocab_size)


@mistake(
    TRAIN,
    "Several documents are glued together, so that the end of one merges with the start of the next.",
)
def documents_glued(text, vocab_size, pattern=PATTERN):
    return _train(
        count_words(text if isinstance(text, str) else "".join(text), pattern), vocab_size
    )


@mistake(
    TRAIN,
    "The pairs are counted once at the start and taken from the top. Every merge makes new pairs and "
    "uses up old ones: count again.",
)
def counted_once(text, vocab_size, pattern=PATTERN):
    if vocab_size < 256:
        raise ValueError("too small")
    counts = count_pairs(count_words(text, pattern))
    return sorted(counts, key=lambda pair: (-counts[pair], tie_order(pair)))[: vocab_size - 256]


@mistake(
    TRAIN,
    "When no pair is left, min() or max() of nothing raises an error. Stop there: the vocabulary is "
    "then smaller than asked for.",
)
def never_stops(text, vocab_size, pattern=PATTERN):
    if vocab_size < 256:
        raise ValueError("too small")
    words = count_words(text, pattern)
    merges = []
    while 256 + len(merges) < vocab_size:
        counts = count_pairs(words)
        pair = min(counts, key=lambda pair: (-counts[pair], tie_order(pair)))
        new_id = 256 + len(merges)
        words = {tuple(merge_pair(word, pair, new_id)): n for word, n in words.items()}
        merges.append(pair)
    return merges


# --- encode_word ----------------------------------------------------------------------------------

WORD = "lib.tokenizer.encode_word"


def _spelled(merges):
    """Each merged id with the ids it is made of."""
    made = {new_id: pair for pair, new_id in merges.items()}

    def spell(token):
        return spell(made[token][0]) + spell(made[token][1]) if token in made else [token]

    return {token: spell(token) for token in made}


@mistake(
    WORD,
    "This takes the longest token that fits, from left to right. BPE repeats its merges in order of "
    "age, which can give shorter tokens.",
)
def longest_match(ids, merges):
    tokens = _spelled(merges)
    word, rest = [], list(ids)
    while rest:
        fitting = [t for t, spelled in tokens.items() if rest[: len(spelled)] == spelled]
        token = max(fitting, key=lambda t: len(tokens[t]), default=rest[0])
        word.append(token)
        rest = rest[len(tokens.get(token, [0])) :]
    return word


@mistake(
    WORD,
    "The first pair in the word that is a merge goes first. It has to be the oldest merge, wherever "
    "it stands.",
)
def text_order(ids, merges):
    word = list(ids)
    while True:
        fitting = [pair for pair in pairwise(word) if pair in merges]
        if not fitting:
            return word
        word = merge_pair(word, fitting[0], merges[fitting[0]])


@mistake(
    WORD,
    "The youngest merge goes first (max for min): the smallest id is the oldest merge.",
)
def youngest_first(ids, merges):
    word = list(ids)
    while len(word) > 1:
        pair = max(pairwise(word), key=lambda pair: merges.get(pair, -1))
        if pair not in merges:
            break
        word = merge_pair(word, pair, merges[pair])
    return word


@mistake(
    WORD,
    "The pair that occurs most often in this word goes first. Counting was training's business: here "
    "age alone decides.",
)
def most_frequent_first(ids, merges):
    word = list(ids)
    while True:
        fitting = Counter(pair for pair in pairwise(word) if pair in merges)
        if not fitting:
            return word
        pair = min(fitting, key=lambda pair: (-fitting[pair], merges[pair]))
        word = merge_pair(word, pair, merges[pair])


@mistake(WORD, "It stops after one merge: look again until no pair in the word is a merge.")
def one_merge(ids, merges):
    word = list(ids)
    if len(word) > 1:
        pair = min(pairwise(word), key=lambda pair: merges.get(pair, math.inf))
        if pair in merges:
            word = merge_pair(word, pair, merges[pair])
    return word


@mistake(
    WORD,
    "Only pairs of the original bytes are merged. A merge makes new pairs, with the token it made: "
    "look at them too.",
)
def bytes_only(ids, merges):
    word = list(ids)
    for pair in sorted({pair for pair in pairwise(word) if pair in merges}, key=merges.get):
        word = merge_pair(word, pair, merges[pair])
    return word


@mistake(
    WORD,
    "It gives up when the first pair of the word is no merge: the others may be.",
)
def gives_up(ids, merges):
    word = list(ids)
    while len(word) > 1 and (word[0], word[1]) in merges:
        pair = min(pairwise(word), key=lambda pair: merges.get(pair, math.inf))
        word = merge_pair(word, pair, merges[pair])
    return word


@mistake(
    WORD,
    "A pair that is no merge raises a KeyError: it counts as infinitely young, and when the best "
    "pair is none, the word is done.",
)
def key_error(ids, merges):
    word = list(ids)
    while len(word) > 1:
        pair = min(pairwise(word), key=lambda pair: merges[pair])
        word = merge_pair(word, pair, merges[pair])
    return word


# --- Tokenizer.encode -----------------------------------------------------------------------------

ENCODE = "lib.tokenizer.Tokenizer.encode"


def _refuse(text, refused):
    for special in refused:
        if special in text:
            raise ValueError(f"the text contains {special!r}")


def _sets(self, allowed_special, disallowed_special):
    everything = set(self.special_tokens)
    allowed = everything if allowed_special == "all" else everything & set(allowed_special)
    refused = everything - allowed if disallowed_special == "all" else set(disallowed_special)
    return allowed, refused


def _encode(self, text, allowed, order=lambda names: sorted(names, key=len, reverse=True),
            escape=regex.escape, encode_text=None):  # fmt: skip
    def ordinary(part):
        return [i for word in self.words(part) for i in self.encode_cached(word)]

    cuts = "|".join(escape(name) for name in order(allowed))
    ids = []
    for part in regex.split(f"({cuts})", text) if allowed else [text]:
        if part in self.special_tokens and part in allowed:
            ids.append(self.special_tokens[part])
        else:
            ids.extend((encode_text or ordinary)(part))
    return ids


@mistake(
    ENCODE,
    "Where one special token starts with another, the shorter one wins: sort them by length, longest "
    "first, before they become alternatives.",
    seen_in="cs336 a1#52",
)
def not_longest_first(self, text, allowed_special=frozenset(), disallowed_special="all"):
    allowed, refused = _sets(self, allowed_special, disallowed_special)
    _refuse(text, refused)
    return _encode(self, text, allowed, lambda names: sorted(names, key=len))


@mistake(
    ENCODE,
    'With no special token allowed the pattern is empty, and regex.split("()", text) cuts between all '
    "characters: then the text is one part.",
)
def no_guard(self, text, allowed_special=frozenset(), disallowed_special="all"):
    allowed, refused = _sets(self, allowed_special, disallowed_special)
    _refuse(text, refused)
    cuts = "|".join(regex.escape(name) for name in sorted(allowed, key=len, reverse=True))
    ids = []
    for part in regex.split(f"({cuts})", text):
        if part in allowed:
            ids.append(self.special_tokens[part])
        else:
            for word in self.words(part):
                ids.extend(self.encode_cached(word))
    return ids


@mistake(
    ENCODE,
    "Disallowed special tokens are let through as text without a word: raise a ValueError, so that "
    "nobody is fooled.",
)
def never_refuses(self, text, allowed_special=frozenset(), disallowed_special="all"):
    allowed, _ = _sets(self, allowed_special, disallowed_special)
    return _encode(self, text, allowed)


@mistake(
    ENCODE,
    "Special tokens become their ids although nobody allowed them: whoever types <|end|> into a chat "
    "could end it.",
)
def always_special(self, text, allowed_special=frozenset(), disallowed_special="all"):
    _, refused = _sets(self, allowed_special, disallowed_special)
    _refuse(text, refused)
    return _encode(self, text, set(self.special_tokens))


@mistake(
    ENCODE,
    "The text is merged as one long word, across the borders of pre-tokens: cut it with self.words "
    "first.",
)
def no_pre_tokens(self, text, allowed_special=frozenset(), disallowed_special="all"):
    allowed, refused = _sets(self, allowed_special, disallowed_special)
    _refuse(text, refused)
    return _encode(self, text, allowed, encode_text=self.encode_cached)


@mistake(
    ENCODE,
    "The special tokens are used as a pattern unescaped: in <|end|> the strokes mean 'or'. Put each "
    "one through regex.escape.",
)
def unescaped(self, text, allowed_special=frozenset(), disallowed_special="all"):
    allowed, refused = _sets(self, allowed_special, disallowed_special)
    _refuse(text, refused)
    return _encode(self, text, allowed, escape=str)


@mistake(
    ENCODE,
    "The special tokens are cut out and lost: with a group in the pattern, regex.split keeps them, "
    "and then they become their ids.",
)
def specials_lost(self, text, allowed_special=frozenset(), disallowed_special="all"):
    allowed, refused = _sets(self, allowed_special, disallowed_special)
    _refuse(text, refused)
    cuts = "|".join(regex.escape(name) for name in sorted(allowed, key=len, reverse=True))
    parts = regex.split(cuts, text) if allowed else [text]
    return [i for part in parts for word in self.words(part) for i in self.encode_cached(word)]


@mistake(
    ENCODE,
    "The text is cut at blanks with str.split, which throws the blanks away: decoding could not give "
    "the text back. self.words keeps every character.",
)
def blanks_lost(self, text, allowed_special=frozenset(), disallowed_special="all"):
    allowed, refused = _sets(self, allowed_special, disallowed_special)
    _refuse(text, refused)
    return _encode(
        self,
        text,
        allowed,
        encode_text=lambda part: [i for word in part.split() for i in self.encode_cached(word)],
    )


@mistake(
    ENCODE,
    'allowed_special="all" is taken for a collection: its members are the letters a and l. Ask for '
    "the word first.",
)
def all_as_letters(self, text, allowed_special=frozenset(), disallowed_special="all"):
    allowed, refused = _sets(self, set(allowed_special), disallowed_special)
    _refuse(text, refused)
    return _encode(self, text, allowed)


@mistake(
    ENCODE,
    "Allowed special tokens are refused as well: what is allowed has to be taken out of what is "
    "refused.",
)
def refuses_the_allowed(self, text, allowed_special=frozenset(), disallowed_special="all"):
    allowed, refused = _sets(self, allowed_special, disallowed_special)
    _refuse(text, self.special_tokens if disallowed_special == "all" else refused)
    return _encode(self, text, allowed)


@mistake(
    ENCODE,
    "Special tokens are looked for after the text was cut into pre-tokens, which has torn them "
    "apart: cut them out first.",
)
def specials_after_pre_tokens(self, text, allowed_special=frozenset(), disallowed_special="all"):
    allowed, refused = _sets(self, allowed_special, disallowed_special)
    _refuse(text, refused)
    ids = []
    for word in self.words(text):
        ids.extend([self.special_tokens[word]] if word in allowed else self.encode_cached(word))
    return ids


@mistake(
    ENCODE,
    "disallowed_special is not read: its default refuses all that is not allowed, () refuses nothing, "
    "and a set refuses exactly what is in it.",
)
def disallowed_ignored(self, text, allowed_special=frozenset(), disallowed_special="all"):
    allowed, refused = _sets(self, allowed_special, "all")
    _refuse(text, refused)
    return _encode(self, text, allowed)


# --- Tokenizer.decode -----------------------------------------------------------------------------

DECODE = "lib.tokenizer.Tokenizer.decode"


def _bytes(self, ids):
    return b"".join(self.token_bytes(i) for i in ids)


@mistake(
    DECODE,
    "Bytes that are not UTF-8 raise an error. A model may produce any bytes: decode with "
    'errors="replace".',
)
def strict(self, ids):
    return _bytes(self, ids).decode("utf-8")


@mistake(
    DECODE,
    'Bytes that are not UTF-8 vanish silently: errors="replace" shows a � where something was.',
)
def ignored(self, ids):
    return _bytes(self, ids).decode("utf-8", errors="ignore")


@mistake(
    DECODE,
    "Every token is decoded by itself, which tears apart characters that are spread over several "
    "tokens: join the bytes first.",
    seen_in="streaming outputs full of �",
)
def token_by_token(self, ids):
    return "".join(self.token_bytes(i).decode("utf-8", errors="replace") for i in ids)


@mistake(
    DECODE,
    "A negative id is taken as a place counted from the end of the list: Python allows that, a "
    "tokenizer must not. self.token_bytes refuses it.",
)
def negative_ids(self, ids):
    ids = list(ids)
    for i in ids:
        if i >= len(self.vocab):
            raise ValueError(f"there is no token {i}")
    return b"".join(self.vocab[i] for i in ids).decode("utf-8", errors="replace")


@mistake(
    DECODE,
    "An unknown id raises an IndexError, and a negative one nothing at all: raise a ValueError, as "
    "self.token_bytes does.",
)
def index_error(self, ids):
    return b"".join(self.vocab[i] for i in ids).decode("utf-8", errors="replace")


@mistake(
    DECODE,
    "Ids that do not exist are left out silently: that hides a bug in the model or a wrong "
    "tokenizer. Raise a ValueError.",
)
def unknown_skipped(self, ids):
    known = [i for i in ids if 0 <= i < len(self.vocab)]
    return _bytes(self, known).decode("utf-8", errors="replace")


@mistake(
    DECODE,
    "The bytes are read as Latin-1, one character each: é, 中 and 😀 fall apart. They are UTF-8.",
)
def latin_1(self, ids):
    return _bytes(self, ids).decode("latin-1")


@mistake(DECODE, "The tokens are joined with blanks between them: blanks are part of the tokens.")
def blanks_between(self, ids):
    return b" ".join(self.token_bytes(i) for i in ids).decode("utf-8", errors="replace")


@mistake(DECODE, "The special tokens are left out: decoding gives back everything that is there.")
def specials_left_out(self, ids):
    special = set(self.special_tokens.values())
    kept = [i for i in ids if i not in special]
    return _bytes(self, kept).decode("utf-8", errors="replace")


@mistake(
    DECODE,
    "An id below 256 is taken for the byte itself. That holds for vocabularies made here; in others, "
    "GPT-2's for instance, it does not: look it up in self.vocab.",
)
def id_is_byte(self, ids):
    joined = b"".join(bytes([i]) if 0 <= i < 256 else self.token_bytes(i) for i in ids)
    return joined.decode("utf-8", errors="replace")
