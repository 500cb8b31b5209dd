# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # Tokenization
#
# **How does text become numbers, and what does that cost?**
#
# A language model calculates. It multiplies and adds; it cannot read. Between your text and the
# model stands a small program that turns one into the other, and back: the **tokenizer**. It cuts
# the text into pieces, the **tokens**, and gives each piece a number. The model sees the numbers
# only.
#
# It is an unspectacular part, and it decides a lot. Why can a question in Chinese cost more than the same question in English? Why do good models stumble over the letters in *strawberry*? Why
# does a blank at the end of your prompt spoil the answer? All three begin here, before the model
# has calculated anything, and by the end of the lesson you will have measured them.
#
# You will write six functions. They become `lib.tokenizer`, and every later lesson reads its text
# through them. Plan two hours for it; the cells themselves run in half a minute.

# %% [markdown]
# Everything this lesson needs:

# %%
import heapq
import html
import json
import math
import os
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import regex

from lib.corpora import read
from lib.course import exercise, given, hint, progress, settle, show, solution
from lib.course.figures import use_style
from lib.course.widgets import explore
from lib.tokenizer import GPT2_PATTERN, PATTERN, count_words, split_words, tie_order

use_style()

# %% [markdown]
# ## Text in, numbers out, text again
#
# Here is the finished thing at work, before we take it apart. It learns its tokens from a text:
# Python's language reference, which lies on every machine that has Python. That takes less than a
# second.

# %%
from lib.tokenizer import Tokenizer

reference = read("python", part="reference").text()
finished = Tokenizer.train(reference, vocab_size=4096)

sentence = "The statement returns what the function has found."
ids = finished.encode(sentence)
print(len(sentence), "characters,", len(ids), "tokens:", ids)
print("and back:", finished.decode(ids))
assert finished.decode(ids) == sentence

# %% [markdown]
# Which piece of the text does each number stand for? For human eyes we write a blank as `·`.


# %%
def label(token: bytes) -> str:
    """A token for human eyes: blanks as ·, line ends as ⏎, bytes that are no text in hex."""
    try:
        return token.decode().replace(" ", "·").replace("\n", "⏎")
    except UnicodeDecodeError:
        return " ".join(f"{byte:02X}" for byte in token)


def pieces(tokenizer: Tokenizer, text: str) -> str:
    """The tokens of a text, side by side."""
    tokens = [tokenizer.token_bytes(i) for i in tokenizer.encode(text)]
    return " | ".join(label(token) for token in tokens)


pieces(finished, sentence)

# %% [markdown]
# Frequent words are one token, rare words are several. A blank belongs to the word behind it. And
# nothing got lost: from the numbers comes the very same text. Two questions, then: how does one get
# numbers from text at all, and who decided on these pieces?

# %% [markdown]
# ## Characters, code points, bytes
#
# Computers have numbers for characters already. **Unicode** gives every character of every script
# one, its **code point**:

# %%
waves = "sea é 海 🌊"
[ord(character) for character in waves]

# %% [markdown]
# Could a model use these? There are 1,114,112 possible code points. A model keeps a vector of
# learnt numbers for each token it knows, so it would keep a million vectors, nearly all for
# characters that it has hardly ever seen. What about words? There is no end to them: tomorrow
# somebody writes a new one, and the model has no number for it.
#
# There is a smaller alphabet underneath. Files and networks do not store code points, they store
# **bytes**, numbers from 0 to 255. The rule that turns the one into the other is **UTF-8**, and it
# takes one to four bytes a character:

# %% tags=["nbval-check-output"]
for character in waves:
    code = list(character.encode())
    print(f"{character!r:5} code point {ord(character):6}   bytes {code}")

# %% [markdown]
# English letters keep their number from the sixties, *é* takes two bytes, a Chinese character
# three, an emoji four. Bytes are a fine alphabet: **256 of them write every text there is**, with
# no unknown word and no unknown character, ever. `encode()` of a string and `decode()` of bytes go back and forth.
#
# Only do not cut inside a character. What is left of it is not text any more, and Python says so,
# or shows the sign `�` (*replacement character*) where something is missing:

# %%
wave = "🌊".encode()
wave.decode(), wave[:3].decode(errors="replace")

# %% [markdown]
# So let bytes be the tokens? It works, and it is long: one token for every letter. A model takes a
# step for every token that it writes, and you will see in lesson *attention* that a part of its
# work even grows fourfold when the tokens double. We want both: **the certainty of bytes, and
# short texts.**
#
# The way to get both is an old trick of data compression ([Gage
# 1994](http://www.pennelynn.com/Documents/CUJ/HTML/94HTML/19940045.HTM)). Start with bytes. Look
# which two stand side by side most often. Glue them together and call that a token. Again and
# again. This is **byte-pair encoding**, BPE, and nearly every model that you have heard of uses
# it.

# %% [markdown]
# ## By hand
#
# A text to do it by hand with:

# %%
tiny = "see the sea, see the seal, see the seals"
words = count_words(tiny)
words

# %% [markdown]
# `count_words` has cut the text into **pre-tokens**: words with the blank before them, and
# punctuation on its own. (Why it cuts, and where, comes later.) Each is written as its bytes, as a
# tuple, with the number of times that it occurs. `(32, 115, 101, 101)` is `·see`: 32 is the blank,
# 115 the *s*. Counting each word once and remembering how often it occurs saves most of the work:
# real text repeats itself a lot.
#
# ### Exercise: `count_pairs`
#
# How often does each pair of neighbours occur? Replace the line
# `raise NotImplementedError` by your own code and run the cell.
#
# You know ○, ✗ and ✓ from lesson *start here*. What is new: this exercise builds a part
# of `lib`. From ✓ on, this lesson, all later ones and `lib` itself run on your
# function. If you are stuck, run `hint()` in a cell of its own, up to three times;
# `solution()` shows the reference. The numbered comments are the steps; they may help,
# you need not follow them.

# %% exercise="lib.tokenizer.count_pairs"
# 1. Walk over the words, with the number of times that each occurs.
# 2. In each word, walk over the pairs of neighbours: of n ids, n − 1 pairs.
# 3. A word that occurs 10 times adds 10 to each of its pairs.
from lib.tokenizer import count_pairs

# %%
counts = count_pairs(words)
for (left, right), count in sorted(counts.items(), key=lambda item: -item[1])[:5]:
    print(f"{label(bytes([left]))} {label(bytes([right]))}  {count}")

# %% [markdown]
# The winner is *s e*, six times. It becomes the first token of our own, with the first number that
# is free: 256. Every *s e* in every word is to be replaced by it.
#
# Go from left to right, and mind one thing: what has been merged is used up. In *eee* with the
# pair *e e*, the first two *e* become one token, and the third is left alone.
#
# ### Exercise: `merge_pair`

# %% exercise="lib.tokenizer.merge_pair"
# 1. Start a new list; the old one stays as it is.
# 2. Walk along with a position i. If the pair starts at i, append new_id and step by two.
# 3. Otherwise append what stands at i and step by one. Mind the last id: it starts no pair.
from lib.tokenizer import merge_pair

# %%
merge_pair(list(b" seals"), (ord("s"), ord("e")), 256)

# %% [markdown]
# Both together are one round: count, choose, merge. Here are seven rounds. `vocab` is the
# **vocabulary**, the list of all tokens; a token's number, its **id**, is its place in that list.


# %% tags=["nbval-check-output"]
def plus(pairs: Iterable[tuple[int, int]]) -> str:
    """Pairs for human eyes: h+e, t+h."""
    return ", ".join(
        f"{label(vocab[left])}+{label(vocab[right])}" for left, right in pairs
    )


vocab = [bytes([byte]) for byte in range(256)]
by_hand, state = [], words
for new_id in range(256, 263):
    counts = count_pairs(state)
    most = max(counts.values())
    leaders = [pair for pair in counts if counts[pair] == most]
    best, *others = sorted(leaders, key=tie_order)
    by_hand.append(best)
    vocab.append(vocab[best[0]] + vocab[best[1]])
    state = {tuple(merge_pair(w, best, new_id)): n for w, n in state.items()}
    print(f"{new_id}: {label(vocab[new_id]):5} {most} times", end="")
    print(f"   as often: {plus(others)}" if others else "")

# %% [markdown]
# Nobody said what a word is. It has found *the* and *sea* by counting.
#
# Look at the third round: four pairs occurred three times each. Which goes first? Any
# rule will do, but there must *be* one, or two programs learn different tokens from the
# same text. Ours is `tie_order`, the rule of the most used library, so that we can
# compare: **the smaller left token first, then the smaller right one.** Letters are
# smaller than blanks, bytes smaller than merges, old merges smaller than young ones.

# %% tags=["nbval-check-output"]
three = [tuple(pair) for pair in (b" t", b"th", b"he")]
print(plus(sorted(three, key=tie_order)))

# %% [markdown]
# ## The naive way, and what it costs
#
# Training is this loop, to whatever size of vocabulary one wants. As a function:


# %%
def train_naively(text: str, vocab_size: int) -> list[tuple[int, int]]:
    """Count everything anew after each merge."""
    words = count_words(text)
    learnt = []
    for new_id in range(256, vocab_size):
        counts = count_pairs(words)
        best = min(counts, key=lambda pair: (-counts[pair], tie_order(pair)))
        learnt.append(best)
        words = {tuple(merge_pair(w, best, new_id)): n for w, n in words.items()}
    return learnt


def seconds(function: Callable[[], object], runs: int = 3) -> float:
    """Processor time of one run: the best of several, as other programs can only disturb."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


assert train_naively(tiny, 263) == by_hand, "other merges than by hand"
few = seconds(lambda: train_naively(reference, 256 + 10), runs=2)
more = seconds(lambda: train_naively(reference, 256 + 60), runs=2)
naive_merge = (more - few) / 50
naive = naive_merge * 3840
print(f"{naive_merge * 1e3:.1f} ms a merge, so {naive:.0f} s for 3,840 merges")

# %% [markdown]
# Bearable, for half a megabyte. But the work grows with the text *and* with the number
# of merges, and a real tokenizer learns 100,000 merges from many gigabytes. Where does
# the time go? Ask how many words a merge changes at all. The finished tokenizer knows
# all its merges, oldest first; so we cut every word with those before number `k`, and
# look whether number `k` finds its pair:

# %%
different = set(split_words(reference))
learnt = list(finished.merges)
print(f"of {len(different):,} different words,")
for k in (1, 10, 60, 500, 3000):
    before = Tokenizer(learnt[: k - 1])
    changed = [w for w in different if learnt[k - 1] in pairwise(before.encode(w))]
    print(f"    merge number {k:5,} changes {len(changed):3}")

# %% [markdown]
# A few hundred early on, hardly any later. All other words are counted again for
# nothing, with the same result. The better way keeps the counts and **corrects** them,
# only where something changes:
#
# 1. Note for each pair *which words hold it*: `where[pair]`, a set of word numbers.
# 2. When a pair is merged, visit those words only. Take all their pairs out of the
#    counts, merge, put their new pairs in.
#
# Here is one such step by hand, the first one of `tiny`, which merges *s e* into 256:

# %% tags=["nbval-check-output"]
se = (ord("s"), ord("e"))
for i, (word, times) in enumerate(words.items()):
    if se in pairwise(word):
        after = merge_pair(word, se, 256)
        out, new = plus(pairwise(word)), plus(pairwise(after))
        print(f"word {i}, {times} ×:  out {out:24}  in {new}")

# %% [markdown]
# Words 1 and 3, `·the` and the comma, are not touched. The counts of all pairs in the
# column *out* fall, those in the column *in* rise, each by the number of times that the
# word occurs. (`a+l` is in both: it stays as it was.) Your `where` has to learn the new
# pairs too: `·+se` is now in the words 2, 4, 5 and 6.
#
# One question remains: which pair leads now? Looking through all counts after each
# merge would again be slow. `lib` has a dictionary of counts that knows its leader,
# `PairRanking`. Its trick is a **heap**, a list that always has its smallest entry at
# hand. Counts change, and entries in a heap cannot; so an outdated entry stays where it
# is until it comes up, and is then put back with the count of today. You need not
# understand the heap. You need `counts[pair] += n` and `counts.leader()`:

# %% given="lib.tokenizer.PairRanking" only="leader"
from lib.tokenizer import PairRanking

# %% tags=["nbval-check-output"]
ranking = PairRanking(count_pairs(words))
print("leader:", plus([ranking.leader()]), ranking[ranking.leader()], "times")
ranking[se] -= 4
print("leader:", plus([ranking.leader()]), ranking[ranking.leader()], "times")

# %% [markdown]
# ### Exercise: `train_bpe`
#
# The heart of this lesson. The loop of `train_naively`, with the pattern passed on, an
# error for too small a vocabulary and an end when no pair is left, is a *right* answer,
# and a fine first one: the check says ✓. It also says that `lib` keeps its own version,
# as yours is far slower, and later lessons train on real text. With the two steps above
# it becomes yours for good.

# %% exercise="lib.tokenizer.train_bpe"
# 1. Refuse a vocabulary that is too small for the bytes.
# 2. Count the words; keep them as lists that may change, with their times. Count the pairs into a
#    PairRanking, and note for each pair the numbers of the words that hold it.
# 3. While there is room and a leader: it is the next merge. Go through the words that hold it:
#    subtract the word's pairs, merge, add its new pairs, and note where those stand.
from lib.tokenizer import train_bpe

# %%
start = time.process_time()
merges = train_bpe(reference, 4096)
took = time.process_time() - start
print(f"{len(merges):,} merges in {took:.2f} s: {naive / took:.0f} × as fast")
assert merges[:60] == train_naively(reference, 316)
assert naive > 5 * took

# %% [markdown]
# The same merges, all sixty that the plain loop has had time for. (Further down, all 3,840 are compared with another program's.) That is worth an `assert`: clever code is only worth something
# if it does the same as the plain code.

# %% [markdown]
# ## Encoding: the oldest merge first
#
# Training gave us a list of merges. Now a new text comes, with words that training has never seen.
# Which merges apply, and in which order? Take the word *she*, and a tokenizer that has learnt *h e*
# first and *s h* later. The *h* can go only one way: `s|he` or `sh|e`?
#
# The rule: **the oldest merge first.** That is how the training text itself was treated, so it is
# how the model has seen words cut. In our numbering the oldest is easy to see: the older a merge,
# the smaller the id that it makes.
#
# ### Exercise: `encode_word`

# %% exercise="lib.tokenizer.encode_word"
# 1. Of all pairs in the word now, find the one whose merge is the oldest.
# 2. If none of them is a merge, the word is finished.
# 3. Otherwise merge it everywhere in the word, and look again: there are new pairs.
from lib.tokenizer import encode_word

# %%
h_e, s_h = (ord("h"), ord("e")), (ord("s"), ord("h"))
encode_word(b"she", {h_e: 256, s_h: 257}), encode_word(b"she", {s_h: 256, h_e: 257})

# %% [markdown]
# Each time the older merge wins: `s|he` in the first, `sh|e` in the second.
#
# It is tempting to take the *longest* token that fits instead, from left to right. Often that is
# the same. How often is it not? We take text that the tokenizer has not learnt from:
# `lib.corpora` holds a part of the documents back.

# %%
held_out = read("python", part="reference", split="held_out").text()
known = {token: i for i, token in enumerate(finished.vocab)}


def longest_match(word: bytes) -> list[bytes]:
    """Not how BPE does it: the longest token that fits, from left to right."""
    tokens = []
    while word:
        end = next(n for n in range(len(word), 0, -1) if word[:n] in known)
        tokens.append(word[:end])
        word = word[end:]
    return tokens


differ = []
new_words = list(dict.fromkeys(split_words(held_out)))
for word in new_words:
    tokens = [finished.vocab[i] for i in encode_word(word.encode(), finished.merges)]
    if tokens != longest_match(word.encode()):
        differ.append((tokens, longest_match(word.encode())))
print(f"{len(differ)} of {len(new_words):,} words come out differently, for instance")
for ours, theirs in [pair for pair in differ if len(b"".join(pair[0])) > 6][:6]:
    print(f"    {'|'.join(map(label, ours)):22} and not {'|'.join(map(label, theirs))}")
assert 0.02 < len(differ) / len(new_words) < 0.4

# %% [markdown]
# More than one word in ten. Sometimes the longest match even looks better. It is still wrong here:
# a model that learnt from the one way of cutting and is used with the other reads a text it has
# never seen. Nothing crashes; it merely gets worse.

# %% [markdown]
# ## Where to cut first: pre-tokens
#
# We have cut the text into words before anything else. Why? See what happens without: train on the
# beginning of the reference as one single word, with a pattern that matches everything.

# %%
beginning = reference[:20_000]
for name, pattern in (("uncut", r"(?s:.+)"), ("cut", PATTERN)):
    one = Tokenizer(train_bpe(beginning, 700, pattern), pattern)
    uses = Counter(label(one.token_bytes(i)) for i in one.encode(beginning))
    the = {t: n for t, n in uses.most_common() if regex.search(r"\b[Tt]he\b", t)}
    print(f"{name}: {len(the)} tokens for the word 'the':", end=" ")
    print(*[f"{token} {times}" for token, times in list(the.items())[:7]], sep=", ")
    assert len(the) > 8 if name == "uncut" else len(the) <= 4

# %% [markdown]
# Uncut, the word is spread over a dozen tokens, each with what happened to stand around
# it: `of·the·`, `,·the·`. Each spends a place in the vocabulary on a coincidence, and a
# model would have to learn a dozen times what it means. Cut, there are four at most:
# with a capital or without, with the blank or without. So a **pattern**, a regular
# expression, cuts first, and no merge reaches across a cut. Ours is the one that Qwen's
# models use:

# %% tags=["nbval-check-output"]
print(PATTERN)
list(split_words("It's 2024, isn't it?  \n    Yes: x=10"))

# %% [markdown]
# From left to right in that pattern: endings such as *'s* and *'t*; a word with one sign or blank
# before it; **a single digit**; a run of punctuation; line ends; blanks. The pieces, put together,
# are the text again, character by character. GPT-2 began this, with a slightly other pattern. Every
# family of models has its own, and it is part of the tokenizer as much as the merges are.
#
# Digits one by one? With merges, 2024 might be one token and 2025 two, whatever the training text
# happened to hold. Digit by digit, all numbers are made alike, and arithmetic has a chance. It
# costs a token for each digit.

# %% [markdown]
# ## The class, and what must never be typed
#
# A tokenizer is its merges, its pattern, and one more thing. A chat needs signs that
# are no text: *here ends the answer*. They are **special tokens**, with names like
# `<|end|>`, and each has an id after all others. `Tokenizer` holds the three, and has
# two methods that you will need: `words` cuts a text, and `encode_cached` gives the ids
# of one pre-token. It remembers them, since most words come again soon. (All of its code
# is in `lib/tokenizer.py`.)

# %% tags=["nbval-check-output"]
chat = Tokenizer(train_bpe(tiny, 263), special_tokens=["<|end|>", "<|end|>\n"])
print(chat.special_tokens)
print(list(chat.words("see the seats")))
print(chat.encode_cached(" seats"))

# %% [markdown]
# What if somebody *types* `<|end|>` into a chat? If it became the special token, every user could
# end the answer, or put words into the system's mouth. So for each special token in a text, the
# caller of `encode` decides between three things:
#
# - **allowed**: it becomes its id. For text that we have put together ourselves.
# - **refused**: an error. This is the default, so that nobody forgets to decide.
# - **neither**: it is text like any other. For what users type.
#
# And if one special token begins like another, `<|end|>` and `<|end|>` with a line end behind it,
# the longer one counts.
#
# One more tool, to cut a text at the special tokens and keep them. `regex.split` with a
# group, that is with parentheses, does it. In a pattern `|` means *or*, so `<|end|>`
# must go through `regex.escape` first:

# %% tags=["nbval-check-output"]
print(regex.split("(X|YY)", "aXbYYc"))
print(regex.escape("<|end|>"))

# %% [markdown]
# ### Exercise: `Tokenizer.encode`
#
# The cell below holds a method of the class `Tokenizer`: `self` is the tokenizer,
# `self.special_tokens` says which special token has which id.

# %% exercise="lib.tokenizer.Tokenizer.encode"
# 1. Which special tokens are allowed, which are refused? "all" stands for a set: work it out.
# 2. Raise a ValueError if a refused text is in there.
# 3. Cut the text at the allowed ones, the longest first, and keep them: regex.split with a group.
#    With nothing allowed there is nothing to cut at: the text is one part.
# 4. Special tokens become their id; the text between goes word by word through self.encode_cached.
from lib.tokenizer import Tokenizer

# %% tags=["nbval-check-output"]
typed = "see the seats<|end|>\n"
print("allowed ", chat.encode(typed, allowed_special="all"))
print("as text ", chat.encode(typed, disallowed_special=()))
try:
    chat.encode(typed)
except ValueError as error:
    print("refused ", error)

# %% [markdown]
# The last id of the first line is 264: the longer of the two. In the second line there is no
# special token at all. And a new word is no trouble: *seats* is `·sea`, `t`, `s`.

# %% [markdown]
# ## The way back
#
# Decoding looks up each id and puts the bytes together. What could be difficult about that? Let
# us do it token by token, as a chat window would show them while the model writes:

# %%
for text in ("the sea", waves):
    alone = [chat.token_bytes(i).decode(errors="replace") for i in chat.encode(text)]
    print(text, "->", "".join(alone))

# %% [markdown]
# A character of several bytes may be spread over several tokens, and none of them is text by
# itself. So the bytes have to be joined **first**. Even then it may be that what a model has
# written is not UTF-8, for it may write any tokens in any order. That must not crash: a `�` shows
# where the damage is.
#
# ### Exercise: `Tokenizer.decode`
#
# `self.token_bytes(i)` gives the bytes of one id, and a ValueError if there is no such id.

# %% exercise="lib.tokenizer.Tokenizer.decode"
# 1. Join the bytes of all ids.
# 2. Read them as UTF-8, once; what is no UTF-8 becomes a �.
from lib.tokenizer import Tokenizer

# %%
ids = chat.encode(waves)
print(chat.decode(ids))
print(chat.decode(ids[:-1]), "(the last token is missing)")
assert chat.decode(ids) == waves

# %% [markdown]
# Is it really without loss? Not for a few examples, for everything: all 1,112,064 characters that
# UTF-8 can write, in all 17 of Unicode's *planes* of 65,536. (A few numbers, the *surrogates*,
# stand for no character.)

# %%
tokenizer = Tokenizer(merges)
n_characters = 0
for plane in range(17):
    numbers = range(plane * 0x10000, (plane + 1) * 0x10000)
    everything = "".join(chr(n) for n in numbers if not 0xD800 <= n < 0xE000)
    assert tokenizer.decode(tokenizer.encode(everything)) == everything
    n_characters += len(everything)
print(f"{n_characters:,} characters in 17 planes came back unchanged")
assert n_characters == 1_112_064

# %% [markdown]
# ## The experiment: what does a text cost?
#
# Models are paid by the token, in money and in time, and they remember so many tokens and no
# more. A good measure of a tokenizer is therefore **bytes per token**: how much text a token
# carries. One training is enough for all sizes of vocabulary, since the first merges are the
# same:

# %%
sizes = [256, 512, 1024, 2048, 4096]
at_size = {size: Tokenizer(merges[: size - 256]) for size in sizes}
for size in sizes[1:]:
    print(f"{size:5}: {pieces(at_size[size], 'returns what was found')}")
assert train_bpe(reference, 512) == merges[:256]

# %% [markdown]
# **A prediction first.** Four texts, and a vocabulary of 4,096 learnt from the language
# reference, that is from English with some code in between. The Chinese text says the
# same as the English one. What does it cost, measured by the English:
# `"half"`, `"as much"`, `"twice"` or `"four times"`?

# %%
four = {
    "english": "What the model reads is not letters but one number after another.",
    "chinese": "模型读到的不是字母，而是一个又一个的数字。",
    "code": "for number in range(10):\n    print(number, number ** 2)\n",
    "digits": "3141592653589793238462643383279502884197",
}
for name, text in four.items():
    print(f"{name}: {len(text)} characters")

# %%
prediction = "four times"  ### PREDICTION

# %%
cost = {name: len(tokenizer.encode(text)) for name, text in four.items()}
for name, text in four.items():
    n_bytes = len(text.encode())
    print(f"{name:8} {len(text)} characters, {n_bytes} bytes, {cost[name]} tokens")
times = cost["chinese"] / cost["english"]
answers = {"half": 1 / 2, "as much": 1, "twice": 2, "four times": 4}
nearest = min(answers, key=lambda answer: abs(math.log(answers[answer] / times)))
why = f"It is {times:.1f} times: three bytes a character, and no merge that fits them."
settle(prediction, nearest, why, list(answers))
assert 3 < times < 6 and max(cost, key=cost.get) == "chinese"

# %% [markdown]
# The text with the fewest characters costs most. It is no rarity: [Petrov et al.
# 2023](https://arxiv.org/abs/2305.15425) found differences of up to 15 times between
# languages, in tokenizers that people pay by.
#
# Now with more text, for every size. The English is what the tokenizer has not seen: the documents
# held back. The code comes from Python's own library.
#
# **What we expect:** one byte per token for all four at 256, by construction. English climbs
# fastest, to more than 3 bytes a token. Code climbs too, as the reference is full of it. Digits
# stay at exactly 1, since the pattern allows no merge. Chinese stays near 1. **What would show us
# wrong:** Chinese or digits rising, or English staying below 3.

# %%
draw = random.Random(0)
chinese = (
    "春天来了，海边的风还很凉。孩子们在沙滩上跑来跑去，捡起贝壳，又把它们扔回海里。"
    "一位老人坐在长椅上看书，偶尔抬头望一望远处的船。傍晚，灯一盏一盏地亮了，大家慢慢走回家。"
    "晚上，老人对孩子们说：海是很大的，船是很小的，可是船上的人知道回家的路。"
)
texts = {
    "English": held_out,
    "code": read("python", part="sources").text(50_000),
    "Chinese": chinese,
    "digits": "".join(draw.choice("0123456789") for _ in range(5000)),
}
many_sizes = [256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096]
carried = {name: [] for name in texts}
for size in many_sizes:
    sized = Tokenizer(merges[: size - 256])
    for name, text in texts.items():
        carried[name].append(len(text.encode()) / len(sized.encode(text)))
for name, values in carried.items():
    print(f"{name:8} {values[-1]:.2f} bytes per token at 4,096")

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.6))
for (name, values), marker in zip(carried.items(), "osDv"):
    hollow = {"markerfacecolor": "white", "markersize": 11} if name == "Chinese" else {}
    axes.plot(many_sizes, values, marker=marker, label=name, **hollow)
axes.set_xscale("log", base=2)
axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
axes.set(xlabel="size of the vocabulary", ylabel="bytes per token", ylim=(0, None))
axes.legend()
show(
    figure,
    alt="Bytes per token against the size of the vocabulary, 256 to 4,096. All four start at 1. "
    "English rises to about 3.6 and code to about 3, both ever more slowly per token added; Chinese "
    "and digits stay flat at 1.",
)
english, code = carried["English"], carried["code"]
assert all(values[0] == 1 for values in carried.values())
assert english[-1] > 3 and english[-1] > code[-1] > 2
assert english[2] - english[0] > english[8] - english[6]
assert max(carried["Chinese"]) < 1.2 and set(carried["digits"]) == {1.0}


# %% [markdown]
# As expected. Mind the axis: from one number to the next the vocabulary *doubles*, and
# yet the curves do not bend upwards. After the first, each doubling gains about half a
# byte, at twice the price of the one before. The first 256 merges gain more than the
# last 2,048 together.


# %%
def draw_tokens(rows: dict[str, list[bytes]], width: float = 7.4) -> plt.Figure:
    """Each row of tokens as a line of boxes, shaded in turns."""
    figure = plt.figure(figsize=(width, 0.42 * len(rows) + 0.1), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(-len(rows) * 0.42 - 0.05, 0.05))
    axes.axis("off")
    for row, (name, tokens) in enumerate(rows.items()):
        x, y = 1.35, -0.42 * row - 0.36
        axes.text(0.05, y + 0.14, name, va="center", fontsize=9)
        for i, token in enumerate(tokens):
            wide = 0.083 * len(label(token)) + 0.035
            shade = ("#d5e0f0", "#ffffff")[i % 2]
            box = plt.Rectangle(
                (x, y), wide, 0.28, facecolor=shade, edgecolor="#444444", lw=0.7
            )
            axes.add_patch(box)
            axes.text(x + wide / 2, y + 0.13, label(token), ha="center", va="center",
                      family="monospace", fontsize=9.5)  # fmt: skip
            x += wide
    return figure


example = "The statement returns what was found: 42 €"
rows = {}
for size in sizes:
    tokens = [at_size[size].token_bytes(i) for i in at_size[size].encode(example)]
    rows[f"{size:,}: {len(tokens)} tokens"] = tokens
show(
    draw_tokens(rows),
    alt="The sentence 'The statement returns what was found: 42 €' in boxes, one row for each size "
    "of vocabulary. At 256 every byte is a box; at 4,096 most words are one box with the blank "
    "before them, the digits 4 and 2 stand alone, and the euro sign is three bytes in hex.",
)

# %% [markdown]
# And now your own text, at any of the sizes. Try your name, another language, an emoji, a line of
# code, the same word with and without a blank before it:


# %%
def coloured(text: str, vocabulary: int) -> str:
    """The tokens of a text as HTML: shaded in turns, each with a border, bytes in hex."""
    ids = at_size[vocabulary].encode(text, disallowed_special=())
    style = (
        "display:inline-block;white-space:pre;border:1px solid #444;color:#111;padding:1px 2px;"
        "margin:1px 0;font-family:monospace;background:"
    )
    shown = [html.escape(label(at_size[vocabulary].token_bytes(i))) for i in ids]
    spans = [
        f'<span title="id {i}" style="{style}{("#d5e0f0", "#fff")[n % 2]}">{one}</span>'
        for n, (i, one) in enumerate(zip(ids, shown))
    ]
    head = f"{len(text)} characters, <b>{len(ids)} tokens</b>"
    return f"<p>{head}</p><div>{''.join(spans)}</div>"


explore(coloured, text="How many r are in strawberry? 草莓 🍓", vocabulary=sizes)

# %% [markdown]
# ## Looking at failures
#
# Averages hide things. Four looks at what this tokenizer does badly.
#
# **Chinese falls to dust.** Three bytes, three tokens, for each character. Is that the fault of
# BPE? No, of what it has read. Let it learn from the first half of a short Chinese text and look
# at the other half:

# %%
half = len(chinese) // 2
local = Tokenizer(train_bpe(chinese[:half], 256 + 60))
for name, one in (("learnt from English", tokenizer), ("learnt from Chinese", local)):
    rate = len(chinese[half:].encode()) / len(one.encode(chinese[half:]))
    print(f"{name}: {rate:.2f} bytes per token,  海边 = {pieces(one, '海边')}")

# %% [markdown]
# Sixty merges from a few lines, and a token carries 1.34 bytes instead of 1.00. Whoever
# chooses the training text chooses who pays.
#
# **Odd tokens.** What are the longest tokens that it has learnt, and which are of no use?

# %%
for token in sorted(tokenizer.vocab, key=len)[-3:]:
    print(f"{len(token)} bytes: {label(token)[:36]}…")
used = Counter(tokenizer.encode(reference))
unused = [i for i in range(256, 4096) if used[i] == 0]
examples = ", ".join(label(tokenizer.vocab[i]) for i in unused[:8])
print(f"{len(unused)} of 3,840 merges never occur in the text that they come from:")
print("   ", examples)
assert 0.02 < len(unused) / 3840 < 0.2

# %% [markdown]
# The longest are borders of tables, as the reference has a few large ones. And hundreds are stepping
# stones: they were needed on the way to a longer token that then took all their places. A model
# has a vector for each of them, and next to nothing to learn it from. If such a token does come up
# one day, nobody knows what the model will do; people search for them in published models, and
# find them ([Land and Bartolo 2024](https://arxiv.org/abs/2405.05417)).
#
# **The blank at the end.** A prompt that ends with a blank looks harmless:

# %%
print(pieces(tokenizer, "The list"), "  but  ", pieces(tokenizer, "The "), "and then ?")
ids = tokenizer.encode(reference)
after = [tokenizer.vocab[right] for left, right in pairwise(ids) if left == ord(" ")]
letters = sum(token[:1].isalpha() for token in after)
digits = sum(token[:1].isdigit() for token in after)
blanks = sum(token[:1].isspace() for token in after)
whole = sum(used[i] for i in used if regex.match(rb" [A-Za-z]", tokenizer.vocab[i]))
print(f"before a letter, the blank is part of the token {whole:,} times;")
print(f"a token of its own it is {letters} times before a letter,")
print(
    f"{digits} times before a digit, {blanks:,} times before a blank that leads a word"
)
assert letters / whole < 0.01
assert blanks > digits > letters

# %% [markdown]
# The blank should have been part of the next word. Left alone, it is a token after which the model
# has mostly seen a word that brings a blank of its own (the manual puts two after a full stop), or a
# digit. So that is what it will write next: a second blank, or a number.
#
# **Letters.** How many *r* are there in *strawberry*?

# %%
for text in ("strawberry", " strawberry", "Strawberry", "STRAWBERRY"):
    print(f"{pieces(tokenizer, text):34} {tokenizer.encode(text)}")
with_r = [token for token in tokenizer.vocab[256:] if b"r" in token]
print(f"r is token {ord('r')}; {len(with_r):,} other tokens have an r inside")
assert ord("r") not in tokenizer.encode("strawberry")

# %% [markdown]
# This is what the model gets: the numbers on the right. Nothing about them says which letters are
# inside, and the same word in four spellings is four rows that have little in common. A model can
# learn by heart how its tokens are spelled, from texts about spelling, and large ones do to some
# degree. But it cannot *look*. Ask yourself how many strokes it takes to write a word that you
# only hear.

# %% [markdown]
# ## What can go wrong
#
# Three bugs of real projects. None of them crashes.
#
# **No rule for ties.** The obvious way to choose the best pair is `max(counts, key=counts.get)`. On
# ties it takes the pair that was counted first, and so what it learns depends on the *order* of the
# text. A [pull request to minbpe](https://github.com/karpathy/minbpe/pull/90), a much read teaching
# tokenizer, shows it. The same words in another order:

# %%
for text in ("up up to to", "to to up up"):
    counts = count_pairs(count_words(text))
    first_met = max(counts, key=counts.get)
    ours = train_bpe(text, 257)[0]
    print(f"{text}: first counted {bytes(first_met)}, by our rule {bytes(ours)}")

# %% [markdown]
# **Short special tokens before long ones.** In an alternative, `a|ab`, a regular expression takes
# the first that fits, not the longest. So one special token can break another that begins alike.
# Students of Stanford's language model course [run into
# it](https://github.com/stanford-cs336/assignment1-basics/pull/52):

# %%
names = ["<|end|>", "<|end|><|user|>"]
text = "bye<|end|><|user|>"
for order in (names, sorted(names, key=len, reverse=True)):
    alternatives = "|".join(map(regex.escape, order))
    print([part for part in regex.split(f"({alternatives})", text) if part])

# %% [markdown]
# **Decoding token by token.** You have seen it above. Programs that show an answer while it is
# being written are tempted to do just that, and their users see `���` for every emoji ([one of
# many](https://github.com/exo-explore/exo/pull/1691)). The cure is to hold back the bytes of a
# character until it is whole. Python has a decoder that does:

# %%
import codecs

patient = codecs.getincrementaldecoder("utf-8")(errors="replace")
[patient.decode(tokenizer.token_bytes(i)) for i in tokenizer.encode("a 🌊!")]

# %% [markdown]
# ## In the wild
#
# Is this the real thing? The library that most projects train their tokenizers with is Hugging
# Face's `tokenizers`, written in Rust. It is not needed for this course. If it is installed, we
# compare; one thread each, to be fair.

# %%
os.environ["TOKENIZERS_PARALLELISM"], os.environ["RAYON_NUM_THREADS"] = "false", "1"
try:
    import tokenizers as rust
    from tokenizers import models, pre_tokenizers, trainers
except ImportError:
    rust = None
    print("tokenizers is not installed: the comparisons are skipped")


def train_in_rust(text: str, vocab_size: int, gpt2: bool = False) -> "rust.Tokenizer":
    """Hugging Face's byte-level BPE, with our pattern or with GPT-2's."""
    split = pre_tokenizers.Split(rust.Regex(PATTERN), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=gpt2)
    theirs = rust.Tokenizer(models.BPE())
    theirs.pre_tokenizer = (
        to_bytes if gpt2 else pre_tokenizers.Sequence([split, to_bytes])
    )
    theirs.decoder = rust.decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False
    )
    theirs.train_from_iterator([text], trainer)
    return theirs


# %% [markdown]
# First, are the merges the same, all of them, in the same order? Their file `tokenizer.json`
# writes tokens in an alphabet of its own, in which each byte is one printable character (the
# blank is `Ġ`), and numbers the bytes differently. So we let `Tokenizer.load` read it, which is
# the door to published models, and compare the bytes of every merge.

# %%
if rust:
    theirs = train_in_rust(reference, 4096)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save(f"{folder}/tokenizer.json")
        loaded = Tokenizer.load(f"{folder}/tokenizer.json")
    our_merges = [(tokenizer.vocab[a], tokenizer.vocab[b]) for a, b in tokenizer.merges]
    their_merges = [(loaded.vocab[a], loaded.vocab[b]) for a, b in loaded.merges]
    same = sum(a == b for a, b in zip(our_merges, their_merges))
    print(f"{same:,} of {len(their_merges):,} merges identical")
    assert our_merges == their_merges
    assert loaded.encode(held_out) == theirs.encode(held_out).ids

# %% [markdown]
# Identical, thanks to the tie rule. And how fast is Python beside Rust? We train on the reference,
# and encode a megabyte of docstrings as one string, each time with a tokenizer that remembers
# nothing from the run before.

# %%
if rust:
    docstrings = read("python", part="docstrings", split="all").text(1_000_000)
    megabytes = len(docstrings.encode()) / 1e6
    contest = {
        "training": (
            lambda: train_bpe(reference, 4096),
            lambda: train_in_rust(reference, 4096),
        ),
        "encoding": (
            lambda: Tokenizer(merges).encode(docstrings),
            lambda: theirs.encode(docstrings),
        ),
    }
    ratios = {}
    for what, (ours, other) in contest.items():
        turns = [(seconds(ours, runs=1), seconds(other, runs=1)) for _ in range(3)]
        mine, yours = (min(column) for column in zip(*turns))  # the best of both
        ratios[what] = mine / yours
        print(f"{what}: Python {mine:.2f} s, Rust {yours:.2f} s")
    print(f"training takes {ratios['training']:.1f} × as long as theirs,", end=" ")
    print(f"encoding is {1 / ratios['encoding']:.1f} × as fast,", end=" ")
    print(f"{megabytes / mine:.1f} MB/s against {megabytes / yours:.1f}")
    if os.environ.get("TOKENS_LIB") == "reference":  # your own code may be slower
        assert ratios["training"] <= 3 and ratios["encoding"] <= 1

# %% [markdown]
# Training takes about twice as long as theirs, and encoding is *faster*, in plain Python. That is
# no victory of the language. Both look up the words that they have met before; but theirs also
# keeps track of where in the text each token stands, and ours does not. And there are faster ones
# still, tiktoken for instance, and theirs can spread many texts over all cores. The lesson is
# another: the right algorithm in a slow language is a match for a fast one.
#
# Second, the way out. What you have trained is saved as a `tokenizer.json`, which other tools read,
# and comes back as it was:

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "tokenizer.json"
    saved = Tokenizer(merges, special_tokens=["<|user|>", "<|end|>"])
    saved.save(path)
    again = Tokenizer.load(path)
    theirs = rust.Tokenizer.from_file(str(path)) if rust else None
    fields = json.loads(path.read_text(encoding="utf-8"))
    print(f"{path.stat().st_size / 1e3:.0f} kB, fields", ", ".join(fields))

text = "<|user|>海边 is the seaside\n<|end|>"
ids = saved.encode(text, allowed_special="all")
assert again.encode(text, allowed_special="all") == ids and again.decode(ids) == text
if theirs:
    assert theirs.encode(text).ids == ids
    print("Hugging Face gives the same", len(ids), "ids")

# %% [markdown]
# Third, the way in: a file as GPT-2's is made, with GPT-2's pattern, in which the id 0 is not the
# byte 0 but the exclamation mark:

# %%
if rust:
    gpt2_like = train_in_rust(reference, 1000, gpt2=True)
    with tempfile.TemporaryDirectory() as folder:
        gpt2_like.save(f"{folder}/tokenizer.json")
        ours = Tokenizer.load(f"{folder}/tokenizer.json")
    assert ours.pattern == GPT2_PATTERN
    assert ours.encode(held_out) == gpt2_like.encode(held_out).ids
    print(f"{ours}; the id of '!' is {ours.encode('!')[0]}")
    print(f"{len(held_out):,} characters of text give the same ids in both")

# %% [markdown]
# How large do published models make their vocabulary? A larger one makes texts shorter, but every
# token needs its vector, of `d_model` numbers, in a table that must be kept and trained:

# %%
published = {  # rows in the table of vectors, numbers in each, parameters in all
    "GPT-2, 124 M": (50_257, 768, 124e6),
    "SmolLM2, 135 M": (49_152, 576, 135e6),
    "Qwen3, 0.6 B": (151_936, 1024, 596e6),
    "Llama 3, 8 B": (128_256, 4096, 8.03e9),
}
for name, (size, d_model, parameters) in published.items():
    table = size * d_model
    print(f"{name:15} {size:8,} tokens × {d_model:4,} = {table / 1e6:5.1f} M, "
          f"{table / parameters:.0%} of the model")  # fmt: skip

# %% [markdown]
# A quarter of a small model is a list of word pieces. (Llama 3 has a second table of this size for
# its output; the others use one for both.) That is why this course, whose models are
# smaller still, stays at a few thousand tokens.

# %% [markdown]
# ## What you built

# %%
progress("tokenization")

# %% [markdown]
# The floor `lib.tokenizer` stands, and it is the ground floor. Lesson *language models* guesses the
# next token, with nothing but counting.
#
# **A question to take along.** BPE is greedy: it never takes a merge back, however useless later
# merges have made it. You have seen hundreds of such stepping stones. How would you get rid of them
# without losing the exact round trip, and what would happen to a text whose last token is one of
# them? And a second one, still open in research: can a model do without any tokenizer, on bare
# bytes, without paying the price in length? ([Pagnoni et al.
# 2024](https://arxiv.org/abs/2412.09871) let a small model decide where to cut.)
#
# **Papers**
# - Sennrich et al. 2016, [Neural Machine Translation of Rare Words with Subword
#   Units](https://arxiv.org/abs/1508.07909): section 3.2 is this lesson.
# - Gage 1994, [A New Algorithm for Data
#   Compression](http://www.pennelynn.com/Documents/CUJ/HTML/94HTML/19940045.HTM): where the pairs
#   come from.
# - Radford et al. 2019, *Language Models are Unsupervised Multitask Learners* (GPT-2), section 2.2:
#   over bytes, and with a pattern.
# - Petrov et al. 2023, [Language Model Tokenizers Introduce Unfairness Between
#   Languages](https://arxiv.org/abs/2305.15425).
# - Land and Bartolo 2024, [Fishing for Magikarp](https://arxiv.org/abs/2405.05417).
