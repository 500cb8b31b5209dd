# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # Start here
#
# **What is a language model, and what will I have built?**
#
# Welcome. A language model guesses how a text goes on. In this course you build one from nothing,
# in numbered notebooks like this one, and the functions that you write become its parts. At the
# end stands an assistant that you can talk to, and each part of it is code that you have written
# or read.
#
# This first lesson is short. You will run a language model, write one warm-up exercise and get to
# know the house. It takes about half an hour, and it needs neither a network nor a GPU. Run one
# cell after the other with *Shift + Enter*. (The first is folded away, and does nothing on your
# own machine.)
#
# Here is the end first. The assistant below has five million parameters, a thousandth of what
# people usually talk to, and the house that it comes from is `lib`. It knows one small town and
# what it was taught there: to tell, to list, to choose, to say who it is.

# %%
import html
import random
import textwrap
import time
from collections import Counter
from itertools import pairwise

began = time.perf_counter()

import matplotlib.pyplot as plt
import torch
from IPython.display import HTML, display

from lib.chat import Chat
from lib.checkpoint import load, load_tokenizer, shipped
from lib.corpora import read
from lib.course import exercise, hint, progress, settle, show, solution
from lib.course.figures import use_style
from lib.course.talk import talk
from lib.course.widgets import explore
from lib.generation import generate
from lib.ngram import NgramModel, sample
from lib.tokenizer import Tokenizer
from lib.watermark import GreenListWatermark, colours, detect, key_of

use_style()

# %%
assistant = load(shipped("assistant"))
chat = Chat(assistant, load_tokenizer(shipped("assistant")))
asked = ["Hello! I am Nell.", "Name three animals.", "Now two things to eat."]
for text in [*asked, "What is my name?"]:
    print(f"▸ {text}\n  ", end="")
    for piece in chat.stream(text):
        print(piece, end="", flush=True)
    print()
print(f"\n{time.perf_counter() - began:.1f} seconds since the first import")

# %% [markdown]
# Talk to it yourself. The answer appears as it is written, and you can stop it. *Begin again*
# makes it forget you.

# %%
chat.reset()
talk(chat)

# %% [markdown]
# Ask it about something outside of its town, and it will answer all the same, and wrongly. Why it
# does will be clear when you know what it is: something that guesses how a text goes on.
#
# A sister of it has learnt to **think before it answers**. One word in what it is told beforehand
# switches that on and off:

# %%
thinker = load(shipped("reasoning"))
problem = (
    "Zoe had 14 cards in a bag. She lost 2 cards on the way home. Then she bought 9 more "
    "cards at the market. How many cards did Zoe have at the end of the day?"
)
print(textwrap.fill(problem, 90))
for switch in ("/no_think", "/think"):
    sums = Chat(thinker, chat.tokenizer, system=switch)
    answer = sums.ask(problem)
    thought = sums.messages[-1].get("reasoning_content", "")
    print(f"{switch:>9}  thought: {thought or '-':32} answer: {answer}")

# %% [markdown]
# It knows sums of this kind and nothing else, and it gets about two in three of them right; without
# a thought, next to none. Here is its own window, with a switch. The field takes a sum of yours:
# people, things, and what becomes of them.

# %%
sums.reset()
talk(sums, thinking=True)

# %% [markdown]
# And whatever a model of ours writes can carry a **watermark**. A secret key makes some words a
# little likelier than others, and which these are changes from word to word. Readers notice nothing.
# Whoever has the key counts: of a text that knows nothing of it, one token in four is *green*. The
# *p-value* is the chance that a text without the watermark would be as green as this one.

# %%
writer, key = load(shipped("mini")), key_of("the sparrow, the lamp and the mill")
beginning = chat.tokenizer.encode("Long ago, a fox")


def write(*processors: GreenListWatermark) -> str:
    """Two hundred tokens by the model that all of this began with."""
    (ids,) = generate(
        writer,
        [beginning],
        200,
        processors=processors,
        generator=torch.Generator().manual_seed(1),
    )
    return chat.tokenizer.decode(beginning + ids).replace("<|endoftext|>", "\n")


def reveal(text: str) -> str:
    """The text as HTML, its green tokens bold on green, and how surprising their number is."""
    ids = chat.tokenizer.encode(text, disallowed_special=())
    found = detect(ids, key)
    spans = [f"{found.score} of {found.n_counted} green, p = {found.p_value:.1g}<br>"]
    style = "background:#bfe3bf;color:#000;font-weight:bold"
    for token, green in zip(ids, colours(ids, key)):
        piece = html.escape(chat.tokenizer.decode([token]))
        spans.append(f'<span style="{style}">{piece}</span>' if green else piece)
    return f'<div style="max-width:46em;line-height:1.6">{"".join(spans)}</div>'


plain, marked = write(), write(GreenListWatermark(key, delta=3.0))
display(HTML("<b>Without</b> " + reveal(plain) + "<br><b>With</b> " + reveal(marked)))
p_plain, p_marked = (
    detect(chat.tokenizer.encode(text), key).p_value for text in (plain, marked)
)
print(f"{time.perf_counter() - began:.1f} seconds since the first import")
assert p_plain > 0.001 and p_marked < 1e-5

# %% [markdown]
# One line of text a piece, otherwise the field would lose it: change a few words of the marked story,
# or put anything else in its place. How much must you change until the mark is gone?

# %%
explore(reveal, text=" ".join(marked.split()))

# %% [markdown]
# Talking, thinking, marking: all of it is what `lib` does, and you will have written the parts of it
# that matter.
#
# ## A language model at work
#
# A model needs something to read. Every Python brings a book along: its own language reference.
# We take the sentences and leave tables and examples out:

# %%
lines = read("python", split="all").text().splitlines()
markup = ("|", "--", "==", ">>>", "::=", "...")
prose = [line for line in lines if not any(mark in line for mark in markup)]
text = " ".join(" ".join(prose).split())

print(f"{len(text):,} characters. Somewhere in the middle:\n")
print(textwrap.fill(text[200_000:200_300], 90))

# %% [markdown]
# Now two parts of the house, both of which you will build. A **tokenizer** cuts the text into
# **tokens**: words and pieces of words. Then a **model** counts which token follows which. Here it
# looks at the last three tokens to guess the next one (its *order* is 4: three to see, one to
# guess):

# %%
tokenizer = Tokenizer.train(text, vocab_size=4096)
tokens = torch.tensor(tokenizer.encode(text))
model = NgramModel(order=4, vocab_size=len(tokenizer)).fit(tokens)


def go_on(beginning: str, n_tokens: int = 30, seed: int = 0) -> str:
    """The beginning, and what the model writes after it."""
    ids = torch.tensor(tokenizer.encode(beginning), dtype=torch.int64)
    chance = torch.Generator().manual_seed(seed)
    more = model.generate(n_tokens, ids, temperature=0.7, generator=chance)
    return beginning + tokenizer.decode(more.tolist())


for beginning in ("If the object", "The value of the", "A class is"):
    print(textwrap.fill("▸ " + go_on(beginning), 90))

# %% [markdown]
# Some of this stands in the book, some of it nobody ever wrote. The model has read for a fraction
# of a second, and it has the tone of a manual already. It does not have the sense. There is
# nothing in these counts that could know what an object is.
#
# (*Temperature 0.7* makes likely tokens a little likelier still. You build that in lesson 02.)
#
# ## One guess at a time
#
# How does it write? In one step only, again and again. It gives **every token a probability of
# being the next**, one is drawn by lot, and the text is one token longer. Watch it work:

# %%
ids = torch.tensor(tokenizer.encode("If the object"))
chance = torch.Generator().manual_seed(1)
for _ in range(6):
    probabilities = model.probabilities(ids)  # one for each of the 4,096 tokens
    token = sample(probabilities.log(), generator=chance)
    drawn, so_far = tokenizer.decode([token.item()]), tokenizer.decode(ids.tolist())
    print(f"{so_far!r:48} + {drawn!r:14} which had {probabilities[token].item():6.1%}")
    ids = torch.cat([ids, token.view(1)])

# %% [markdown]
# That is the definition, and it will hold to the last lesson:
#
# > A **language model** is a function from a text to a probability for every possible next token.
#
# The assistants that you know work in the same way. They too write a token, read everything
# again, and write the next. What sets them apart is how good the guess is. Here is ours, as a
# picture. (The marks around a token show its spaces: here, the space before a word belongs to the
# word.)


# %%
def draw_guess(beginning: str, seed: int = 0) -> plt.Figure:
    """The eight likeliest next tokens, and one way in which the model goes on."""
    ids = torch.tensor(tokenizer.encode(beginning), dtype=torch.int64)
    top = model.probabilities(ids).topk(8)
    names = [repr(tokenizer.decode([i])) for i in top.indices.tolist()]
    figure, axes = plt.subplots(figsize=(6.8, 3.6))
    axes.barh(range(8), top.values * 100)
    axes.set_yticks(range(8), names, parse_math=False)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="probability of being next, %")
    sentence = "\n".join(textwrap.wrap(go_on(beginning, 24, seed), 70))
    axes.set_title(sentence, fontsize=10, loc="left", parse_math=False)
    return figure


show(
    draw_guess("If the object"),
    alt="A bar chart of the eight likeliest tokens after 'If the object'. The first has about 44 "
    "percent, the next three 8 to 11 each, the others are shorter still. Above the chart, one way "
    "in which the model goes on.",
)

# %% [markdown]
# Now you. Type a beginning and see the guesses change with every letter; the slider draws another
# way on. Then leave the manual: what does it make of *Once upon a time*?


# %%
def alt_of_guess(beginning: str, seed: int) -> str:
    more = go_on(beginning, 24, seed)
    return f"The eight likeliest tokens after {beginning!r}. The model goes on: {more}"


explore(draw_guess, alt=alt_of_guess, beginning="Once upon a time", seed=range(20))

# %% [markdown]
# ## The house
#
# The package `lib` is the house that you are going to live in. Each lesson builds a floor of it,
# and a floor stands on those below it alone.
#
# | lesson | what you build | floor |
# |---|---|---|
# | 01 tokenization | text to numbers, and back | `tokenizer` |
# | 02 language models | counting, sampling, how good a guess is | `ngram` |
# | 03 attention | how a token looks back | `attention` |
# | 04 transformer | the model behind every assistant of today | `transformer` |
# | 05 pretraining | how it learns from text | `optim`, `training` |
# | 06 generation | how it writes, and quickly | `generation` |
# | 07 supervised fine-tuning | from text to conversation | `chat`, `sft` |
# | 08 LoRA | changing a model that you cannot afford to train | `lora` |
# | 09 RLHF | from what people prefer | `reward`, `ppo` |
# | 10 DPO | the same without a reward model | `dpo` |
# | 11 reasoning | thinking before answering | `reasoning` |
# | 12 distillation | a small model learns from a large one | `distillation` |
# | 13 speculative decoding | faster, without changing a word | `speculative` |
# | 14 watermarking | whether our model wrote this | `watermark` |
#
# A floor has rooms, one for each exercise. All are dark at first, and each lights up when you pass
# it. In a lesson the map ends with the lesson's own floor; run `progress()` in a cell of its own
# to see everything that stands today.

# %%
progress("start_here")

# %% [markdown]
# **Your code becomes the model.** When an exercise of a floor passes, `lib` uses *your* function
# from then on: in this notebook, in every later lesson, and inside the rest of `lib`. Until then
# the *reference* stands in for it. So every lesson runs from top to bottom, even if you solve
# nothing, and you may begin wherever you like.
#
# ## How an exercise works
#
# An exercise is a cell with a line `@exercise(...)`. You write the body of the function and run
# the cell. It answers at once, with one of three signs:
#
# | sign | it means | what the name stands for then |
# |---|---|---|
# | ○ | not started: the cell still says `raise NotImplementedError` | what `lib` has; the lesson goes on |
# | ✗ | wrong: one case that fails, with its input and what came back | your function, so that you can look for the bug |
# | ✓ | right: all cases pass | your function |
#
# What does a wrong answer look like? Our warm-up asks for *the word that most often follows a
# given word in a text*. Suppose somebody takes the most common word of all:

# %% tags=["nbval-check-output"]


@exercise("start_here.most_common_next")
def first_try(text: str, word: str) -> str:
    words = text.split()
    return max(words, key=words.count, default="")


# %% [markdown]
# Read it line by line: which case failed, what was called, what was expected, what came back. The
# line *it seems* is there only when your function does exactly what a well-known mistake does;
# otherwise the check says nothing, since a wrong guess would mislead you.
#
# When you are stuck, ask. There are three hints for each exercise, each saying more than the one
# before, and `solution()` prints the reference when you have had enough. Neither costs anything:

# %% tags=["nbval-check-output"]
hint()

# %% [markdown]
# ### Exercise: `most_common_next`
#
# Your turn. Replace the last line by your own code, and run the cell. Everything that it needs has
# been imported above, `Counter` and `pairwise` included; you need not use either.


# %% exercise="start_here.most_common_next"
@exercise("start_here.most_common_next")
def most_common_next(text: str, word: str) -> str:
    """The word that most often follows `word` in `text`.

    Words are what `text.split()` gives: a comma belongs to its word, and The is not the. Of words
    that follow equally often, the one seen first wins. Where nothing follows, the answer is "".

    >>> most_common_next("the cat saw a dog and the dog saw the cat", "the")
    'cat'
    """
    # 1. Cut the text into words.
    # 2. Count what stands right after the word, everywhere.
    # 3. Take the most frequent; of several, the one seen first.
    ### BEGIN SOLUTION
    following = Counter(
        after for before, after in pairwise(text.split()) if before == word
    )
    return max(following, key=following.get, default="")
    ### END SOLUTION


# %%
most_common_next(text, "Python")

# %% [markdown]
# **Where your code is kept.** A function that passes is written into the folder `workbook/`, beside
# `lib/`, one small file for each: this one is `workbook/start_here/most_common_next.py`. Close
# everything, come back next week, and it is still there. To go back to the reference, delete the
# file. To do without your code for once, start with
# `TOKENS_LIB=reference make lab`; to keep the workbook in another place, set `TOKENS_WORKBOOK` to a
# folder in the same way.
#
# The warm-up belongs to this lesson alone: it is kept, but nothing in `lib` uses it. The first
# function that `lib` takes from you is `count_pairs`, in lesson 01.

# %% [markdown]
# ## The word chain
#
# What you have written is a language model, if a small one. It reads one word and says which is
# the likeliest to come. So let it write: ask for the next word, then for the one after that.

# %%
chain = ["The"]
while len(chain) < 20:
    chain.append(most_common_next(text, chain[-1]))
print(" ".join(chain))

# %% [markdown]
# It begins like a sentence, and then it turns in a circle. Is that bad luck with the first word?
# Let us start once from *every* different word of the text, and see where each chain ends up.
#
# **A prediction first.** Take the two circles in which most of them end. How many chains end in one
# of these two: `"few"` (less than a tenth), `"half"` (about), or `"nearly all"` (more than nine
# tenths)? Write it down before you go on.

# %%
prediction = "nearly all"  ### PREDICTION

# %% [markdown]
# Calling your function for each word would read the whole text thousands of times. It is quicker to
# read it once and to count for all words together: a table with a row for each word. We try both on
# thirty words, to see that they agree.

# %% tags=["nbval-check-output"]
table: dict[str, Counter] = {}
for before, after in pairwise(text.split()):
    table.setdefault(before, Counter())[after] += 1
likeliest = {word: max(row, key=row.get) for word, row in table.items()}

some = list(table)[:3000:100]
agree = sum(likeliest[word] == most_common_next(text, word) for word in some)
print(f"the table and most_common_next agree on {agree} of {len(some)} words")


# %%
def circle_from(word: str) -> tuple[frozenset[str], int]:
    """The words of the circle that a chain ends in (none if it just ends), and the steps to it."""
    chain = [word]
    while (word := likeliest.get(chain[-1], "")) and word not in chain:
        chain.append(word)
    circle = chain[chain.index(word) :] if word else []
    return frozenset(circle), len(chain) - len(circle)


ends = {word: circle_from(word) for word in table}
(common, times), (second, times_2), *_ = Counter(
    circle for circle, _ in ends.values()
).most_common()
share = (times + times_2) / len(ends)
steps = sum(n for _, n in ends.values()) / len(ends)
print(f"{len(ends):,} chains, on average {steps:.1f} steps to the circle")
for circle, n in ((common, times), (second, times_2)):
    print(f"{n / len(ends):5.1%} end among {sorted(circle)}")
settle(prediction, "nearly all", options=["few", "half", "nearly all"])
assert share > 0.9 and steps < 10

# %% [markdown]
# Almost whatever you begin with, after a handful of words you go round in one of two circles; on the
# Python that wrote this page nearly always *the same as the same as*. Some circle there must be: the
# chain looks at one word only and always takes the likeliest next, so it repeats itself as soon as
# any word comes back. That nearly all chains share so few circles is the work of frequent words,
# to which all roads lead. (Another version of Python brings a slightly different book, and other
# shares.)
#
# ## In the wild
#
# Large models know this trouble too. Let a strong one take the likeliest token each time, and
# sooner or later it repeats itself ([Holtzman et al. 2019](https://arxiv.org/abs/1904.09751)).
# The remedy is the lot. Draw the next word by chance, each as often as it followed in the text:

# %%
luck = random.Random(2)
chain = ["The"]
while len(chain) < 40:
    row = table[chain[-1]]
    chain += luck.choices(list(row), weights=row.values())
print(textwrap.fill(" ".join(chain), 90))

# %% [markdown]
# No circle, and no sense. Claude Shannon played this game in 1948, with a book, a finger and
# patience, and got *“the head and in frontal attack on an English writer that the character of
# this point is therefore another method …”*. Everything after that is about two questions: **how
# to guess better** (lessons 02 to 05), and **how to choose well among the guesses** (06).

# %% [markdown]
# ## What can your machine do?
#
# Four sizes of model will turn up in this course: *nano*, *mini*, *small* and *base*. The code is
# the same for all. Which of them can you train?

# %%
from lib.course.machine import report

machine = report()
print(machine)

# %% [markdown]
# These are rules of thumb, and here is what they rest on.
#
# - **Memory.** A number in the usual precision takes 4 bytes. In training every parameter needs
#   four such numbers: itself, its gradient (which way to move), and two averages that AdamW, the
#   usual method of training, keeps of it. That makes **16 bytes a parameter**. On top comes what
#   a step must remember of the text that it reads, here 4,096 tokens; for small models that is
#   most of it.
# - **Time.** Each token that is read costs about 6 operations a parameter: 2 to guess, 4 to
#   learn. A given amount of computing is best spent on a model that reads about **20 tokens a
#   parameter** ([Hoffmann et al. 2022](https://arxiv.org/abs/2203.15556)). And a training step
#   reaches a quarter of the speed of one large matrix product, more or less: small models less,
#   large ones more. Take the times as right within a factor of three.
#
# On two cores it is time that decides, not memory. So the lessons train *nano*, or teach *mini* more, and on
# far less text than that: a minute or two is enough to see everything happen. No lesson takes more
# than 3 minutes on two cores. On a GPU, the same code trains the larger ones.

# %% tags=["nbval-check-output"]
n_parameters = 125_000_000  # base, about the size of the smallest GPT-2
print(
    f"{16 * n_parameters / 1e9:.0f} GB for the parameters of base, before it has read a word"
)

# %% [markdown]
# ## What can go wrong
#
# **`NameError: name 'text' is not defined`.** The *kernel*, the process that runs your cells, was
# restarted, and has forgotten every variable. Your workbook is on the disk and safe. Choose *Run →
# Run All Above Selected Cell*, and you are back where you were.
#
# **`ModuleNotFoundError: No module named 'lib'`**, or `'torch'`. For `lib`, the notebook must lie
# in the folder of the course; run its first cell, which looks for it. For `torch`, the notebook
# runs in another Python than the one that the course has set up. Open it with `make lab`. To see
# which Python it is, run `import sys; sys.executable`: with `make lab` it lies in the course's
# folder `.venv`.
#
# **A cell stays wrong although you have changed it.** Run it again: what counts is what was run
# last, not what stands there. When in doubt, *Kernel → Restart Kernel and Run All Cells*.
#
# **On Colab, everything is gone.** A runtime that was idle for long is taken away with all its
# files. To keep your workbook, run this *before* the first cell of a lesson, and your code will be
# kept in your Drive, in a folder `token-by-token`:
#
# ```python
# from google.colab import drive
# drive.mount("/content/drive")
# ```
#
# ## Where to read
#
# **On your own machine:** `make lab` opens the lessons. The first time it needs the network, for
# PyTorch; after that, none. **On Colab and Kaggle:** use the badges at the top of each lesson; the
# first cell fetches the course, and leaves the host's PyTorch as it is. (On Kaggle, switch
# *Internet* on first, under *Settings*.) **Just reading:** `solutions/` holds every lesson filled
# in, with all pictures and numbers.

# %% [markdown]
# ## What you built

# %%
progress("start_here")

# %% [markdown]
# You have run a language model and seen what it is: a probability for every next token. You have
# written an exercise, and a model of your own that chains words. And you know the house: where its
# floors are, how an exercise answers, where your code is kept.
#
# The light in the map, if you passed, is for the warm-up alone. The rooms of `lib` are still dark.
# Lesson *tokenization* lights the first.
#
# **A question to take along.** Your chain looks at one word, the model above looked at three
# tokens. Why not at ten? Change `order` to 11, let it go on, and compare what it writes with the
# text that it has read (`in text` tells you whether a sentence stands there).
#
# **Papers**
# - Shannon 1948, [A Mathematical Theory of
#   Communication](https://doi.org/10.1002/j.1538-7305.1948.tb01338.x): section 3 is the word chain.
# - Holtzman et al. 2019, [The Curious Case of Neural Text
#   Degeneration](https://arxiv.org/abs/1904.09751): why taking the likeliest token goes wrong.
# - Hoffmann et al. 2022, [Training Compute-Optimal Large Language
#   Models](https://arxiv.org/abs/2203.15556): 20 tokens a parameter.
