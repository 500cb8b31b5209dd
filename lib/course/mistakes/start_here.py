"""Classic mistakes in the lesson "start_here"."""

import re
from collections import Counter
from itertools import pairwise

import lib.course.checks.start_here  # the exercises must be known first
from lib.course.bank import mistake

NEXT = "start_here.most_common_next"


def _first(counts):
    return max(counts, key=counts.get, default="")


def _followers(words, word):
    return Counter(after for before, after in pairwise(words) if before == word)


@mistake(NEXT, "This counts the words before it. The question is what comes after.")
def the_word_before(text, word):
    return _first(Counter(before for before, after in pairwise(text.split()) if after == word))


@mistake(
    NEXT,
    "This counts the word itself: the answer is always the word that was asked for. Take the one "
    "that stands one place further on.",
)
def the_word_itself(text, word):
    return _first(Counter(w for w in text.split() if w == word))


@mistake(
    NEXT,
    "This is the most common word of the whole text. Count only what stands right after the word "
    "that was asked for.",
)
def most_common_overall(text, word):
    return _first(Counter(text.split()))


@mistake(
    NEXT,
    'This finds the word inside longer ones too, as "he" in "the" and "then". Compare whole words, '
    "with ==.",
)
def inside_longer_words(text, word):
    return _first(Counter(after for before, after in pairwise(text.split()) if word in before))


@mistake(
    NEXT,
    "Every word that merely begins with it is counted as well. Compare whole words, with ==.",
)
def begins_with(text, word):
    words = text.split()
    return _first(Counter(b for a, b in pairwise(words) if a.startswith(word)))


@mistake(
    NEXT,
    "Of words that follow equally often, this takes the one seen last. The one seen first wins.",
)
def last_seen_wins(text, word):
    counts = _followers(text.split(), word)
    best, most = "", 0
    for follower, times in counts.items():
        if times >= most:
            best, most = follower, times
    return best


@mistake(
    NEXT,
    "Of words that follow equally often, this takes the first in the alphabet. The one seen first "
    "in the text wins.",
)
def alphabet_decides(text, word):
    counts = _followers(text.split(), word)
    return min(counts, key=lambda w: (-counts[w], w), default="")


@mistake(
    NEXT,
    "Of words that follow equally often, this takes the last in the alphabet, as max does with "
    "pairs of a number and a word. The one seen first in the text wins.",
)
def max_of_pairs(text, word):
    counts = _followers(text.split(), word)
    return max(((times, w) for w, times in counts.items()), default=(0, ""))[1]


@mistake(
    NEXT,
    "Of words that follow equally often, this takes the one that was first to reach the number. "
    "The one seen first in the text wins: count to the end, then compare.",
)
def first_to_get_there(text, word):
    counts, best = Counter(), ""
    for before, after in pairwise(text.split()):
        if before == word:
            counts[after] += 1
            if not best or counts[after] > counts[best]:
                best = after
    return best


@mistake(
    NEXT,
    "This looks at the first place only where the word stands. Count what follows it everywhere.",
)
def first_place_only(text, word):
    return next((after for before, after in pairwise(text.split()) if before == word), "")


@mistake(NEXT, "The last pair of the text is left out: the loop ends one step too early.")
def stops_early(text, word):
    return _first(_followers(text.split()[:-1], word))


@mistake(
    NEXT,
    "Everything is made lower case. Here The and the are two words, as text.split() gives them.",
)
def lower_case(text, word):
    return _first(_followers(text.lower().split(), word.lower()))


@mistake(
    NEXT,
    "Punctuation is cut off. Words are what text.split() gives: a comma belongs to its word.",
)
def without_punctuation(text, word):
    return _first(_followers(re.findall(r"\w+", text), word))


@mistake(
    NEXT,
    'text.split(" ") cuts at single spaces only, so line breaks stay inside words and double '
    "spaces make empty ones. text.split() cuts at all white space.",
)
def split_at_single_spaces(text, word):
    return _first(_followers(text.split(" "), word))


@mistake(
    NEXT,
    "After a hit this goes on behind the follower, which is never looked at itself. A word can "
    'follow itself: in "ha ha he", ha is followed by ha, and by he.',
)
def jumps_over(text, word):
    words, counts, i = text.split(), Counter(), 0
    while i < len(words) - 1:
        if words[i] == word:
            counts[words[i + 1]] += 1
            i += 1
        i += 1
    return _first(counts)


@mistake(NEXT, "This is one word too far: the second one after it.")
def one_too_far(text, word):
    words = text.split()
    return _first(Counter(c for a, c in zip(words, words[2:]) if a == word))


@mistake(
    NEXT,
    "Where the word is the last one of the text, there is none after it to be read. Let the loop "
    "end one word earlier, or use pairwise(words).",
)
def runs_over_the_end(text, word):
    words = text.split()
    return _first(Counter([words[i + 1] for i in range(len(words)) if words[i] == word]))


@mistake(
    NEXT,
    'Where nothing follows the word there is no most common one to take: answer "" then.',
)
def nothing_to_take_most_common(text, word):
    return _followers(text.split(), word).most_common(1)[0][0]


@mistake(NEXT, 'Where nothing follows, max has nothing to choose from: give it default="".')
def nothing_to_take_max(text, word):
    counts = _followers(text.split(), word)
    return max(counts, key=counts.get)


@mistake(
    NEXT, 'Where nothing follows the word, the answer is "", a text without letters, not None.'
)
def none_for_nothing(text, word):
    return _first(_followers(text.split(), word)) or None


@mistake(
    NEXT,
    "The answer is a pair of the word and its count, or a list of such pairs. Return the word alone.",
)
def word_and_count(text, word):
    most = _followers(text.split(), word).most_common(1)
    return most[0] if most else ""
