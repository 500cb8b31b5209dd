"""Other right answers for the floor `lib.tokenizer`."""

import heapq
import itertools
from collections import Counter, defaultdict

import regex

from lib.tokenizer import count_pairs as count
from lib.tokenizer import count_words, encode_word, merge_pair, tie_order
from tests.variants import right

COUNT = "lib.tokenizer.count_pairs"


@right(COUNT)
def count_with_counter(words):
    counts = Counter()
    for word, times in words.items():
        for left, right_ in itertools.pairwise(word):
            counts[left, right_] += times
    return counts


@right(COUNT)
def count_with_defaultdict(words):
    counts = defaultdict(int)
    for word in words:
        for i in range(1, len(word)):
            counts[(word[i - 1], word[i])] += words[word]
    return dict(counts)


MERGE = "lib.tokenizer.merge_pair"


@right(MERGE)
def merge_with_a_flag(ids, pair, new_id):
    merged, skip = [], False
    for i, token in enumerate(ids):
        if skip:
            skip = False
        elif token == pair[0] and i < len(ids) - 1 and ids[i + 1] == pair[1]:
            merged.append(new_id)
            skip = True
        else:
            merged.append(token)
    return merged


@right(MERGE)
def merge_with_a_stack(ids, pair, new_id):
    """A pair is seen when its right half arrives; what was merged is never a left half again."""
    stack = []
    for token in ids:
        if stack and stack[-1] == pair[0] and token == pair[1]:
            stack[-1] = new_id
        else:
            stack.append(token)
    return stack


@right(MERGE)
def merge_in_a_copy(ids, pair, new_id):
    ids = list(ids)
    i = 0
    while i < len(ids) - 1:
        if tuple(ids[i : i + 2]) == tuple(pair):
            ids[i : i + 2] = [new_id]
        i += 1
    return ids


TRAIN = "lib.tokenizer.train_bpe"


@right(TRAIN, slow=True)
def train_naively(text, vocab_size, pattern=r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"):  # fmt: skip  # noqa: E501
    if vocab_size < 256:
        raise ValueError(f"vocab_size must be at least 256, got {vocab_size}")
    words = count_words(text, pattern)
    merges = []
    while len(merges) < vocab_size - 256:
        counts = count(words)
        if not counts:
            break
        pair = min(counts, key=lambda p: (-counts[p], tie_order(p)))
        words = {tuple(merge_pair(word, pair, 256 + len(merges))): n for word, n in words.items()}
        merges.append(pair)
    return merges


@right(TRAIN, slow=True)
def train_without_counting_words(text, vocab_size, pattern=None):
    """Every pre-token of the text by itself, in the order of the text."""
    from lib.tokenizer import PATTERN

    if vocab_size < 256:
        raise ValueError("too small")
    texts = [text] if isinstance(text, str) else text
    words = [list(w.encode("utf-8")) for t in texts for w in regex.findall(pattern or PATTERN, t)]
    merges = []
    for new_id in range(256, vocab_size):
        counts = Counter(p for word in words for p in itertools.pairwise(word))
        if len(counts) == 0:
            return merges
        most = max(counts.values())
        pair = sorted((p for p in counts if counts[p] == most), key=tie_order)[0]
        merges.append(pair)
        words = [merge_pair(word, pair, new_id) for word in words]
    return merges


@right(TRAIN, slow=True)
def train_with_changed_words_only(text, vocab_size, pattern=None):
    """Counts are kept; only words that hold the pair are looked at again."""
    from lib.tokenizer import PATTERN

    if vocab_size < 256:
        raise ValueError("too small")
    words = [(list(w), n) for w, n in count_words(text, pattern or PATTERN).items()]
    counts = Counter()
    for word, n in words:
        for p in itertools.pairwise(word):
            counts[p] += n
    merges = []
    while 256 + len(merges) < vocab_size:
        live = [p for p in counts if counts[p] > 0]
        if not live:
            break
        pair = min(live, key=lambda p: (-counts[p], *tie_order(p)))
        for word, n in words:
            if pair in set(itertools.pairwise(word)):
                counts.subtract({p: n * m for p, m in Counter(itertools.pairwise(word)).items()})
                word[:] = merge_pair(word, pair, 256 + len(merges))
                for p in itertools.pairwise(word):
                    counts[p] += n
        merges.append(pair)
    return merges


@right(TRAIN)
def train_asking_twice(text, vocab_size, pattern=None):
    """The leader is asked for in the condition and again in the loop; every pair is noted anew."""
    from lib.tokenizer import PATTERN, PairRanking

    if vocab_size < 256:
        raise ValueError("too small")
    counted = count_words(text, pattern or PATTERN)
    words, numbers = list(counted), list(counted.values())
    counts, where = PairRanking(count(counted)), defaultdict(set)
    for i, word in enumerate(words):
        for pair in itertools.pairwise(word):
            where[pair].add(i)
    merges = []
    while 256 + len(merges) < vocab_size and counts.leader() is not None:
        best = counts.leader()
        for i in list(where[best]):
            for pair in zip(words[i], words[i][1:]):
                counts[pair] -= numbers[i]
            words[i] = merge_pair(words[i], best, 256 + len(merges))
            for pair in zip(words[i], words[i][1:]):
                counts[pair] += numbers[i]
                where[pair].add(i)
        merges.append(best)
    return merges


WORD = "lib.tokenizer.encode_word"


@right(WORD, slow=True)
def word_in_order_of_age(ids, merges):
    word = list(ids)
    for pair, new_id in sorted(merges.items(), key=lambda item: item[1]):
        word = merge_pair(word, pair, new_id)
    return word


@right(WORD)
def word_one_place_at_a_time(ids, merges):
    word = list(ids)
    while True:
        places = [(merges[p], i) for i, p in enumerate(itertools.pairwise(word)) if p in merges]
        if not places:
            return word
        new_id, i = min(places)
        word[i : i + 2] = [new_id]


@right(WORD)
def word_recursively(ids, merges):
    ages = [merges[p] for p in itertools.pairwise(ids) if p in merges]
    if not ages:
        return list(ids)
    pair = next(p for p in itertools.pairwise(ids) if merges.get(p) == min(ages))
    return word_recursively(merge_pair(ids, pair, min(ages)), merges)


@right(WORD)
def word_with_a_heap(ids, merges):
    word, after = list(ids), [*range(1, len(ids)), None]
    before = [None, *range(len(ids) - 1)]
    heap = [(merges[p], i, p) for i, p in enumerate(itertools.pairwise(word)) if p in merges]
    heapq.heapify(heap)
    while heap:
        new_id, i, pair = heapq.heappop(heap)
        j = after[i]
        if j is None or (word[i], word[j]) != pair:
            continue
        word[i], word[j] = new_id, None
        after[i] = after[j]
        if after[j] is not None:
            before[after[j]] = i
        for a in (before[i], i):
            if a is not None and after[a] is not None and (word[a], word[after[a]]) in merges:
                p = (word[a], word[after[a]])
                heapq.heappush(heap, (merges[p], a, p))
    return [token for token in word if token is not None]


ENCODE = "lib.tokenizer.Tokenizer.encode"


@right(ENCODE)
def encode_by_search(self, text, allowed_special=frozenset(), disallowed_special="all"):
    if allowed_special == "all":
        allowed_special = set(self.special_tokens)
    if disallowed_special == "all":
        disallowed_special = set(self.special_tokens) - set(allowed_special)
    if any(name in text for name in disallowed_special):
        raise ValueError("there is a special token in the text")
    names = sorted((n for n in self.special_tokens if n in allowed_special), key=lambda n: -len(n))
    ids, start = [], 0
    pattern = regex.compile("|".join(map(regex.escape, names)) if names else r"(?!)")
    for match in [*pattern.finditer(text), None]:
        for word in self.words(text[start : match.start() if match else len(text)]):
            ids += self.encode_cached(word)
        if match:
            ids.append(self.special_tokens[match.group()])
            start = match.end()
    return ids


@right(ENCODE)
def encode_by_cutting(self, text, allowed_special=frozenset(), disallowed_special="all"):
    """Without any pattern for the special tokens: find the first, cut, go on behind it."""
    special = self.special_tokens
    allowed = (
        list(special) if allowed_special == "all" else [s for s in special if s in allowed_special]
    )
    refused = disallowed_special
    if refused == "all":
        refused = [s for s in special if s not in allowed]
    for name in refused:
        if text.find(name) >= 0:
            raise ValueError(name)
    ids = []
    while text:
        found = [(text.find(name), -len(name), name) for name in allowed if name in text]
        place, _, name = min(found, default=(len(text), 0, ""))
        for word in self.words(text[:place]):
            ids.extend(encode_word([self.byte_ids[b] for b in word.encode()], self.merges))
        if name:
            ids.append(special[name])
        text = text[place + len(name) :]
    return ids


DECODE = "lib.tokenizer.Tokenizer.decode"


@right(DECODE)
def decode_by_appending(self, ids):
    whole = bytearray()
    for token in ids:
        if token < 0 or token >= len(self.vocab):
            raise ValueError(f"unknown id {token}")
        whole += self.vocab[token]
    return whole.decode("utf-8", "replace")


@right(DECODE)
def decode_piece_by_piece(self, ids):
    """As a stream would: a decoder that waits for the rest of a character."""
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    text = [decoder.decode(self.token_bytes(token)) for token in ids]
    return "".join(text) + decoder.decode(b"", final=True)
