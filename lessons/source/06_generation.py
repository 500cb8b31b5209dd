# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # Generation
#
# **How does a distribution become text, and quickly?**
#
# A trained model gives every token a probability of being the next. It never says which
# one to take. Somebody has to choose, write the choice down, and ask again, two hundred
# times for a short story. This lesson is about that somebody.
#
# It has two halves. In the first you choose *well*: neither the same dull sentence for
# ever, nor one slip after the other. In the second you choose *quickly*: a model that
# reads its whole text again for each new token spends nearly all its time on what it
# knows already.
#
# You will write eight functions. They become `lib.generation`, and every text that a
# model writes in the rest of the course, rollouts for reinforcement learning included,
# comes out of them. Plan three hours; the cells themselves run in under two minutes.

# %%
import codecs
import json
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, pairwise

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from tqdm import tqdm

from lib import hub
from lib.attention import causal_mask
from lib.checkpoint import load, load_tokenizer, shipped
from lib.corpora import read
from lib.corpora.town import check_story
from lib.course import exercise, given, hint, how_many, progress, settle, show, solution  # fmt: skip
from lib.course.figures import use_style
from lib.course.widgets import explore
from lib.generation import Automaton, Constraint, Processor, check_not_negative
from lib.generation import check_prompts, left_pad, new_cache, reading, sampler
from lib.ngram import sample
from lib.tokenizer import Tokenizer
from lib.transformer import Transformer, count_parameters, kv_cache_bytes

use_style()
torch.set_num_threads(1)  # one text at a time hardly gains from a second core
torch.set_printoptions(precision=3, sci_mode=False, linewidth=88)

# %% [markdown]
# ## A story, as it is written
#
# The model that comes with the course has read stories of a small made-up town, and
# facts, questions and sums about it; the last lesson told how. Here it writes. The
# words appear as they are chosen:

# %%
from lib.generation import stream as finished

model, tokenizer = load(shipped("mini")), load_tokenizer(shipped("mini"))
END = tokenizer.special_tokens["<|endoftext|>"]  # before and after every document


def say(pieces: Iterable[str], width: int = 84) -> None:
    """Print pieces of text as they come, and break long lines."""
    column = 0
    for piece in pieces:
        if column > width and piece.startswith(" "):
            piece, column = "\n" + piece[1:], 0
        print(piece, end="", flush=True)
        column = column + len(piece) if "\n" not in piece else len(piece)
    print()


opening, chance = "Not so long ago, a", torch.Generator().manual_seed(2)
written = finished(model, tokenizer, [END, *tokenizer.encode(opening)], 250, stop=[END],
                   processors=sampler(min_p=0.1), generator=chance)  # fmt: skip
say(chain([opening], written))
print(f"\n{count_parameters(model.config):,} parameters")

# %% [markdown]
# Change the seed, and it is another story. By the end of the lesson every part of that
# call is yours.

# %% [markdown]
# ## Six words
#
# A model that knows six words has read *“Mia lost her …”*. It gives each word a
# **logit**, a score, and the softmax turns scores into probabilities. These numbers will
# stay with us:

# %%
words = ["key", "kite", "hat", "boat", "moon", "of"]
lost = torch.tensor([2.0, 1.5, 1.2, 0.5, -0.5, -2.0])  # "Mia lost her …"


def shares(logits: Tensor) -> None:
    """Print each word with its probability; a dot where there is none."""
    chances = logits.softmax(dim=-1).tolist()
    print(
        "   ".join(
            f"{w} {p:.3f}" if p else f"{w}   ·  " for w, p in zip(words, chances)
        )
    )


shares(lost)

# %% [markdown]
# **The first idea** is to take the likeliest: *key*. It is called **greedy**. It needs
# no luck, and for a question with one answer it is what you want. For stories it has
# two flaws. One you see at once: ask a hundred times, and a hundred times Mia loses her
# key. The other shows later. Let the model go on from eight openings that it has never
# seen, and do not let it stop (how that is done comes below). We do it twice, greedily and
# by lot, and count: of all runs of three words near the end, what share is different?

# %%
from lib.generation import generate as finished_generate

held_out = [str(story) for story in read("town", split="held_out", size=40)]


def never_end(tokens: Tensor, logits: Tensor) -> Tensor:
    """Forbid the token that ends a text."""
    return logits.index_fill(1, torch.tensor([END]), float("-inf"))


def threes(text: str) -> list[tuple[str, ...]]:
    """All runs of three words."""
    words = text.split()
    return list(zip(words, words[1:], words[2:]))


openings = [[END, *tokenizer.encode(story)[:5]] for story in held_out[: how_many(8, short=2)]]  # fmt: skip
different = {}
for name, temperature in (("by lot", 1.0), ("greedy", 0.0)):
    endless = finished_generate(model, openings, 370, temperature=temperature,
                                processors=[never_end], generator=chance)  # fmt: skip
    ends = [tokenizer.decode(ids[-150:]) for ids in endless]
    different[name] = [len(set(threes(end))) / len(threes(end)) for end in ends]
    print(f"{name:7}", *(f"{share:4.0%}" for share in sorted(different[name])))
worst = ends[different["greedy"].index(min(different["greedy"]))]
say(["\n… ", *re.split(r"(?= )", worst[-300:])])
by_lot, greedy = (statistics.median(different[name]) for name in ("by lot", "greedy"))
assert greedy < by_lot - 0.15

# %% [markdown]
# The greedy texts run in circles. In the first lesson a chain of words did so because it
# saw one word only. Here the model sees everything, and that is no cure: what it has
# written is now the text that it goes on from, a text in which the same lines come again
# and again. So the likeliest is: once more. Nothing in the greedy rule leads out.
# ([Holtzman et al. 2019](https://arxiv.org/abs/1904.09751), figure 4, watched a large model
# grow surer with each repetition.)
#
# **The second idea** is to draw: each word as often as its probability says. That is
# `sample`, which you wrote in lesson *language models*. It is honest, for the texts come
# out as the model believes texts to be. Look at the last word of our six:

# %%
generator = torch.Generator().manual_seed(0)
drawn = sample(lost.expand(1000, 6), generator=generator)
print({word: (drawn == i).sum().item() for i, word in enumerate(words)})

# %% [markdown]
# *Mia lost her of.* It happens in 8 of 1,000 draws. That sounds like nothing. But every
# word of a story is drawn, and after one slip the model has to go on from it.
#
# **A prediction first.** A story takes 200 draws. If a slip has probability 0.0077 each
# time, how many stories come through without any? One of: `"nearly all"`, `"half"`,
# `"a fifth"`.

# %%
prediction = "a fifth"  ### PREDICTION

# %%
slip = lost.softmax(dim=-1)[-1].item()
stories = sample(lost.expand(2000, 200, 6), generator=generator)
clean = (stories != 5).all(dim=1).float().mean().item()
print(f"calculated {(1 - slip) ** 200:.1%}, drawn {clean:.1%}")
assert abs(clean - (1 - slip) ** 200) < 0.05
settle(prediction, "a fifth", options=["nearly all", "half", "a fifth"])

# %% [markdown]
# Four of five stories are hurt by a word that is hardly ever drawn. A real vocabulary
# has not one such word but thousands, each with next to no probability, together with
# some. This **tail** is the problem that all samplers solve in some way.

# %% [markdown]
# ## Temperature
#
# You know the first remedy: divide the logits by a **temperature** before the softmax.
# Below 1 the likely becomes likelier.

# %%
for temperature in (0.5, 1.0, 2.0):
    print(f"T = {temperature}", end="   ")
    shares(lost / temperature)

# %% [markdown]
# At 0.5, *of* is nearly gone. So is the *boat*, which was a perfectly good word. Cooling
# takes from every word in the same manner: a factor of two in probability becomes a
# factor of four. Whether a word is rare because it is one of many good ones, or because
# it is wrong, makes no difference.

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.2))
styles = [(0.5, "#1b3a6b", ""), (1.0, "#6aaed6", "//"), (2.0, "#eeeeee", "..")]
for i, (temperature, color, hatch) in enumerate(styles):
    places = torch.arange(6) + 0.27 * (i - 1)
    axes.bar(places, (lost / temperature).softmax(dim=-1), 0.26, color=color, hatch=hatch,
             edgecolor="#555555", label=f"temperature {temperature}")  # fmt: skip
axes.set_xticks(range(6), words)
axes.grid(axis="x", visible=False)
axes.set(ylabel="probability", title="Mia lost her …")
axes.legend()
show(
    figure,
    alt="Bars for six words at three temperatures. At 0.5 the first word, key, has more than half "
    "and the last ones nothing visible; at 1 the bars fall evenly; at 2 they are nearly flat, and "
    "even the wrong word of has a visible bar.",
)

# %% [markdown]
# ## Cut the tail
#
# The other remedy is to forbid. A word with a logit of minus infinity has probability
# zero, and the softmax shares out what it had among the rest, in proportion. Which words
# should stay? The simplest answer is **top-k**: the *k* likeliest, whatever they are
# ([Fan et al. 2018](https://arxiv.org/abs/1805.04833)).
#
# ### Exercise: `top_k`
#
# `...` in the docstring stands for whatever is in front: one text, or many at once.
# Work on the last axis.

# %% exercise="lib.generation.top_k"
# 1. k below 1 would leave nothing: a ValueError.
# 2. The k-th largest logit of each row is the bar. There may be fewer tokens than k.
# 3. What is below the bar becomes -inf, in a new tensor.
from lib.generation import top_k

# %%
shares(top_k(lost, 3))

# %% [markdown]
# Key, kite or hat; no *of* any more. Now *“Mia unlocked the door with her …”*. The model
# is sure:

# %%
door = torch.tensor([3.5, 0.5, 0.0, -0.5, -1.0, -2.0])  # "… the door with her …"
shares(door)
shares(top_k(door, 3))

# %% [markdown]
# Three words may stay, so three stay, and one door in fourteen is unlocked with a kite
# or a hat. With k = 1 the door is safe, and Mia loses nothing but keys. **No k is right
# for both.** How different are a real model's moments? Let it read the opening of a story
# that it has never seen, and count at each place how many tokens it takes to hold 95 %
# of the probability:

# %%
ids = [END, *tokenizer.encode(held_out[0])[:36]]
with torch.no_grad():
    chances = model(torch.tensor([ids[:-1]]))[0].softmax(dim=-1)
needed = (chances.sort(descending=True).values.cumsum(dim=-1) < 0.95).sum(dim=-1) + 1

figure, axes = plt.subplots(figsize=(8, 3.2))
axes.bar(range(36), needed, width=0.8)
axes.set_xticks(range(36), [tokenizer.decode([i]) for i in ids[1:]], rotation=90)
axes.grid(axis="x", visible=False)
axes.set(yscale="log", ylim=(0.8, 200), ylabel="tokens that hold 95 %")
axes.set_yticks([1, 10, 100], [1, 10, 100])
show(
    figure,
    alt="For each token of a story's opening, how many candidates hold 95 percent of the "
    "probability before it, on a logarithmic axis. Most places need one or two, some more than "
    "twenty.",
)
print(f"from {needed.min()} to {needed.max()}, median {needed.median()}")
assert needed.max() > 20 * needed.min()

# %% [markdown]
# One candidate here, dozens there. So fix the *share* instead of the number: keep the
# likeliest words until together they hold **p**. That is **top-p**, or nucleus sampling
# ([Holtzman et al. 2019](https://arxiv.org/abs/1904.09751)). By hand, with p = 0.8:

# %%
for name, logits in (("lost", lost), ("door", door)):
    together = logits.softmax(dim=-1).cumsum(dim=-1)
    print(name, [f"{word} {t:.2f}" for word, t in zip(words, together.tolist())])

# %% [markdown]
# (Our words happen to stand in order. In general they must be sorted first.) At the
# door, *key* alone holds 0.9, more than enough. For what was lost, *key* and *kite* hold
# 0.68, which is not enough; with *hat* it is 0.86. The word that crosses the line stays.
# If it did not, then at the door none would be left.
#
# ### Exercise: `top_p`
#
# Two things to get right: which side of the line the crossing token falls on, and how
# the decision, made in sorted order, finds its way back to the tokens' own places.

# %% exercise="lib.generation.top_p"
# 1. p outside 0 < p <= 1 is a ValueError; 1 keeps all.
# 2. Sort, the likeliest first. Softmax, in float32.
# 3. How much do the tokens before each one hold together? At p or more, it goes.
# 4. Carry these answers back to where each token stands; -inf there.
from lib.generation import top_p

# %%
shares(top_p(lost, 0.8))
shares(top_p(door, 0.8))

# %% [markdown]
# A third rule looks only at the winner: keep every token that is at least **p** times as
# likely as the likeliest. That is **min-p** ([Nguyen et al.
# 2024](https://arxiv.org/abs/2407.01082)). At the door the winner has 0.9 and the bar, at
# p = 0.1, lies at 0.09; nothing else reaches it. For what was lost the bar lies at 0.042.
#
# ### Exercise: `min_p`

# %% exercise="lib.generation.min_p"
# 1. p outside 0 to 1 is a ValueError.
# 2. Probabilities, in float32, and the largest of each row.
# 3. What has less than p times the largest goes.
from lib.generation import min_p

# %%
shares(min_p(lost, 0.1))
shares(min_p(door, 0.1))

# %% [markdown]
# Here are all of them on the real model. One place where it can go on in many ways and
# one where it can hardly choose. Dark is what each rule keeps, pale what it removes:


# %%
def guess(beginning: str) -> Tensor:
    """The logits for what comes after `beginning`, (v)."""
    ids = [END, *tokenizer.encode(beginning)]
    with torch.no_grad():
        return model(torch.tensor([ids]))[0, -1]


def draw_kept(axes: plt.Axes, logits: Tensor, kept: Tensor, n: int = 10) -> None:
    """The n likeliest tokens: before in pale, after the filters in dark."""
    before, order = logits.softmax(dim=-1).topk(n)
    places = torch.arange(n)
    axes.barh(places, before, color="#cccccc", height=0.8)
    axes.barh(places, kept.softmax(dim=-1)[order], color="#1b3a6b", height=0.42)
    axes.set_yticks(places, [repr(tokenizer.decode([i])) for i in order.tolist()],
                    parse_math=False)  # fmt: skip
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


rules = {
    "top-k, k = 4": lambda logits: top_k(logits, 4),
    "top-p, p = 0.8": lambda logits: top_p(logits, 0.8),
    "min-p, p = 0.1": lambda logits: min_p(logits, 0.1),
}
unsure, sure = "One morning, Mia walked to the", "Mia lost her key. She looked for the"
figure, grid = plt.subplots(2, 3, figsize=(8.6, 5.4), sharex="row")
for row, beginning in zip(grid, (unsure, sure)):
    logits = guess(beginning)
    for axes, (name, rule) in zip(row, rules.items()):
        draw_kept(axes, logits, rule(logits))
        axes.set_title(f"{name}: {rule(logits).isfinite().sum()} stay", fontsize=10)
    row[0].set_ylabel(f"… {' '.join(beginning.split()[-4:])} …")
for axes in grid[1]:
    axes.set_xlabel("probability")
show(
    figure,
    alt="Two rows of bar charts of the ten likeliest next tokens, for an open and for a nearly "
    "decided place, under top-k, top-p and min-p. Top-k keeps four in both; the other two keep "
    "many at the open place and few at the decided one.",
)

# %% [markdown]
# Now mix them. (`sampler` makes a list of filters from settings.) Type a beginning of your
# own, heat the model up, and see which rule still holds the tail back at temperature 2:


# %%
def draw_mixed(
    beginning: str,
    temperature: float = 1.0,
    top_k: int = 50,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> plt.Figure:
    logits = guess(beginning)
    kept = logits[None] / temperature
    for filtered in sampler(top_k=top_k, top_p=top_p, min_p=min_p):
        kept = filtered(torch.tensor([[END]]), kept)
    figure, axes = plt.subplots(figsize=(6.4, 3.8))
    draw_kept(axes, logits, kept[0])
    axes.set(
        xlabel="probability",
        title=f"{kept.isfinite().sum()} of {len(logits)} tokens stay",
    )
    return figure


explore(
    draw_mixed,
    alt=lambda beginning, **settings: (
        f"The ten likeliest tokens after {beginning!r} with {settings}: before in pale, after "
        "in dark"
    ),
    beginning=unsure,
    temperature=(0.1, 3.0, 0.1),
    top_k=[1, 2, 4, 8, 16, 50, 200, 2048],
    top_p=(0.05, 1.0, 0.05),
    min_p=(0.0, 0.5, 0.02),
)

# %% [markdown]
# The order counts. Temperature changes what top-p and min-p see. We heat or cool
# first, then filter.

# %% [markdown]
# ## Do not say it twice
#
# The last remedy is against circles: make what stands in the text already less likely
# ([Keskar et al. 2019](https://arxiv.org/abs/1909.05858)). Their formula divides the
# logit of each seen token by a **penalty** above 1. Suppose that *key*, *hat* and *of*
# have been written, and try it with 2:

# %%
seen = torch.tensor([[0, 2, 5]])  # key, hat, of
naive = lost.clone()
naive[seen] /= 2
print("before:", lost)
print("after: ", naive)

# %% [markdown]
# The logits of *key* and *hat* sank. That of *of* **rose**, from −2 to −1: half of a
# negative number is a larger one. The penalty became a reward. `transformers` [shipped
# it like that](https://github.com/huggingface/transformers/issues/2302), and a user's
# dog wrote *dog dog dog dog*; the fix, which everybody uses since, is to multiply where
# the logit is negative. (It is a rule of thumb: softmax does not care where zero lies,
# this rule does.)
#
# ### Exercise: `repetition_penalty`
#
# Texts of unequal length come as one tensor, filled up with −1 where there is no token.
# −1 is a trap: as an index it means *the last*.

# %% exercise="lib.generation.repetition_penalty"
# 1. A penalty that is not above 0 is a ValueError.
# 2. Which tokens has each text seen? A table of booleans (b v), padding left out.
# 3. What would every logit sink to: divided if positive, multiplied if negative.
# 4. Take that where a token was seen, and the old logit elsewhere.
from lib.generation import repetition_penalty

# %%
shares(lost)
shares(repetition_penalty(lost[None], seen, 2.0)[0])

# %% [markdown]
# All of these can be brought into one shape: a function that takes the texts so far and the
# logits, and gives new logits. We call it a **processor**. `never_end` above is one.
# `sampler` makes a list of them: `sampler(top_p=0.9)` has one, and `sampler()` none. Later
# lessons add processors that limit thinking or hide a watermark.

# %% [markdown]
# ## Writing, slowly
#
# Now write. Ask, choose, append, until a **stop token** comes or the room is full. The
# stop rule is not a detail: `END` is a token like others, which the model has learnt to
# predict where its documents end, and it is *we* who must listen. The town's documents
# sometimes go on with `Facts` or `Question` after a story, so for stories these two stop
# as well:

# %%
STOPS = {END, *tokenizer.encode("Facts"), *tokenizer.encode("Question")}
assert len(STOPS) == 3  # each of them is a single token


def write_slowly(prompt: list[int], n: int) -> tuple[list[int], list[float]]:
    """Greedy, without any memory; the text, and the seconds that each token took."""
    ids, seconds = list(prompt), []
    while len(seconds) < n and ids[-1] not in STOPS:
        start = time.perf_counter()
        with torch.no_grad():
            logits = model(torch.tensor([ids]))[0, -1]
        ids.append(sample(logits, temperature=0).item())
        seconds.append(time.perf_counter() - start)
    return ids, seconds


slow, seconds = write_slowly([END, *tokenizer.encode(held_out[0])[:8]], 120)
say(re.split(r"(?= )", tokenizer.decode(slow[1:])))
print(f"\nfirst ten tokens {statistics.median(seconds[:10]) * 1e3:.1f} ms each, "
      f"last ten {statistics.median(seconds[-10:]) * 1e3:.1f} ms")  # fmt: skip

# %% [markdown]
# Each token takes longer than the one before, as there is more to read. For *n* tokens
# the model reads 1 + 2 + … + n of them, which is about n²/2. Is it necessary? Read a
# story's first 20 tokens, then the same 20 with more behind them, and compare what the
# model makes of the first 20:

# %%
start, longer = torch.tensor([ids[:20]]), torch.tensor([ids[:36]])
with torch.no_grad():
    gap = (model(start) - model(longer)[:, :20]).abs().max().item()
print(f"largest difference: {gap:.0e}")
assert gap < 1e-3

# %% [markdown]
# None, but for rounding. Nobody looks ahead: that is what the causal mask is for. So what
# a token's vectors were, they will be, however the text goes on. And of an old token a
# new one needs two things in each layer: its **key**, to find it, and its **value**, to
# hear what it says. Its query is never asked for again.
#
# So keep keys and values: the **KV cache**. You left the door open for it. In lesson
# *attention* your layer calls `cache.append(key, value)`, which takes the new ones and
# gives back all.
#
# A first version just glues, as `Memory` did in lesson *transformer*. Its flaw: to add one
# token it copies all the old ones to a new place. The better way is a shelf with room to
# spare, doubled when it is full. How many tokens are moved until there are 1,000?

# %%
glued = sum(range(1, 1001))
doubled, room_for = 1000, 64  # every token is put on the shelf once …
while room_for < 1000:
    doubled, room_for = doubled + room_for, 2 * room_for  # … and moves house sometimes
print(f"glued: {glued:,} moves; shelves that double: {doubled:,}")

# %% [markdown]
# ### Exercise: `KVCache.append`
#
# The class is given but for one method. `room` finds the shelves, and grows them when it
# must; you put the new ones in and give back what is filled. (`truncate` forgets tokens
# at the end, for lesson *speculative decoding*.)

# %% given="lib.generation.KVCache" only="__init__ __len__ room"
from lib.generation import KVCache

# %% exercise="lib.generation.KVCache.append"
# 1. Where do the new tokens begin and end? They are the third axis of (b g t d).
# 2. self.room gives the buffers. Put keys and values into their places.
# 3. Count what has moved in. Give back what is filled, and no more.
from lib.generation import KVCache

# %%
cache = new_cache(model)  # one for each layer
with torch.no_grad():
    in_two = model(start[:, :12], cache=cache), model(start[:, 12:], cache=cache)
    gap = (torch.cat(in_two, dim=1) - model(start)).abs().max().item()
print(f"{len(cache[0])} tokens cached; read in two pieces or one: {gap:.0e} apart")
assert gap < 1e-3

# %% [markdown]
# The positions are right as well: `Transformer.forward` asks the cache how long it is. In
# the second piece there are 8 queries and 20 keys, which is the case that your
# `causal_mask` handles and PyTorch's `is_causal=True` does not.
#
# What does it cost? Memory, instead of time:

# %%
per_token = kv_cache_bytes(model.config, 1, bytes_per_number=4)
print(f"{per_token / 1024:.0f} KiB a token; a full context of {model.config.n_context} tokens: "
      f"{per_token * model.config.n_context / 2**20:.1f} MiB for each text")  # fmt: skip

# %% [markdown]
# ## Many at once
#
# To choose one token the processor fetches every weight of the model from memory and uses
# it once. For sixteen texts it would fetch them just as often and use each sixteen
# times: nearly sixteen texts for the price of one. But prompts are not equally long, and
# a tensor is a rectangle. Something must fill the gaps, and it must not be seen:

# %%
left_pad([[5, 6, 7], [8]])

# %% [markdown]
# Why on the left? A text is continued behind its last token. On the left the last tokens
# stand below each other in one column, and so will all that come. For the second row,
# what must be true?
#
# | | −1 | −1 | token 8 | next |
# |---|---|---|---|---|
# | position | none | none | 0 | 1 |
# | token 8 may look at | no | no | yes | – |
# | the next may look at | no | no | yes | yes |
#
# Then every row gets the numbers that it would get alone. One snag: a row of the mask
# in which *nothing* is allowed has a softmax of 0/0, *nan*, and what is *nan* stays so
# wherever it is multiplied, even by 0. So let the padding itself look anywhere; nobody
# asks what it saw.
#
# ### Exercise: `next_logits`
#
# `model(tokens, positions, mask, cache, head)` takes a position for each token, and a
# mask with a row for each *new* token and a column for *each* token. `head` saves work:
# scores are wanted for the last place only.

# %% exercise="lib.generation.next_logits"
# 1. How many tokens does the cache hold? If that is all of them, there is nothing to do: an error.
# 2. Where are real tokens? If everywhere, leave positions and mask to the model.
# 3. Else count them for the positions; the mask is causal, and hides padding, except from itself.
# 4. Read the tokens that are not cached (no -1 in an embedding!), and score the last place.
from lib.generation import next_logits

# %%
prompts = [ids[:20], ids[:9], ids[:3]]
with torch.no_grad():
    together = next_logits(model, left_pad(prompts))
    alone = torch.cat([next_logits(model, torch.tensor([row])) for row in prompts])
print(f"together or alone: {(together - alone).abs().max():.0e} apart")
torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3)

# %% [markdown]
# ## The loop
#
# Everything is there. One turn of the loop goes
#
#     next_logits ─▶ ÷ temperature ─▶ processors, one after the other ─▶ sample ─▶ append
#
# and the rest is care:
#
# - each row stops by itself, at a stop token or at the end of the model's context; the
#   others go on, and the finished row gets −1;
# - the stop token is part of the answer: a model that is to *learn* when to stop, in a
#   later lesson, must see that it did;
# - when all have stopped, so does the loop;
# - temperature 0 means greedy, and then nothing is divided;
# - meanwhile the model is in eval mode and keeps no gradients. `reading` sees to that.

# %% given="lib.generation.reading"
from lib.generation import reading

# %% [markdown]
# ### Exercise: `generate`
#
# `check_not_negative(name=number)` and `check_prompts(prompts, model.config)` raise the
# errors for you. `on_token` is a window for others: it sees what was drawn and the logits
# that it was drawn from, and can stop everything by returning True.

# %% exercise="lib.generation.generate"
# 1. Check. Pad on the left. How much room does each row have before its context is full?
# 2. A cache: a new one, the caller's, or none. No row is finished yet.
# 3. Ask, divide by the temperature unless it is 0, process, draw. -1 in finished rows. Append.
# 4. Who is finished now? Tell on_token. Go on until there are enough, or all are finished.
# 5. Give back the new tokens of each row, without the -1.
from lib.generation import generate

# %% [markdown]
# Two promises can be tested to the letter. *The cache changes nothing*, and *company
# changes nothing*: whoever else is in the batch, each row is what it would have been
# alone. Greedy and drawn, six prompts of unequal length, three seeds:

# %%
six = [
    [END, *tokenizer.encode(story)[: 3 + 5 * i]] for i, story in enumerate(held_out[:6])
]
alike = 0
for temperature, seed in [(0, 0), (1, 0), (1, 1), (1, 2)][: how_many(4, short=2)]:
    first, second = (
        generate(model, six, 40, temperature=temperature, cache=cache,
                 generator=torch.Generator().manual_seed(seed))
        for cache in (True, False)
    )  # fmt: skip
    alike += sum(a == b for a, b in zip(first, second))
greedy = [generate(model, [row], 40, temperature=0)[0] for row in six]
company = sum(a == b for a, b in zip(greedy, generate(model, six, 40, temperature=0)))
print(f"with and without cache: {alike} of 24 texts alike")
print(f"alone and in company:   {company} of 6 alike")
assert alike == 24 and company == 6

# %% [markdown]
# ## How quickly?
#
# **We expect**, without a cache, that the time for one token grows with the length of the
# text, and with one that it stays nearly flat. **What would show us wrong:** a line with
# the cache that is just as steep. `on_token` is a clock that we can hang into the loop:


# %%
def clock(n: int, **settings: object) -> list[float]:
    """Milliseconds for each of n tokens."""
    stamps = [time.perf_counter()]
    note = lambda drawn, logits: stamps.append(time.perf_counter())  # noqa: E731
    generate(model, [[END]], n, processors=[never_end], on_token=note, **settings)
    return [(b - a) * 1e3 for a, b in pairwise(stamps)]


N = how_many(240, short=60)
took = {"no cache": clock(N, cache=False), "cache": clock(N)}
early = {name: statistics.median(ms[5:35]) for name, ms in took.items()}
late = {name: statistics.median(ms[-30:]) for name, ms in took.items()}
for name, ms in took.items():
    print(f"{name:9} {N / sum(ms) * 1e3:6.0f} tokens/s; a token takes {early[name]:.1f} ms "
          f"at the beginning, {late[name]:.1f} ms after {N}")  # fmt: skip
times = sum(took["no cache"]) / sum(took["cache"])
print(f"the cache is {times:.1f} times as fast")

batch_sizes, per_second = [1, 4, 16, 64], []
for b in batch_sizes:
    began = time.perf_counter()
    generate(model, [[END]] * b, 60, processors=[never_end])
    per_second.append(b * 60 / (time.perf_counter() - began))

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.3))
for name, marker in (("no cache", "s"), ("cache", "o")):
    smooth = [statistics.median(took[name][i : i + 20]) for i in range(0, N, 20)]
    left.plot(range(10, N + 10, 20), smooth, marker=marker, label=name)
left.set(xlabel="tokens in the text", ylabel="milliseconds a token", ylim=(0, None))
left.set_title("One text")
left.legend()
right.loglog(batch_sizes, per_second, marker="o", label="measured")
right.loglog(batch_sizes, [per_second[0] * b for b in batch_sizes], ":", color="#7a7a7a",
             label="in proportion")  # fmt: skip
right.set_xticks(batch_sizes, batch_sizes)
right.set_yticks([100, 1000, 10_000], ["100", "1,000", "10,000"])
right.minorticks_off()
right.legend()
right.set(xlabel="texts at once", ylabel="tokens per second, all together")
right.set_title("Many texts, with cache")
show(
    figure,
    alt="Left: milliseconds for a token against the length of the text. Without a cache the line "
    "rises steadily; with one it is nearly flat and far below. Right: tokens per second rise with "
    "the number of texts written at once, on logarithmic axes, at first nearly in proportion, and "
    "then less.",
)
assert times > 2.5
assert late["no cache"] > 2.5 * early["no cache"]
assert late["cache"] < 0.4 * late["no cache"]
assert per_second[2] > 2 * per_second[0]

# %% [markdown]
# Without a cache the time is the number of tokens that are read: a straight line, which
# starts where the other does. With a cache one token is read, however long the text; what
# still grows is the part of attention, one dot product per cached key, small next to the
# weights. In *total* that is n against n²/2, so the gain grows with the length, and is
# larger for longer texts than ours.
#
# On the right, company. The weights are fetched once for all, so more texts cost little
# more, until it is the arithmetic that takes the time: there the line bends. Services
# that answer thousands at once live from this slope.

# %% [markdown]
# ## While it is being written
#
# A reader need not wait for the end. But a token is a piece of *bytes*, and since lesson
# *tokenization* you know what that means beyond ASCII. Show each token when it comes:

# %%
menu = tokenizer.encode("a naïve fox 🦊 in a café")
print([tokenizer.decode([i]) for i in menu])

# %% [markdown]
# The marks � are halves of characters. No token was wrong; each was only shown too soon.
# (Projects find this out [again](https://github.com/mlc-ai/mlc-llm/pull/2978) and
# [again](https://github.com/antonellof/ferrox/issues/124).) Python has a decoder with
# patience: it keeps the bytes of an unfinished character until the rest has come.

# %%
patient = codecs.getincrementaldecoder("utf-8")(errors="replace")
print([patient.decode(tokenizer.token_bytes(i)) for i in menu])

# %% [markdown]
# `stream` is that decoder around your `generate`, one token at a time, with a cache that
# is handed on from call to call. You saw it at work at the beginning.

# %% given="lib.generation.stream"
from lib.generation import stream

# %% [markdown]
# ## Only what is allowed
#
# Sometimes a text goes to a program, not to a reader: an answer that must be *yes* or
# *no*, a record in JSON. One can ask, hope, parse and ask again. Better to make what is
# wrong impossible: at each step, forbid the tokens that would leave the format. A
# processor, then. It must know, after any beginning, what may follow.
#
# A machine that knows this is an **automaton**: a few *states*, and for each the bytes
# that may come and the state they lead to. Here is one for `yes` or `no`:

# %% tags=["nbval-check-output"]
automaton = Automaton.of("yes|no")
for state, steps in enumerate(automaton.steps):
    arrows = ", ".join(f"{chr(byte)} to {target}" for byte, target in steps.items())
    print(f"state {state}: {arrows or 'nothing more'}"
          f"{'   (may end here)' if state in automaton.accepting else ''}")  # fmt: skip

# %% [markdown]
# (`Automaton.of` takes regular expressions of the plain kind. How they become states is
# an old and beautiful story; the code is in `lib/_generation_automaton.py`.)
#
# The automaton reads bytes and the model writes tokens. A token may come if the automaton
# can read *all* its bytes, one after the other, from where it stands. For a vocabulary of
# six tokens and the state 0: `y`, `ye` and `no` may come; `e` and `not` may not. And the
# token that ends the text may come where the automaton accepts.
#
# ### Exercise: `allowed_tokens`

# %% exercise="lib.generation.allowed_tokens"
# 1. For each token: start in `state`, read its bytes; a byte without a step rules it out.
# 2. A token without bytes is no text: leave it out.
# 3. Remember where each allowed token leads. Where the text may end, `end` may come.
from lib.generation import allowed_tokens

# %% tags=["nbval-check-output"]
vocab = [b"y", b"ye", b"no", b"e", b"not", b""]
for state in range(3):
    print(state, allowed_tokens(automaton, state, vocab, end=5))

# %% [markdown]
# `constrain` makes a processor of it, which follows each row through its states
# ([Willard and Louf 2023](https://arxiv.org/abs/2307.09702)):

# %% given="lib.generation.constrain"
from lib.generation import constrain

# %% [markdown]
# Our model has never seen JSON. Ask it for some, twenty times, with and without:

# %%
pattern = r'\{"name": "[A-Z][a-z]{1,8}", "has": "an? [a-z]{3,8} [a-z]{3,8}"\}'
ask = [END, *tokenizer.encode("Mia had a red kite. ")]


def is_json(text: str) -> bool:
    try:
        return set(json.loads(text)) == {"name", "has"}
    except (ValueError, TypeError):
        return False


valid = {}
for name, processors in (
    ("free", []),
    ("constrained", [constrain(pattern, tokenizer, END)]),
):
    answers = generate(model, [ask] * 20, 60, processors=[*processors, *sampler(top_p=0.9)],
                       stop=[END], generator=torch.Generator().manual_seed(0))  # fmt: skip
    texts = [tokenizer.decode([t for t in row if t != END]) for row in answers]
    valid[name] = sum(map(is_json, texts))
    print(f"{name:12} {valid[name]:2} of 20 valid, such as {texts[0][:62]!r}")
assert valid == {"free": 0, "constrained": 20}

# %% [markdown]
# Twenty of twenty, from a model that does not know what a brace is. It never gets stuck,
# since every single byte is a token as well. But see what stands in the fields: **valid
# is not true.** The format is ours, the content is the model's, and at each step it only
# chose the least unlikely of what was left.

# %% [markdown]
# ## The experiment: quality against diversity
#
# Which sampler is best? The question is badly put, since every setting buys one thing
# with another. Greedy is careful and tells one story. Drawing freely tells many and
# slips. So we measure **both**, and follow each sampler along its whole range.
#
# *Quality* is usually a matter of taste, or of another model's opinion. Not in the town:
# its checker reads every sentence and knows what is true so far. Quality is the share of
# sentences that can be read and contradict nothing. (A last sentence that is cut off does
# not count.) *Diversity*: eight beginnings, four stories for each; take the first 60 words
# that the model wrote in each of the 32; of all runs of three words among them, what share
# is different? Greedy tells each story four times, so it gets 1/4 at most.


# %%
def write_stories(seed: int, copies: int = how_many(4, short=1), temperature: float = 1.0,
                  **settings: float) -> list[str]:  # fmt: skip
    """For each of eight beginnings, `copies` stories."""
    starts = [" ".join(story.split()[:8]) for story in held_out[:8]] * copies
    prompts = [[END, *tokenizer.encode(start)] for start in starts]
    rows = generate(model, prompts, 160, temperature=temperature, stop=STOPS,
                    processors=sampler(**settings),
                    generator=torch.Generator().manual_seed(seed))  # fmt: skip
    texts = [tokenizer.decode([t for t in row if t not in STOPS]) for row in rows]
    return [start + text for start, text in zip(starts, texts)]


def judge(texts: list[str]) -> dict[str, float]:
    """Shares of sentences that are good, unreadable, untrue; and of distinct runs of 3 words."""
    verdicts = [check_story(text) for text in texts]
    sorts = [problem.sort for verdict in verdicts for problem in verdict.problems]
    n = sum(verdict.sentences for verdict in verdicts) - sorts.count("cut")
    unreadable, untrue = sorts.count("parse") / n, sorts.count("truth") / n
    runs = [run for text in texts for run in threes(" ".join(text.split()[8:68]))]
    return {
        "quality": 1 - unreadable - untrue,
        "unreadable": unreadable,
        "untrue": untrue,
        "diversity": len(set(runs)) / len(runs),
    }


# %% [markdown]
# **We expect** every curve to fall from upper left to lower right. If filters are worth
# their trouble, they lie above temperature: as varied, with fewer slips. **What would show
# us wrong:** curves that lie on each other. And the repetition penalty, which promises
# variety? We add two points of it, on top of min-p 0.1. For comparison, 32 real stories.

# %%
ranges = {
    "temperature": [0.3, 0.5, 0.7, 0.85, 1.0],
    "top_k": [2, 4, 10, 40],
    "top_p": [0.3, 0.6, 0.8, 0.95],
    "min_p": [0.5, 0.2, 0.1, 0.03],
    "repetition_penalty": [1.1, 1.3],
}
texts, scores = {}, {}
for name, x in tqdm([(name, x) for name, xs in ranges.items() for x in xs]):
    options = {"min_p": 0.1} if name == "repetition_penalty" else {}
    texts[name, x] = write_stories(0, **{name: x}, **options)
    scores[name, x] = judge(texts[name, x])
greedy_score = judge(write_stories(0, copies=1, temperature=0) * how_many(4, short=1))  # fmt: skip
town_score = judge(held_out[8:])

print("greedy and town", *(f"{r['quality']:.2f}" for r in (greedy_score, town_score)),
      "        diversity", *(f"{r['diversity']:.2f}" for r in (greedy_score, town_score)))  # fmt: skip
for name, xs in ranges.items():
    one = [f"{scores[name, x]['quality']:.2f}" for x in xs]
    two = [f"{scores[name, x]['diversity']:.2f}" for x in xs]
    print(f"{name} {xs}:\n    quality {' '.join(one)}   diversity {' '.join(two)}")

# %%
figure, axes = plt.subplots(figsize=(7.4, 4.6))
for (name, xs), marker in zip(ranges.items(), ["o", "s", "^", "D", "x"]):
    points = [scores[name, x] for x in xs]
    across, up = ([r[key] for r in points] for key in ("diversity", "quality"))
    axes.plot(across, up, marker=marker, label=name.replace("_", " "), markersize=7)
    axes.annotate(xs[0], (across[0], up[0]), xytext=(6, 6), textcoords="offset points",
                  fontsize=9)  # fmt: skip
axes.plot(greedy_score["diversity"], greedy_score["quality"], "*", color="black",
          markersize=13, label="greedy")  # fmt: skip
axes.axvline(town_score["diversity"], color="#555555", linewidth=1, linestyle=":")
axes.set(xlabel="diversity: share of different runs of three words",
         ylabel="quality: share of good sentences")  # fmt: skip
axes.set_title(
    "Dotted: the diversity of real stories (their quality is 1)", fontsize=10
)
axes.legend(fontsize=9, loc="lower left")
show(
    figure,
    alt="Quality against diversity, with a curve for each of temperature, top-k, top-p and min-p. "
    "Greedy stands alone on the upper left. All curves fall to the lower right, steeply near the "
    "dotted line of real stories, where top-p and min-p lie above temperature and top-k. The "
    "repetition penalty leads straight down.",
)
q = {key: score["quality"] for key, score in scores.items()}
d = {key: score["diversity"] for key, score in scores.items()}
assert q["temperature", 1.0] < min(q["temperature", 0.3] - 0.04, min(q.values()) + 0.01)
assert greedy_score["diversity"] < 0.25 < min(d.values())
assert greedy_score["quality"] < q["temperature", 0.3]
assert abs(d["temperature", 1.0] - town_score["diversity"]) < 0.08
for filtered in (("top_p", 0.95), ("min_p", 0.1)):
    assert q[filtered] > q["temperature", 1.0] + 0.03
    assert d[filtered] > d["temperature", 1.0] - 0.08
assert q["repetition_penalty", 1.3] < q["min_p", 0.1]
assert d["repetition_penalty", 1.3] < d["min_p", 0.1] + 0.01

# %% [markdown]
# Read it from the right. Drawn freely, the model is about as varied as the town itself:
# that is what it has learnt, and in this sense temperature 1 is the honest setting. But
# one sentence in eleven is wrong, as its mistakes are drawn along with the rest. From there
# the curves rise steeply, and then they are nearly flat: the first bit of care is cheap,
# the last costs all variety and brings nothing. On the far left stands greedy, with hardly a
# difference between its eight stories, **and it is not even the best**. Its mistakes are
# nearly all of one kind: whoever comes new gets the name of somebody who is there already.
# The likeliest name is always the same.
#
# **Do the filters lie above temperature?** On the right, top-p and min-p do: with 0.95 and
# 0.1 they keep the variety of temperature 1 and make about a third of its mistakes, for
# they take the tail away and little else. But cooling to 0.85 keeps it too, and makes half
# of them. Further left all come together, and it matters more how far you turn a knob than
# which. Top-k stays near temperature: no k is right for both a sure model and an unsure one.
# (Over five seeds a point moved by 0.01 to 0.02; smaller differences mean nothing.)
#
# And the penalty brought no variety at all, and a few more mistakes. A story *must* repeat:
# the name of its hero, *the*, the full stop. The rule cannot tell these from a circle.
#
# **Look at the failures.** Two things can be wrong with a sentence: nobody can read it, or
# it can be read and is not true. Which sampler makes which?

# %%
chosen = {
    "greedy": greedy_score,
    "temperature 0.5": scores["temperature", 0.5],
    "temperature 1": scores["temperature", 1.0],
    "top-p 0.8": scores["top_p", 0.8],
    "min-p 0.1": scores["min_p", 0.1],
    "with penalty 1.3": scores["repetition_penalty", 1.3],
}
figure, axes = plt.subplots(figsize=(6.8, 3))
unreadable, untrue = (
    [r[key] for r in chosen.values()] for key in ("unreadable", "untrue")
)
axes.barh(range(6), unreadable, color="#1b3a6b", label="cannot be read")
axes.barh(range(6), untrue, left=unreadable, color="#eeeeee", hatch="//",
          edgecolor="#555555", label="contradicts the story")  # fmt: skip
axes.set_yticks(range(6), list(chosen))
axes.invert_yaxis()
axes.grid(axis="y", visible=False)
axes.set(xlabel="share of all sentences")
axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, 1.2), ncol=2)
show(
    figure,
    alt="Bars for six samplers, each cut into sentences that cannot be read and sentences that "
    "contradict the story. Drawing freely has the longest bar. In all of them contradictions are the "
    "larger part; greedy has nothing else.",
)
free, cut = scores["temperature", 1.0], scores["top_p", 0.8]
assert cut["unreadable"] < free["unreadable"] / 2.5
assert cut["untrue"] < free["untrue"] and free["untrue"] > free["unreadable"]
assert greedy_score["unreadable"] == 0 < greedy_score["untrue"]


# %%
def problems_of(text: str) -> list[str]:
    """What the checker does not like, and why."""
    problems = check_story(text).problems
    return [f"✗ {p.sentence}\n  {p.reason}" for p in problems if p.sort != "cut"]


worst = max(texts["temperature", 1.0], key=lambda text: len(problems_of(text)))
say(re.split(r"(?= )", worst))
print("", *problems_of(worst)[:5], sep="\n")
left_over = [problem for text in texts["top_p", 0.8] for problem in problems_of(text)]
print(f"\nAll 32 stories with top-p 0.8 have {len(left_over)} together, such as", *left_over[:4],
      sep="\n")  # fmt: skip

# %% [markdown]
# Sentences that cannot be read come from the tail, and whoever cuts it off is nearly rid of
# them. Some of the contradictions go as well, for they are heirs of a slip: where the
# sentence that introduces the hero cannot be read, *he* is nobody from then on. What
# remains after cutting is mostly of another kind: each word was likely enough, only nobody
# of that name has come, or the two are not in the same place. Greedy has these too, though
# each of its words was the likeliest. **A sampler can keep a model from slips. It cannot
# make it know more.** For that, somebody has to train.

# %% [markdown]
# ## What can go wrong
#
# **Temperature last.** We heat first and filter then. In version 3.5 of `transformers` a
# change of structure [turned that round](https://github.com/huggingface/transformers/pull/8686)
# until somebody noticed; llama.cpp does it [on
# purpose](https://github.com/ggml-org/llama.cpp/pull/3841). Neither is wrong. But the
# same settings mean different things, most of all when it is hot:

# %%
print("heat, then min-p 0.2:")
shares(min_p(lost / 2, 0.2))
print("min-p 0.2, then heat:")
shares(min_p(lost, 0.2) / 2)

# %% [markdown]
# **Columns taken for positions.** In a padded batch the column of a token is not its
# position. [Unsloth](https://github.com/unslothai/unsloth/issues/3699) took the one for
# the other, for every row alike: the longest prompt was answered well, the shorter ones
# with garbage. Our model has rotary positions, which know distances only. Will it mind?


# %%
def answer_columns(tokens: Tensor, n: int, prompt_too: bool) -> list[list[int]]:
    """Greedy, with the column as position: for the new tokens only, or for the prompt too."""
    real, width = tokens >= 0, tokens.size(1)
    for _ in range(n):
        t = tokens.size(1)
        columns, counted = torch.arange(t).expand(tokens.shape), real.cumsum(dim=1) - 1
        positions = torch.where(
            columns < width, columns if prompt_too else counted, columns
        )
        anywhere = ~real[:, None, :, None]
        mask = causal_mask(t) & (real[:, None, None, :] | anywhere)
        with torch.no_grad():
            logits = model(tokens.clamp(min=0), positions.clamp(min=0), mask)[:, -1]
        tokens = torch.cat([tokens, logits.argmax(dim=-1, keepdim=True)], dim=1)
        real = tokens >= 0
    return tokens[:, width:].tolist()


right_ones = generate(model, six, 12, temperature=0)
for name, prompt_too in (("for the prompt too", True), ("for new tokens only", False)):
    wrong = answer_columns(left_pad(six), 12, prompt_too)
    same = [sum(a == b for a, b in zip(x, y)) for x, y in zip(right_ones, wrong)]
    print(f"columns as positions {name:20} tokens of 12 that are right: {same}")

# %% [markdown]
# Not as long as *all* its parts make the same mistake: then every distance is what it
# was. (A model with learned positions would mind.) The damage comes when the prompt is
# counted in one way and the answer in another. Then a gap opens between them, as wide as
# the padding, and only the longest prompt, the last one, has none.
#
# **Another distribution than you think.** A later lesson will reward the model for what
# it draws, and for that it needs the probability *with which it drew*. Sampling with
# temperature and filters and then asking the bare model gives another number. In
# [TRL](https://github.com/huggingface/trl/pull/3029) the temperature was missing in it.
# Nothing crashes; a ratio that should be 1 is not:

# %%
texts, log_probs = [], []


def note(drawn: Tensor, logits: Tensor) -> None:
    log_probs.append(logits.log_softmax(dim=-1).gather(1, drawn[:, None])[:, 0])
    texts.append(drawn)


generate(model, [[END]] * 64, 30, temperature=0.7, processors=[never_end, *sampler(top_p=0.9)],
         on_token=note, generator=torch.Generator().manual_seed(0))  # fmt: skip
written = torch.stack(texts, dim=1)
with torch.no_grad():
    bare = model(torch.cat([torch.full((64, 1), END), written], dim=1)[:, :-1])
assumed = bare.log_softmax(dim=-1).gather(2, written[:, :, None])[:, :, 0]
ratio = (assumed - torch.stack(log_probs, dim=1)).exp().mean().item()
print(
    f"probability by the bare model / probability it was drawn with: {ratio:.2f} on average"
)
assert ratio < 0.95

# %% [markdown]
# That is why `on_token` shows the logits *after* temperature and processors.

# %% [markdown]
# ## In the wild
#
# A published model brings a file `generation_config.json`: what its makers found to work.
# (GPT-2's samples were drawn with top-k 40, the last square in the picture.) Here are
# three, and what they would make of *our* model:

# %%
published = {
    "Llama 3 Instruct": {"temperature": 0.6, "top_p": 0.9},
    "Qwen2.5 7B Instruct": {"temperature": 0.7, "top_p": 0.8, "top_k": 20,
                            "repetition_penalty": 1.05},
    "Qwen3, thinking": {"temperature": 0.6, "top_p": 0.95, "top_k": 20},
}  # fmt: skip
for name, settings in published.items():
    r = judge(write_stories(0, **settings))
    print(
        f"{name:20} quality {r['quality']:.2f}  diversity {r['diversity']:.2f}   {settings}"
    )

# %% [markdown]
# Three recipes, nearly one place on the map: everybody cools a little and cuts a little. Of
# greedy, the makers of Qwen's reasoning models [advise against
# it](https://huggingface.co/Qwen/QwQ-32B/commit/c4e7023265184b8d0b1383075da081a359f313a1):
# endless repetitions. You have seen some.
#
# Now side by side with the library itself: are the filters the same, do the same weights
# write the same text, and how quickly? `lib.hub` writes our model as `transformers` knows
# it. Both write in turns, so that a busy machine slows both:


# %%
def their_filters(logits: Tensor) -> bool:
    """Whether our four functions agree with theirs."""
    import transformers.generation.logits_process as theirs

    tokens = torch.randint(len(logits[0]), (len(logits), 30))
    pairs = [
        (theirs.TopKLogitsWarper(20), top_k(logits, 20)),
        (theirs.TopPLogitsWarper(0.9), top_p(logits, 0.9)),
        (theirs.MinPLogitsWarper(0.1), min_p(logits, 0.1)),
        (
            theirs.RepetitionPenaltyLogitsProcessor(1.3),
            repetition_penalty(logits, tokens, 1.3),
        ),
    ]
    return all(
        torch.equal(their(tokens, logits.clone()), ours) for their, ours in pairs
    )


def side_by_side(their: nn.Module, n: int = 100, runs: int = 5) -> tuple[bool, float]:
    """Greedy, n tokens: are they alike, and how many times as fast are we?"""
    prompt = torch.tensor([six[3]])
    settings = {"max_new_tokens": n, "min_new_tokens": n, "do_sample": False}
    ratios = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        ours = generate(model, prompt, n, temperature=0)
        between = time.perf_counter()
        with torch.inference_mode():
            answer = their.generate(
                prompt, attention_mask=torch.ones_like(prompt), **settings
            )
        ratios.append((time.perf_counter() - between) / (between - start))
    return ours[0] == answer[0, prompt.size(1) :].tolist(), statistics.median(
        ratios[1:]
    )


# %%
try:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging
except ImportError:
    print("This comparison needs transformers: pip install transformers")
else:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        hub.save(model, f"{folder}/mini", pad_token_id=END)
        their = AutoModelForCausalLM.from_pretrained(f"{folder}/mini").eval()
    with torch.no_grad():
        logits = model(torch.tensor([ids]))[0]
    agree, (same, ratio) = their_filters(logits), side_by_side(their)
    print(f"filters equal: {agree}; 100 greedy tokens alike: {same}; "
          f"ours is {ratio:.1f} times as fast")  # fmt: skip
    assert agree and same and ratio > 0.5

# %% [markdown]
# The same filters and the same text, letter for letter, at about the same speed, from a
# loop that fits on one screen. At this size most of a step is Python that prepares the
# step. On a large model the arithmetic rules, and the libraries built for serving win by
# other means: they share the cache in pages, batch requests as they come and go, and keep
# weights in 4 or 8 bits.

# %% [markdown]
# ## What you built

# %%
progress("generation")

# %% [markdown]
# The floor `lib.generation` stands: from a model to a text. Lesson *supervised
# fine-tuning* turns the one who continues into one who answers; *reasoning* limits its
# thinking with a processor; *speculative decoding* lets a small model guess and `truncate`
# take back; *watermarking* hides a sign in the choice itself.
#
# **A question to take along.** Greedy takes the likeliest token each time. Is the result
# the likeliest *text*? Write a **beam search**: keep the five best beginnings, extend each
# by all tokens, keep the five best again. Compare the total log-probability of its story
# with greedy's, with a drawn one's, and with that of a real story from the town. Which is
# the likeliest, and would you want to read it? (For translation it is what everybody used.
# For stories see [Holtzman et al.](https://arxiv.org/abs/1904.09751), figure 2.)
#
# **Papers**
# - Holtzman et al. 2019, [The Curious Case of Neural Text Degeneration](https://arxiv.org/abs/1904.09751): why the likeliest text is bad, and top-p.
# - Fan et al. 2018, [Hierarchical Neural Story Generation](https://arxiv.org/abs/1805.04833): top-k, for stories.
# - Nguyen et al. 2024, [Turning Up the Heat](https://arxiv.org/abs/2407.01082): min-p.
# - Keskar et al. 2019, [CTRL](https://arxiv.org/abs/1909.05858): the repetition penalty, section 4.1.
# - Pope et al. 2022, [Efficiently Scaling Transformer Inference](https://arxiv.org/abs/2211.05102): what the cache costs, and batches, on real machines.
# - Willard and Louf 2023, [Efficient Guided Generation](https://arxiv.org/abs/2307.09702): automata over tokens.
