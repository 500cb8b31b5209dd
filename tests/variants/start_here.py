"""Other right answers for the exercise of the lesson "start_here"."""

import re
from collections import Counter, defaultdict
from itertools import pairwise

from tests.variants import right

NEXT = "start_here.most_common_next"


@right(NEXT)
def with_a_dictionary(text, word):
    words = text.split()
    counts = {}
    for i in range(len(words) - 1):
        if words[i] == word:
            counts[words[i + 1]] = counts.get(words[i + 1], 0) + 1
    best = ""
    for candidate in counts:
        if best == "" or counts[candidate] > counts[best]:
            best = candidate
    return best


@right(NEXT)
def with_most_common(text, word):
    words = text.split()
    most = Counter(b for a, b in pairwise(words) if a == word).most_common(1)
    return most[0][0] if most else ""


@right(NEXT)
def with_a_list(text, word):
    following = [after for before, after in pairwise(text.split()) if before == word]
    if not following:
        return ""
    return sorted(set(following), key=lambda w: (-following.count(w), following.index(w)))[0]


@right(NEXT)
def with_a_regular_expression(text, word):
    counts = Counter(re.findall(rf"(?<!\S){re.escape(word)}(?=\s+(\S+))", text))
    return max(counts, key=lambda w: counts[w], default="")


@right(NEXT)
def with_the_word_before_remembered(text, word):
    counts, before = defaultdict(int), None
    for now in text.split():
        if before == word:
            counts[now] += 1
        before = now
    return max(counts.items(), key=lambda item: item[1])[0] if counts else ""
