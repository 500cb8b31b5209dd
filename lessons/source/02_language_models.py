# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # Language models
#
# **How good is a guess at the next token?**
#
# *The cat sat on the …* You have guessed already. *Mat*, most likely; *sofa* would not
# surprise you, *of* would. A **language model** does just this: it reads some tokens
# and says, for every token there is, how likely it comes next. Everything that this
# course builds, up to the assistant, is such a guess, made again and again.
#
# In this lesson you build the oldest kind, which only counts. It is quick, it needs no
# training, and it shows what is hard. You also build what judges and uses *any*
# language model: its loss, its bits per byte, a sample from it. At the end the same
# guess is learnt by gradient descent, as all later ones will be.
#
# You will write five functions. They become `lib.ngram`. Plan two hours for it; the
# cells themselves run in half a minute.

# %% [markdown]
# Everything this lesson needs. If you have not solved earlier exercises, the reference
# versions stand in for them.

# %%
import bz2
import html
import lzma
import math
import textwrap
import time
import zlib
from bisect import bisect
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor
from tqdm import tqdm

from lib.corpora import read
from lib.course import exercise, hint, progress, settle, show, solution
from lib.course.figures import use_style
from lib.course.widgets import explore
from lib.tokenizer import Tokenizer

use_style()
# Our tables are small: one core is quicker than two that wait for each other.
torch.set_num_threads(1)
_ = torch.manual_seed(0)

# %% [markdown]
# ## A program that writes
#
# Here is the finished thing at work. It has read Python's language reference, one byte
# after the other, and counted which byte came after which five. Nothing else. Now it
# goes on from *The*:

# %%
from lib.ngram import NgramModel

train_text = read("python", part="reference", split="train").text()
held_text = read("python", part="reference", split="held_out").text()


def to_ids(text: str) -> Tensor:
    """The bytes of a text, as numbers from 0 to 255."""
    return torch.tensor(list(text.encode()))


def to_text(ids: Tensor) -> str:
    return bytes(ids.tolist()).decode(errors="replace")


train, held = to_ids(train_text), to_ids(held_text)
writer = NgramModel(order=6, vocab_size=256).fit(train)
chance = torch.Generator().manual_seed(4)
print("The " + to_text(writer.generate(400, to_ids("The "), generator=chance)))

# %% [markdown]
# Words, mostly. Commas in likely places, even the layout of the manual. It means
# nothing, and it was made by counting.
#
# The text comes in two parts. From `train` the model may count. `held` is kept back:
# some of the manual's pages (about one in sixteen), which it has not seen. The honest
# question is how well it guesses *those*.

# %% [markdown]
# ## By hand
#
# Twelve words are enough to see all of it. What follows *the*?

# %%
sentence = "the cat sat on the mat and the cat ate the rat"
words = sentence.split()
Counter(after for before, after in pairwise(words) if before == "the")

# %% [markdown]
# *The* was followed four times, twice by *cat*. So after *the* we give *cat* a
# probability of 2/4, *mat* and *rat* 1/4 each, and all other words 0. That is a
# language model. The words before the guess are its **context**, here one word.
#
# A longer context knows more. After *cat* came *sat* and *ate*, once each; after *the
# mat* only *and*:

# %%
vocabulary = sorted(set(words))
ids = torch.tensor([vocabulary.index(word) for word in words])
print(vocabulary)
print(ids.tolist())

for a, b, c in zip(words, words[1:], words[2:]):
    print(f"{a} {b} → {c}", end=",  ")

# %% [markdown]
# A stretch of *n* tokens is an **n-gram**: *the cat* is a 2-gram or **bigram**, *the
# mat and* a 3-gram. A model of **order** *n* guesses the last token of an n-gram from
# the *n* − 1 before it. With order 1 there is no context, and the guess is how frequent
# each token is.
#
# One question before you write it. *Rat* stands at the very end: what comes after it?
# The text does not say. And the model of order 2 says that *the dog* is impossible,
# just because twelve words had no dog in them. The oldest remedy is to pretend that
# everything was seen a little: add a number `alpha` to every count. It is called
# **add-alpha smoothing**.
#
# ### Exercise: `ngram_probabilities`
#
# Replace the last line by your own code and run the cell. `hint()` and `solution()` are
# there if you need them. After a restart run the exercise cells again, even blank: what
# you passed is used.

# %% exercise="lib.ngram.ngram_probabilities"
# 1. Find every place where the context stands, with a token after it.
# 2. Count these next tokens, one count for each of the vocab_size tokens, and add alpha.
# 3. Divide by the sum. If that is 0, nothing is known: all tokens are equally likely.
from lib.ngram import ngram_probabilities

# %%
the = torch.tensor([vocabulary.index("the")])
for alpha in (0, 1):
    guess = ngram_probabilities(ids, the, len(vocabulary), alpha)
    likely = [f"{word} {p:.3f}" for word, p in zip(vocabulary, guess)]
    print(f"alpha {alpha}:", ", ".join(likely))

# %% [markdown]
# With alpha 1 nothing is impossible any more. The price: *cat* has fallen from 1/2 to
# 1/4, as eight words each took a share. Is that better or worse? We need a measure.

# %% [markdown]
# ## How surprised?
#
# A good model gives what really comes a high probability. The probability of a whole
# text is that of its first token, times that of the second after the first, and so on.
# For a long text this product is a hopeless number:

# %%
0.25**100, 0.25**1000

# %% [markdown]
# A thousand guesses, each with a decent 1/4, and the computer says 0. So take
# logarithms: products become sums. And change the sign, so that the number is positive.
# −log p is the **surprise**:

# %%
for p in (1, 1 / 2, 1 / 4, 1 / 100, 1 / 1_000_000):
    bits, nats = math.log2(1 / p), math.log(1 / p)
    print(f"probability {p:8.6f}: {bits:5.2f} bits = {nats:5.2f} nats")

# %% [markdown]
# What was certain does not surprise. Every halving of the probability adds one **bit**:
# the surprise of a coin. With the natural logarithm the unit is the **nat**, 1.44 bits.
# What was called impossible surprises without limit.
#
# Now the twelve words, judged by their own bigrams:

# %%
n_words = len(vocabulary)
rows = [ngram_probabilities(ids, torch.tensor([w]), n_words) for w in range(n_words)]
table = torch.stack(rows)  # row: the word before; column: the guess
surprise = -table[ids[:-1], ids[1:]].log2()
for before, after, bits in zip(words, words[1:], surprise.tolist()):
    print(f"{before} → {after}: {abs(bits):.0f}", end=",  ")
print(f"together {surprise.sum():.0f} bits")

# %% [markdown]
# Eight bits for eleven guesses. They are spent where the text has a choice: two bits
# each on *mat* and *rat*, one on each *cat* and one on what follows it, none after
# *sat*, which *on* always follows. The mean surprise is the **cross-entropy**, and it
# is *the* loss: what training makes small, here and in every later lesson.
#
# Two things must be settled before you write it.
#
# **Scores.** A count gives probabilities. Later models give a score for each token, any
# number, called **logits**. The **softmax** turns logits into probabilities: raise e to
# each, divide by the sum. All become positive and sum to 1. Logarithms of probabilities
# are logits too: the softmax gives the probabilities back. So one loss serves all
# models. Taken step by step, it breaks:

# %%
scores = torch.tensor([200.0, 0.0, -200.0])
print("by hand:          ", (scores.exp() / scores.exp().sum()).log())
print("softmax, then log:", scores.softmax(dim=0).log())
print("log_softmax:      ", scores.log_softmax(dim=0))

# %% [markdown]
# e to the 200 is too large for a float, e to the −200 too small. The second line
# subtracts the largest score first. That divides all powers and their sum by the same
# number, so the result stays, and no power is too large. Yet it still rounds the small
# probabilities to 0, and the log of 0 is −inf. `log_softmax` never makes the
# probability. It is the only one of the three to use.
#
# **Texts of unequal length.** Take several texts together, and the logits have three
# axes (text, place, v), the targets two. The short texts must be filled up. What fills
# them up is no text, and must not count. Its targets carry a mark, `ignore_index`, by
# custom −100.
#
# And one tool. From each row of scores, the one of the target is wanted. `gather` picks
# along one axis, and wants an index with as many axes as the scores have. The first
# four guesses again, and what they gave to the word that came:

# %%
guesses = table[ids[:4]]  # (4 v): after the, cat, sat, on
index = rearrange(ids[1:5], "t -> t 1")  # cat, sat, on, the
guesses.gather(-1, index)  # (4 1)

# %% [markdown]
# ### Exercise: `cross_entropy`

# %% exercise="lib.ngram.cross_entropy"
# 1. There must be one target for each row of logits.
# 2. In float32: the log-probability of each target (where one is ignored, of any token).
# 3. The mean of minus that, over the places that count.
from lib.ngram import cross_entropy

# %%
no_idea = torch.ones(n_words, n_words) / n_words
for name, model in (("own bigrams", table), ("no idea", no_idea)):
    loss = cross_entropy(model.log()[ids[:-1]], ids[1:]).item()
    print(f"{name}: {loss:.3f} nats, perplexity {math.exp(loss):.2f}")

# %% [markdown]
# A model that knows nothing has a loss of ln 8, since there are eight words. Keep this
# in mind: **an untrained model starts at the logarithm of its vocabulary**, and if
# yours starts elsewhere, something is wrong.
#
# **Perplexity** is e to the loss. It says among how many equally likely tokens the
# model might as well be choosing: 8 for the one without an idea, 1.66 for the bigrams.

# %% [markdown]
# ## Bits per byte
#
# Both numbers are per *token*, and a token is whatever a tokenizer makes it. Cut a text
# into longer tokens, and each is harder to guess, but there are fewer of them. To
# compare models that cut differently, share the surprise of the **whole text** among
# something that no tokenizer changes: its bytes. The eleven guesses above cost 8 bits,
# for 43 bytes of text (the first *the* was given).
#
# ### Exercise: `bits_per_byte`

# %% exercise="lib.ngram.bits_per_byte"
# 1. There must be at least one byte.
# 2. Nats to bits; bits per token to bits of the whole text; and those shared among the bytes.
from lib.ngram import bits_per_byte

# %%
loss = cross_entropy(table.log()[ids[:-1]], ids[1:]).item()
n_bytes = len(sentence.encode()) - len(b"the")
bits_per_byte(loss, n_tokens=11, n_bytes=n_bytes), 8 / 43

# %% [markdown]
# ## From guesses to text
#
# A model that guesses can write: take a token, append it, guess again. Which one? The
# likeliest, one would think. The model from the beginning, taking the likeliest byte
# each time:

# %%
likeliest = to_text(writer.generate(240, to_ids("The "), temperature=0))
print(textwrap.fill("The·" + likeliest.replace(" ", "·"), 80))

# %% [markdown]
# It is stuck: blanks (each is a · here), for ever. In the manual, with its tables and
# indented programs, five blanks are most often followed by a sixth. (Another Python's
# manual may end in the same few words, over and over.) Getting stuck is no accident:
# the model sees five bytes, and without chance the same five are always followed by the
# same sixth. As soon as five bytes come back, everything after them comes back too.
# Large models that always take the likeliest token often fall into loops as well
# ([Holtzman et al. 2019](https://arxiv.org/abs/1904.09751)).
#
# So draw at random, as likely as the model says. The **temperature** T makes the choice
# bolder or more careful: divide the logits by T before the softmax. For *cat*, *mat*,
# *rat* after *the*:

# %%
after_the = torch.tensor([1 / 2, 1 / 4, 1 / 4]).log()
for t in (0.1, 0.5, 1.0, 2.0, 10.0):
    print(f"T = {t:4}:", [round(p, 3) for p in (after_the / t).softmax(dim=0).tolist()])

# %% [markdown]
# At 1 the model is taken at its word. Towards 0 the likeliest takes all, towards
# infinity all become alike. At 0 itself one cannot divide; it means *take the
# likeliest*.
#
# ### Exercise: `sample`
#
# Chance comes from a `generator`, handed from call to call. With the same seed it draws
# the same tokens: that is how anybody can repeat what you found.

# %% exercise="lib.ngram.sample"
# 1. A temperature below 0 is an error, and 0 takes the likeliest of each row.
# 2. Otherwise: logits to probabilities, sharper or flatter.
# 3. Draw from each row: throw a dart at the running sum of its probabilities (torch.searchsorted
#    finds where it lands), or flatten the axes before v and let torch.multinomial draw.
from lib.ngram import sample

# %% [markdown]
# Does it draw as told? Ten thousand times after *the*:

# %%
draws = sample(after_the.expand(10_000, 3), generator=torch.Generator().manual_seed(0))
draws.bincount() / 10_000

# %% [markdown]
# Now watch what the order does. Each model has counted the same text, only with more or
# less context:

# %%
models = {order: NgramModel(order, 256).fit(train) for order in range(1, 9)}


def write(order: int, temperature: float, start: str, n: int, seed: int = 1) -> str:
    chance = torch.Generator().manual_seed(seed)
    written = models[order].generate(n, to_ids(start), temperature, chance)
    return start + to_text(written)


for order in (1, 2, 4, 6):
    print(f"--- order {order}\n{write(order, 1.0, 'The ', 180)}\n")

# %% [markdown]
# Order 1 knows which bytes are frequent. Order 2 knows which go together. At 4 there
# are words, at 6 phrases. We will measure soon what each step is worth. And here is
# what the temperature does, with order 6:

# %%
for temperature in (0.5, 1.0, 1.5):
    print(f"--- temperature {temperature}\n{write(6, temperature, 'The ', 180)}\n")

# %% [markdown]
# Move the sliders, and begin with words of your own:


# %%
def page(order: int = 6, temperature: float = 0.8, start: str = "If the ") -> str:
    text = html.escape(write(order, temperature, start, 300))
    return f'<pre style="white-space: pre-wrap">{text}</pre>'


explore(page, order=range(1, 9), temperature=(0.0, 2.0, 0.1), start="If the ")

# %% [markdown]
# ## A better way to count
#
# `ngram_probabilities` walks through the whole text for every guess. What would it take
# for the held-out pages?

# %%
start, tries = time.process_time(), 20
for i in range(tries):
    slow = ngram_probabilities(train, held[i : i + 2], 256, alpha=1.0)
per_guess = (time.process_time() - start) / tries

start = time.process_time()
model = NgramModel(3, 256, alpha=1.0).fit(train)
loss = model.loss(held)
spent = time.process_time() - start
torch.testing.assert_close(model.probabilities(held[i : i + 2]), slow)
slow_total = per_guess * len(held)
print(f"one guess at a time: {slow_total:.0f} s; counted once: {spent:.2f} s")
assert slow_total > 10 * spent

# %% [markdown]
# `NgramModel` counts all n-grams once, sorts them, and looks up. The numbers are the
# same. It can do something better than adding alpha, too.
#
# Adding treats all unseen tokens alike. But a shorter context knows more than nothing
# about them: if a byte never stood after these five, ask the last four. So take a
# little away from every count, a **discount** D, and hand what this frees to the guess
# of the model that is one order shorter. That one leans on the next shorter, down to
# *all are equally likely*.
#
# And a shorter model is only asked about what is *new* here. So it should not count how
# often a token came, but after how many *different* tokens. *Francisco* may be
# frequent; it follows *San* and nothing else. This is **Kneser–Ney smoothing**. A
# variant of it was long the best that counting could do.
#
# By hand, in the text 0 1 0 2 0 1 of three tokens, with order 2. After 0 came 1 twice
# and 2 once: 3 in all, two different tokens. D is 1/2 here (three pairs came once
# and one twice; with one added to each, that is 4/(4 + 2 · 2)), so 2 · 1/2 = 1 is freed. The shorter model says
# 1/2, 1/4, 1/4: 0 stood after two different tokens, 1 and 2 after one each. So 1 after
# 0 has (2 − 1/2 + 1 · 1/4) / 3 = 0.583:

# %%
tiny = NgramModel(order=2, vocab_size=3).fit(torch.tensor([0, 1, 0, 2, 0, 1]))
tiny.probabilities(torch.tensor([0]))

# %% [markdown]
# 0 never came after 0 and has 1 · 1/2 / 3 = 0.167, of what was freed. With the bare
# counts it would be impossible.

# %% [markdown]
# ## The experiment: how much context?
#
# Three models, orders 1 to 8, judged in bits per byte: the bare counts (on the text in
# which they were counted), add-one, and Kneser–Ney (both on the held-out pages).
#
# **A prediction first.** By which order does add-one guess the held-out pages best?
# Fill in a number from 1 to 8.

# %%
prediction = 3  ### PREDICTION

# %% [markdown]
# **What we expect:** on its own text, every order is better than the last, down towards
# 0: with enough context it knows the text by heart. On unseen pages add-one turns worse
# at some order, since most long contexts are new or were seen once, and add-one then
# nearly forgets what it saw. Kneser–Ney levels off instead. **What would show us
# wrong:** an add-one that keeps improving, or a Kneser–Ney that turns up again.

# %%
orders = list(range(1, 9))
by_heart, add_one, kneser_ney = [], [], []
for order in tqdm(orders, desc="orders"):
    for model, text, scores in (
        (NgramModel(order, 256, alpha=0.0).fit(train), train, by_heart),
        (NgramModel(order, 256, alpha=1.0).fit(train), held, add_one),
        (models[order], held, kneser_ney),
    ):
        scores.append(bits_per_byte(model.loss(text), len(text), len(text)))
for row in zip(orders, by_heart, add_one, kneser_ney):
    print("order {}: by heart {:.2f}, add-one {:.2f}, Kneser–Ney {:.2f}".format(*row))

# %%
figure, axes = plt.subplots(figsize=(6.2, 3.6))
for scores, marker, label in (
    (add_one, "s", "add-one, held out"),
    (kneser_ney, "o", "Kneser–Ney, held out"),
    (by_heart, "^", "bare counts, their own text"),
):
    axes.plot(orders, scores, marker=marker, label=label)
axes.set(xlabel="order n (n − 1 bytes of context)", ylabel="bits per byte", ylim=(0, 7))
axes.legend(loc="upper left", fontsize=9)
best = orders[add_one.index(min(add_one))]
show(
    figure,
    alt=f"Bits per byte against the order, 1 to 8. All three begin near {add_one[0]:.1f}. The bare "
    f"counts on their own text fall to about {by_heart[-1]:.1f}. Add-one on held-out text is lowest "
    f"at order {best}, with {min(add_one):.1f}, then rises to {add_one[-1]:.1f}. Kneser–Ney falls to "
    f"{kneser_ney[4]:.1f} at order 5 and stays there.",
)
why = "Longer contexts are rarer, and add-one drowns what few counts they have."
settle(prediction, best, why)
assert add_one[-1] > min(add_one) + 2
assert kneser_ney[5] < 2.4 and abs(kneser_ney[7] - kneser_ney[5]) < 0.1
assert by_heart[-1] < 0.8

# %% [markdown]
# The lowest line alone would have told you to take order 8. It is **overfitting**: the
# bare counts know their own text by heart (0.6 bits are left at order 8), and that is
# all they know. On the held-out pages they are out of the race from order 2 on:

# %%
for order in (1, 2, 3, 6):
    bare = NgramModel(order, 256, alpha=0.0).fit(train)
    impossible = bare.log_prob(held).isinf().double().mean().item()
    bits = bits_per_byte(bare.loss(held), len(held), len(held))
    print(f"order {order}: {bits:.2f} bits per byte, impossible: {impossible:.1%}")

# %% [markdown]
# One byte that was called impossible, and the mean surprise is infinite. Add-one errs
# the other way. With 256 added to every context, most of what a long context saw is
# drowned, and it gets worse even on its own text:

# %%
for order in (3, 8):
    own = NgramModel(order, 256, alpha=1.0).fit(train).loss(train)
    own_bits = bits_per_byte(own, len(train), len(train))
    print(f"add-one, order {order}, on its own text: {own_bits:.2f} bits per byte")
assert best == 3

# %% [markdown]
# What a model does on its own text says little, either way. Only held-out text tells
# which to take.
#
# Kneser–Ney turns context into better guesses and never pays for it; but after order 6
# hardly anything more comes. How many of the contexts that it meets on the held-out
# pages are new to it?

# %%
read_before, unread = train_text.encode(), held_text.encode()
for n in (3, 5, 7):
    known = {read_before[i : i + n] for i in range(len(read_before) - n)}
    fresh = [unread[i : i + n] not in known for i in range(len(unread) - n)]
    print(f"{n} bytes: {sum(fresh) / len(fresh):.0%} never seen")

# %% [markdown]
# Of the contexts of seven bytes, two in five. More text would help, and tables grow
# with it. Every further byte of context multiplies the possible contexts by 256, and to
# the table *the cat sat* and *the dog sat* have nothing in common. It cannot look *far*
# back, and it cannot see that two contexts are *alike*. The next lessons mend both.

# %% [markdown]
# ## Look at failures
#
# An average hides where the bits go. Here is a piece of a held-out page, with the
# surprise of every byte:

# %%
cost = -models[6].log_prob(held) / math.log(2)  # bits, one number for each byte
letter = torch.tensor([chr(b).isascii() and chr(b).isalpha() for b in held.tolist()])
first = letter & ~letter.roll(1)  # a letter after something that is none

begin = len(held_text[: max(held_text.find("must either both"), 0)].encode())
piece = slice(begin, begin + 49)
letters = [chr(b).replace(" ", "·") for b in held[piece].tolist()]
figure, axes = plt.subplots(figsize=(7.6, 2.9))
for where, colour, label in (
    (first[piece], "C0", "first letters"),
    (~first[piece], "C4", "all others"),
):
    places = where.nonzero().flatten()
    axes.bar(places, cost[piece][places], width=0.8, color=colour, label=label)
axes.set_xticks(range(49), letters, fontsize=10)
axes.set(ylabel="bits", title="Surprise at each byte")
axes.legend(fontsize=9)
axes.grid(False, axis="x")
axes.tick_params(axis="x", length=0)
show(
    figure,
    alt="Bars over the letters of a held-out sentence, first letters of words dark, all others light. "
    "The first letter of most words, or one soon after, costs several bits, the letters at the end "
    "of a word and the spaces next to nothing.",
)

# %%
for name, where in (("first letters", first), ("later letters", letter & ~first)):
    share, bits = where.double().mean().item(), cost[where]
    print(f"{name}: {bits.mean():.2f} bits each; {share:.0%} of the bytes, "
          f"{(bits.sum() / cost.sum()).item():.0%} of the bits")  # fmt: skip

# %% [markdown]
# The peaks stand at the first letters of words, or soon after: there it is decided
# which word it will be. The model knows how to *spell*. What it does not know is *which
# word* comes next, and there it pays: a first letter costs about three times as much as
# a later one. To do better one must know what the text is about, and that does not fit
# into five bytes.
#
# Now page by page. A page of a kind that the model knows should be cheap, an unusual one
# expensive:

# %%
pages = list(read("python", part="reference", split="held_out"))
end = 0
for text in pages:
    begin, end = end, end + len(text.encode())
    print(f"{cost[begin:end].mean():.2f} bits per byte, {end - begin:6,} bytes: "
          f"{text.strip().splitlines()[0][:50]}")  # fmt: skip
    end += 2  # the blank line between two pages

# %% [markdown]
# Five pages, and three quarters of their bytes are one of them, the manual of the
# debugger *pdb*: all our numbers on held-out text are mostly about pdb. Small test sets
# are like that. It is worth knowing before one trusts a difference.
#
# And one page is strangely cheap. A number that is too good deserves more distrust than
# one that is bad. Has the model seen that page? Count how many of its stretches of 50
# bytes stand in the training text too:

# %%
leaks = []
for text in pages:
    parts = [text[i : i + 50] for i in range(0, len(text) - 50, 10)]
    leaks.append(sum(part in train_text for part in parts) / len(parts))
    print(f"{leaks[-1]:6.1%} copied: {text.strip().splitlines()[0][:50]}")

clean = "\n\n".join(text for text, leak in zip(pages, leaks) if leak < 0.5)
rest = to_ids(clean)
clean_bits = bits_per_byte(models[6].loss(rest), len(rest), len(rest))
print(
    f"all pages {kneser_ney[5]:.3f}, without the copied {clean_bits:.3f} bits per byte"
)
assert sum(leak > 0.9 for leak in leaks) == 1
assert kneser_ney[5] - 0.02 < clean_bits < kneser_ney[5] + 0.2

# %% [markdown]
# The manual prints the same page under several headings, and one copy fell on each
# side. We found it by looking; the average had hidden it. It is a small page, so little
# changes here. In large collections such **contamination** is everywhere: the authors
# of GPT-3 searched their test sets for stretches of 8 to 13 words that stood in the
# training text, for this reason ([Brown et al. 2020](https://arxiv.org/abs/2005.14165),
# appendix C).

# %% [markdown]
# ## The same guess, learnt
#
# Now build the bigram model again, without counting. Take a table with a row of logits
# for each token. Begin with zeros. Measure the loss; ask which way each number should
# move to make it smaller (the **gradient**); move everything a little that way; repeat.
# That is **gradient descent**. On the twelve words:

# %%
logits = torch.zeros(n_words, n_words, requires_grad=True)
for step in range(1001):
    loss = cross_entropy(logits[ids[:-1]], ids[1:])
    if step in (0, 1, 10, 1000):
        row = logits[the].softmax(dim=-1).flatten().tolist()
        cat, mat, sat = (row[vocabulary.index(word)] for word in ("cat", "mat", "sat"))
        print(f"step {step:4}: loss {loss.item():.3f}; "
              f"after the: cat {cat:.2f}, mat {mat:.2f}, sat {sat:.2f}")  # fmt: skip
    loss.backward()  # works the gradient out and adds it to logits.grad
    with torch.no_grad():
        logits -= 3.0 * logits.grad
    logits.grad = None

# %% [markdown]
# It starts at ln 8 = 2.079, as it must, and nears the 0.504 of the counts. Nobody
# counted. What does the gradient look like? From a fresh table, in the row of *the*:

# %%
logits = torch.zeros(n_words, n_words, requires_grad=True)
cross_entropy(logits[ids[:-1]], ids[1:]).backward()
said, saw = torch.full((n_words,), 1 / n_words), table[the].flatten()
by_hand = 4 / 11 * (said - saw)  # 4 of the 11 guesses come after "the"
torch.stack([logits.grad[the].flatten(), by_hand])

# %% [markdown]
# The two are the same: *what the model said minus what it saw*, times the share of the
# text that this row has. Cross-entropy gives this simple gradient to the largest models
# as well. Where both agree, it is zero, and learning ends: at the counts.
#
# It also says how to be quick. For the real text, one step over all its 440,000 pairs
# is slow. But the loss depends only on *how often* each pair occurs. Count the pairs
# once, and a step costs a table of v × v, however long the text. To count them without
# a loop, make each pair one number, a · v + b: `bincount` then counts them all at once.
# Our bytes can be numbered compactly for it:

# %%
used, compact = torch.cat([train, held]).unique(return_inverse=True)
v, learn, unseen = len(used), compact[: len(train)], compact[len(train) :]

logits = torch.zeros(v, v, requires_grad=True)
start = time.process_time()
cross_entropy(logits[learn[:-1]], learn[1:]).backward()
one_step = time.process_time() - start
print(
    f"{v} different bytes; one step over all pairs takes {one_step:.2f} s of processor time"
)

# %% [markdown]
# ### Exercise: `fit_bigram`

# %% exercise="lib.ngram.fit_bigram"
# 1. How often does each pair (token, next token) occur, as a share of all pairs? (v v)
# 2. A table of zeros, which needs a gradient.
# 3. `steps` times: the mean loss over all pairs; its gradient; the table moves against it.
# 4. Give back the table without its gradient.
from lib.ngram import fit_bigram

# %%
from lib.ngram import cross_entropy, fit_bigram  # yours, where they are quick enough

start = time.process_time()
fit_bigram(learn, v, steps=1000)
per_step = (time.process_time() - start) / 1000
print(f"a step takes {per_step * 1e3:.2f} ms: {one_step / per_step:.0f} times quicker")
assert one_step > 5 * per_step

# %% [markdown]
# **What we expect:** with the learning rate of 30 the loss comes within 0.01 nat of the
# counts, which no table can beat on this text. (30 looks huge. But a row moves by its
# share of the text, and most shares are tiny.) With 3 it is on its way. With 100 the
# steps are too long for the most frequent bytes: their rows jump across the valley and
# back. **What would show us wrong:** a gap that stays open at 30, or one below zero at
# any rate, which could only be a bug.

# %%
pairs = (learn[:-1] * v + learn[1:]).bincount(minlength=v * v).view(v, v).double()
seen = pairs.sum(dim=1)  # how often each byte was followed by another
counted = torch.where(seen[:, None] > 0, pairs / seen[:, None].clamp(min=1), 1 / v)
floor = cross_entropy(counted.log()[learn[:-1]], learn[1:]).item()


def loss_on(logits: Tensor, text: Tensor) -> float:
    return cross_entropy(logits[text[:-1]], text[1:]).item()


marks = [10, 100, 1000, 5000, 15_000]
gaps, tables = {}, {}
for rate in (3.0, 30.0, 100.0):
    gaps[rate] = []
    for steps in tqdm(marks, desc=f"rate {rate:.0f}"):
        learnt = fit_bigram(learn, v, steps, rate)
        gaps[rate].append(loss_on(learnt, learn) - floor)
    tables[rate] = learnt
print(f"counts {floor:.4f} nats; learnt at rate 30: {gaps[30.0][-1]:.4f} above")

# %%
figure, axes = plt.subplots(figsize=(6, 3.4))
for (rate, gap), marker in zip(gaps.items(), ["s", "o", "^"]):
    axes.loglog(marks, gap, marker=marker, label=f"learning rate {rate:.0f}")
axes.axhline(0.01, color="#7a7a7a", linewidth=1)
axes.text(10, 0.0105, "0.01 nat", fontsize=9, color="#555555", va="bottom")
axes.set(xlabel="steps", ylabel="nats above the counts")
axes.legend(fontsize=9)
show(
    figure,
    alt="Distance from the counts against steps on logarithmic axes. With rate 30 it falls to below "
    "0.01 nat at 15,000 steps; with rate 3 it falls in parallel, ten times later; with rate 100 it "
    "starts lowest, is overtaken after 100 steps, and goes up and down.",
)
assert 0 < gaps[30.0][-1] < 0.01 < gaps[3.0][-1]
assert gaps[100.0][-1] > 2 * gaps[30.0][-1]

# %% [markdown]
# Where is the gap that remains? Look at single rows:

# %%
frequent = seen.argsort(descending=True)
frequent = frequent[seen[frequent] > 0]
for row in frequent[[0, 1, 40, 80, -1]].tolist():
    name = repr(chr(used[row])) if used[row] < 128 else f"byte {used[row]}"
    print(f"after {name:8} (seen {seen[row]:6,.0f} times)", end=": ")
    for rate in (30.0, 100.0):
        model = tables[rate][row].log_softmax(dim=-1)
        lost = counted[row].clamp(min=1e-300).log() - model
        print(f"rate {rate:3.0f} {(counted[row] * lost).sum():.4f}", end="  ")
    print()

# %% [markdown]
# At rate 100 the trouble is a single row, that of the space: it is the most frequent
# byte, so its steps are the longest. At rate 30 all frequent rows have arrived, and the
# rows of rare bytes have hardly moved: each step moves a row by its share, and theirs
# is a few millionths. One rate for all is too much for some and too little for others.
# (Lesson *pretraining* meets this again, with rare words. There an optimizer gives
# every number a pace of its own.) Is that bad? Ask the held-out pages:

# %%
smoothed = (pairs + 1) / (pairs + 1).sum(dim=1, keepdim=True)
learnt = tables[30.0]
rivals = {"bare counts": counted.log(), "add-one": smoothed.log(), "learnt": learnt}
unseen_bits = {}
for name, model in rivals.items():
    unseen_bits[name] = loss_on(model, unseen) / math.log(2)
    print(f"{name}: {unseen_bits[name]:.3f} bits per byte on unseen pages")
assert math.isinf(unseen_bits["bare counts"])
assert abs(unseen_bits["learnt"] - unseen_bits["add-one"]) < 0.1

# %% [markdown]
# The counts say *impossible* and are infinitely wrong. The learnt table never quite
# says never, and comes out about where add-one does, though nobody added anything. To
# stop before the end is a kind of smoothing.
#
# Why learn what can be counted? Because a network with a million numbers can take the
# place of a table with 256⁵ rows, and contexts that are alike can share them. Nobody
# can count such numbers. But the loop stays what it is here: **guess, measure the
# surprise, follow the gradient.**

# %% [markdown]
# ## One text, three tokenizers
#
# Same text, same kind of model, same order; only the tokens differ. **What we expect:**
# perplexity goes up with the vocabulary, and says nothing. Bits per byte stay close
# together. **What would show us wrong:** bits per byte that differ as much as
# perplexity does.

# %%
results = {}
for size in tqdm((256, 1024, 4096), desc="tokenizers"):
    tokenizer = Tokenizer.train(train_text, size)
    reading = torch.tensor(tokenizer.encode(train_text))
    judged = torch.tensor(tokenizer.encode(held_text))
    loss = NgramModel(6, size).fit(reading).loss(judged)
    per_byte = bits_per_byte(loss, len(judged), len(held))
    results[size] = math.exp(loss), loss / math.log(2), per_byte
for size, (perplexity, per_token, per_byte) in results.items():
    print(f"{size:5,} tokens: perplexity {perplexity:6.1f}, bits per token {per_token:.2f}, "
          f"bits per byte {per_byte:.2f}")  # fmt: skip
perplexities, _, per_bytes = zip(*results.values())
assert max(perplexities) > 10 * min(perplexities)
assert max(per_bytes) - min(per_bytes) < 0.3

# %% [markdown]
# By perplexity the bytes win by far. By bits per byte they come last. Five tokens of
# context reach further back when tokens are longer, and 1,024 of them do best here.
# **Perplexities may be compared only between models with the same tokenizer.** Whoever
# prints bits per token and calls them bits per byte is off by the mean length of a
# token; this happens.

# %% [markdown]
# ## What can go wrong
#
# **One too far.** Targets are the text moved by one. If you move it twice, once in the
# data and once in the loss, you train a model to guess the token after the next. If you
# forget to move it, you train a model to copy. Both train without complaint:

# %%
for shift, name in enumerate(["not moved", "moved by one", "moved twice"]):
    source, target = learn[: len(learn) - shift], learn[shift:]
    both = (source * v + target).bincount(minlength=v * v).view(v, v).double()
    chances = both / both.sum(dim=1, keepdim=True).clamp(min=1)
    loss = cross_entropy(chances.log()[source], target).item()
    print(f"{name:12}: best possible loss {max(0.0, loss):.2f} nats")

# %% [markdown]
# A loss near 0 looks like a triumph. The one in the last line looks like a model that
# is a little weak, and nobody searches for a bug.
#
# **Padding counted as text.** Three texts of 3, 4 and 12 words, filled up to 12. An
# untrained model has a loss of ln 8. Now it learns that after the end comes the filler,
# always. The mean over everything falls, and it has learnt nothing about words:

# %%
lengths = torch.tensor([3, 4, 12])
filler = torch.arange(12)[None, :] >= lengths[:, None]
targets = torch.randint(n_words, (3, 12), generator=torch.Generator().manual_seed(0))
logits = torch.zeros(3, 12, n_words + 1)  # one more token: the filler, number 8
logits[..., n_words] = torch.where(filler, 9.0, -9.0)  # "after the end, the filler"
with_filler = cross_entropy(logits, targets.masked_fill(filler, n_words))
without = cross_entropy(logits, targets.masked_fill(filler, -100))
print(
    f"filler counted {with_filler:.2f}, ignored {without:.2f}, ln 8 {math.log(8):.2f}"
)

# %% [markdown]
# **A mean of means.** A batch too large for memory is taken in parts. If you average
# each part and then the averages, a token in a short text weighs more than one in a
# long text. A library that very many models are trained with [did just
# that](https://github.com/huggingface/transformers/pull/34191). Add up, then divide
# once:

# %%
logits = torch.randn(2, 12, n_words, generator=torch.Generator().manual_seed(1))
targets = torch.randint(n_words, (2, 12), generator=torch.Generator().manual_seed(2))
targets[0, 3:] = -100  # the first text has 3 words, the second 12
means = torch.stack([cross_entropy(logits[i], targets[i]) for i in (0, 1)])
together = cross_entropy(logits, targets)
print(f"mean of means {means.mean():.4f}; over all 15 words {together:.4f}")

# %% [markdown]
# ## In the wild
#
# The loss is the same everywhere. PyTorch's, against yours:

# %%
logits, targets = torch.randn(64, 4096) * 20, torch.randint(4096, (64,))
targets[::5] = -100
gap = (F.cross_entropy(logits, targets) - cross_entropy(logits, targets)).abs().item()
print(f"difference {gap:.1e}")
assert gap < 1e-4

# %% [markdown]
# **Your computer is full of language models.** A program that compresses files guesses
# what comes next, and writes down only the surprise. The bits per byte of a model and
# the size of a compressed file are one and the same quantity. So let them compete. The
# compressors read the training text, then the held-out pages, and we count what the
# pages add. They also learn from the pages while reading them; to be fair, our model
# may do so too, and counts again after every thousand bytes:


# %%
def added_bits(compress: Callable[[bytes], bytes]) -> float:
    before, both = train_text.encode(), (train_text + held_text).encode()
    return 8 * (len(compress(both)) - len(compress(before))) / len(held)


def reading_along(order: int, part: int = 1000) -> float:
    nats = 0.0
    for i in tqdm(range(0, len(held), part), desc="reading along"):
        model = NgramModel(order, 256).fit(torch.cat([train, held[:i]]))
        context = torch.cat([train, held[:i]])[-order:]
        surprise = -model.log_prob(torch.cat([context, held[i : i + part]]))
        nats += surprise[order:].sum().item()
    return bits_per_byte(nats / len(held), len(held), len(held))


contest = {
    "zlib (zip, png)": added_bits(lambda text: zlib.compress(text, 9)),
    "lzma (xz, 7z)": added_bits(lambda text: lzma.compress(text, preset=9)),
    "bz2": added_bits(lambda text: bz2.compress(text, 9)),
    "ours, order 6": kneser_ney[5],
    "ours, reading along": reading_along(6),
}
for name, bits in sorted(contest.items(), key=lambda item: -item[1]):
    print(f"{name:20} {bits:.2f} bits per byte")
frozen, along = contest["ours, order 6"], contest["ours, reading along"]
assert along < frozen < contest["zlib (zip, png)"]
assert abs(along - contest["bz2"]) < 0.15

# %% [markdown]
# Counting plays in the same league as the compressors of every computer: reading along,
# it ends beside bz2, the best of the three here. (zlib looks back only 32,768 bytes and
# has forgotten most of the manual.)
#
# And it is no mere comparison: the bits can be had. Think of all numbers from 0 to 1.
# Give each first byte a stretch as wide as its probability; divide the stretch of the
# right one among the second bytes; and so on. In the end the text *is* a tiny stretch,
# and naming a number inside it takes one bit for every time that its width was halved.
# This is **arithmetic coding**, and it fits in two cells:


# %%
def stretches(ids: list[int]) -> list[int]:
    """Where the stretch of each next byte begins, in whole numbers; the last entry is the end."""
    guess = models[6].probabilities(torch.tensor(ids[-5:], dtype=torch.int64))
    # Whole numbers, as both sides must agree to the last digit; + 1, as no byte's stretch may be
    # empty. 2**32 is so large that neither changes a probability that matters.
    return [0, *((guess.double() * 2**32).long() + 1).cumsum(dim=0).tolist()]


def compress(ids: list[int]) -> tuple[int, int]:
    """A number, and how many bits it has."""
    low, width = Fraction(0), Fraction(1)
    for i, byte in enumerate(ids):
        cuts = stretches(ids[:i])
        low += width * Fraction(cuts[byte], cuts[-1])
        width *= Fraction(cuts[byte + 1] - cuts[byte], cuts[-1])
    # So many bits that two neighbouring numbers are closer than the stretch is wide: one lies in it.
    n_bits = math.ceil(1 / width).bit_length()
    return math.ceil(low * 2**n_bits), n_bits


message = held[1000:1400].tolist()
number, n_bits = compress(message)
model_bits = -models[6].log_prob(held[1000:1400]).sum().item() / math.log(2)
zipped = 8 * len(zlib.compress(bytes(message), 9))
print(f"{8 * len(message):,} bits of text; surprise {model_bits:.1f} bits; packed {n_bits} bits; "
      f"zlib alone {zipped:,} bits")  # fmt: skip
assert n_bits < model_bits + 2

# %% [markdown]
# And back. With the same model at hand, ask in which stretch the number lies. That is
# the byte. Widen its stretch to the whole again, and ask for the next:


# %%
def expand(number: int, n_bits: int, n_bytes: int) -> list[int]:
    place, ids = Fraction(number, 2**n_bits), []
    for _ in range(n_bytes):
        cuts = stretches(ids)
        # The last stretch that does not begin behind the place.
        byte = bisect(cuts, place * cuts[-1]) - 1
        place = (place * cuts[-1] - cuts[byte]) / (cuts[byte + 1] - cuts[byte])
        ids.append(byte)
    return ids


unpacked = expand(number, n_bits, len(message))
assert unpacked == message
to_text(torch.tensor(unpacked[:60]))

# %% [markdown]
# Packed into as many bits as the model was surprised, and unpacked without a fault.
# **To predict well and to compress well are the same thing.** That is why bits per byte
# is the most honest number a language model has.

# %% [markdown]
# ## What you built

# %%
progress("language_models")

# %% [markdown]
# The floor `lib.ngram` stands. The loss, the bits per byte and the sampler go with you
# through the whole course. Counting itself comes back where a quick guess is worth more
# than a good one: lesson *speculative decoding* lets n-grams run ahead of a large
# model. The next lesson takes away the limit of the context: a token that looks back as
# far as it likes.
#
# **A question to take along.** How good can a guess at all be? Claude Shannon let
# people guess a printed English text letter by letter, and estimated from their tries
# that it holds between 0.6 and 1.3 bits per letter, when a hundred letters before it
# are known. Why can nobody, and no model of any size, get to 0? What is in the bits
# that remain? (Try yourself: cover the end of a page, guess it letter by letter, and
# count your tries.)
#
# **Papers**
# - Shannon 1948, *A Mathematical Theory of Communication*: sections 2 and 3 write English with n-grams,
#   by hand.
# - Shannon 1951, *Prediction and Entropy of Printed English*: the guessing game.
# - Kneser and Ney 1995, *Improved Backing-off for M-gram Language Modeling*.
# - Chen and Goodman 1998, *An Empirical Study of Smoothing Techniques for Language Modeling*: every way
#   of counting, compared fairly.
# - Delétang et al. 2023, [Language Modeling Is Compression](https://arxiv.org/abs/2309.10668).
