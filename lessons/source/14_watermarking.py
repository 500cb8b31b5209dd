# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # Watermarking
#
# **Can we tell that our model wrote this?**
#
# A story lies on the table. Did a person write it, or your model? Looking at it hard will not
# help for long: you have spent fourteen lessons on making a model whose texts look like those
# that it has read. But there is something that you can do *before* it writes. Where several
# words would do equally well, the model rolls dice. **You may decide what the dice show**, by a
# secret key, in a way that no reader notices, and that you can check afterwards with the key
# alone, without the model.
#
# That is a *watermark*. This lesson builds three of them and asks of each what it costs the
# text, how sure you can be, and what somebody has to do to be rid of it. Half of the lesson
# is about being sure, for there is much that looks like a proof and is none.
#
# You will write six functions. They become `lib.watermark`, the last floor of the house. Plan
# three hours; the cells themselves run in under three minutes.

# %%
import html
import itertools
import math
import re
import statistics
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, Literal

import matplotlib.pyplot as plt
import torch
from einops import rearrange
from torch import Tensor

from lib.checkpoint import load, load_tokenizer, start_from
from lib.corpora import read
from lib.course import exercise, given, hint, how_many, progress, settle, show, solution  # fmt: skip
from lib.course.figures import COLORS, use_style
from lib.course.studies import study
from lib.course.watermark_study import beginnings, first_story
from lib.course.widgets import explore
from lib.generation import Processor, generate, next_logits
from lib.watermark import WIDTH, Detection, GumbelWatermark, OddEvenWatermark
from lib.watermark import TournamentWatermark, colours, detect_odd_even
from lib.watermark import detect_tournament, gamma_tail, key_of, keyed_hash
from lib.watermark import as_ids, check_edit, check_settings, counted_words
from lib.watermark import keyed_uniform, last_tokens

use_style()
torch.set_printoptions(precision=3, sci_mode=False, linewidth=88)

# %% [markdown]
# ## A story with a secret
#
# `mini` goes on with beginnings of stories that it has not read. Once it writes as always, once
# under a watermark whose key is made from the words *the mayor's cat*. Then the detector reads
# both, with this key and with another. Its **p-value** says: if nobody had used this key, how
# often would a text look so much as if somebody had? (`OWN = True` would take the `mini` that
# you have kept yourself.)

# %%
OWN = False
mini, tokenizer = load(start_from("mini", OWN)), load_tokenizer(start_from("mini", OWN))
END = tokenizer.special_tokens["<|endoftext|>"]  # before and after every document
KEY, OTHER = key_of("the mayor's cat"), key_of("the baker's dog")
BEGINS = beginnings(200)
PROMPTS = [[END, *tokenizer.encode(begin)] for begin in BEGINS]
N_TEXTS = how_many(128, short=16)  # marked by each scheme


def write(
    mark: Processor | None = None, n: int = N_TEXTS, n_tokens: int = 200, temperature: float = 1.0, seed: int = 0
) -> list[list[int]]:  # fmt: skip
    """What `mini` makes of n beginnings. A watermark is a processor, and comes last."""
    chance = torch.Generator(mini.embedding.weight.device).manual_seed(seed)
    processors = [] if mark is None else [mark]
    return generate(
        mini, PROMPTS[:n], n_tokens, temperature=temperature, processors=processors, generator=chance
    )  # fmt: skip


# %%
from lib.watermark import gumbel_score

for name, mark in (("as always", None), ("marked", GumbelWatermark(KEY))):
    (text,) = write(mark, n=1)
    print(f"── {name}")
    print(textwrap.shorten(BEGINS[0] + tokenizer.decode(text), 330, placeholder=" …"))
    for key in (KEY, OTHER):
        print(f"   key {key % 10**6:06} … : p = {gumbel_score(text, key).p_value:.1g}")

# %% [markdown]
# Read both as often as you like: nothing gives the second away. And yet no chance explains it.
#
# ## First, without a secret
#
# The obvious idea is a **classifier**: show it texts by people (here: by the town) and texts by
# the model, and let it learn the difference. We give it all that one could wish for: it may use
# `mini` itself. Seven numbers for each text say how surprised `mini` is at it: how likely its
# tokens were, on average and in spread, how often each was the likeliest, and so on.

# %%
SHORT = 120  # tokens of a text that are looked at


def features(prompts: Sequence[list[int]], texts: Sequence[list[int]]) -> Tensor:
    """(n 7): how a text looks to the model that may have written it."""
    rows = []
    for prompt, text in zip(prompts, texts):
        ids = torch.tensor([prompt + text[:SHORT]])
        with torch.no_grad():
            logits = mini(
                ids[:, :-1], head=lambda x: mini.head(x[:, len(prompt) - 1 :])
            )
        log_p = logits[0].log_softmax(dim=-1)
        said = log_p.gather(1, ids[0, len(prompt) :, None])
        rank = (log_p > said).sum(dim=1).float()
        entropy = -(log_p.exp() * log_p).sum(dim=1)
        rows.append([said.mean(), said.std(), (rank == 0).float().mean(), (rank < 5).float().mean(),
                     rank.log1p().mean(), entropy.mean(), (said[:, 0] + entropy).mean()])  # fmt: skip
    return torch.tensor(rows)


def whole(texts: Sequence[list[int]]) -> list[int]:
    """Which texts have a story that is long enough."""
    return [i for i, text in enumerate(texts) if END not in text[:SHORT] and len(text) >= SHORT]  # fmt: skip


# %%
stories = [tokenizer.encode(s) for s in read("town", part="stories", split="held_out", size=450, seed=4)]  # fmt: skip
by_town = [([END, *s[:8]], s[8:]) for s in stories if len(s) >= SHORT + 8][:how_many(300, short=110)]  # fmt: skip
cool = write(n=how_many(200, short=40), n_tokens=SHORT, temperature=0.7)
chosen = whole(cool)
of_town = features(*zip(*by_town))
of_mini = features([PROMPTS[i] for i in chosen], [cool[i] for i in chosen])
print(f"{len(of_town)} texts by the town, {len(of_mini)} by mini at temperature 0.7")


def fit(real: Tensor, made: Tensor) -> Tensor:
    """Fisher's linear discriminant: how much each feature speaks for the model."""
    spread = torch.cov(real.T) + torch.cov(made.T) + 1e-6 * torch.eye(real.size(1))
    return torch.linalg.solve(spread, made.mean(dim=0) - real.mean(dim=0))


half = len(chosen) // 2
weights = fit(of_town[:100], of_mini[:half])
scores, made = of_town[100:] @ weights, of_mini[half:] @ weights
threshold = scores.quantile(0.98).item()  # 2 % of texts by the town lie above it
recall = {"mini, at temperature 0.7": (made > threshold).float().mean().item()}
print(
    f"found: {recall['mini, at temperature 0.7']:.0%} of mini's, with 2 % false alarms"
)

# %% [markdown]
# That is not bad. Now three things happen that nobody asked us about. Somebody **paraphrases**
# the text, in the mildest way: words for which the town has another one are exchanged, *big* for
# *large*, *said* for *remarked*. Somebody takes **another temperature**. And somebody hands in a
# text of **another kind**: the reference of the language Python, written by people.

# %%
ALIKE = """big great large, little small tiny, happy glad cheerful merry, sad unhappy, said
remarked, answered replied, cried shouted yelled exclaimed, hurried rushed ran, walked wandered
strolled, mended repaired fixed, very really, softly quietly, bright shining, found discovered,
searched looked, took grabbed picked, everyone everybody, called named, afraid scared, went headed,
near beside, quick fast, kind friendly, pleased delighted, fell dropped, old aged, rested sat"""
NEXT = {
    word: group.split()[(i + 1) % len(group.split())]
    for group in ALIKE.split(",")
    for i, word in enumerate(group.split())
}


def paraphrase(text: str) -> str:
    """Other words for the same; names and what has no other word stay."""
    return re.sub(r"\b[a-z]+\b", lambda match: NEXT.get(match[0], match[0]), text)


def again(prompt: list[int], text: list[int]) -> list[int]:
    return tokenizer.encode_ordinary(paraphrase(tokenizer.decode(text)))


tested = chosen[half:]
reworded = [again(PROMPTS[i], cool[i]) for i in tested]
sample = textwrap.shorten(tokenizer.decode(cool[tested[0]]), 220, placeholder=" …")
print(sample, paraphrase(sample), sep="\n→ ")

# %%
plain = write()  # at temperature 1
of_plain = [i for i in whole(plain)]
reference = [i for text in read("python", "reference", split="all") for i in tokenizer.encode_ordinary(text)]  # fmt: skip
windows = [reference[i * 1000 : i * 1000 + SHORT + 8] for i in range(100)]
others = {
    "the same, paraphrased": features([PROMPTS[i] for i in tested], reworded),
    "mini, at temperature 1": features([PROMPTS[i] for i in of_plain], [plain[i] for i in of_plain]),
    "people, about Python": features([[END, *w[:8]] for w in windows], [w[8:] for w in windows]),
}  # fmt: skip
recall |= {
    name: (x @ weights > threshold).float().mean().item() for name, x in others.items()
}
figure, axes = plt.subplots(figsize=(6.4, 2.4))
axes.barh(list(recall), list(recall.values()), color=[COLORS[0]] * 3 + [COLORS[1]])
axes.axvline(0.02, color="black", linewidth=1)
axes.invert_yaxis()
axes.set(xlabel="share called “written by mini”", xlim=(0, 1))
for row, share in enumerate(recall.values()):
    axes.text(share + 0.01, row, f"{share:.0%}", va="center", fontsize=10)
show(
    figure,
    alt="Shares of texts that the classifier calls written by mini. Of mini's own at temperature 0.7 it "
    "finds more than half; once paraphrased, or written at temperature 1, a few in a hundred; and of the Python "
    "reference, which people wrote, none.",
)
first, *rest = recall.values()
assert first > 0.3 and max(rest) < first / 2

# %% [markdown]
# Of the texts that it was made for it finds more than half. Exchange a few words, and nearly all of
# these are gone: what it had learnt to see is that `mini`, at a low temperature, is less surprised
# than the town is, and every odd word is a surprise. At temperature 1 the model draws from what it
# has learnt, and that *is* the town: there is next to nothing left to see. The better a model, the
# less. None of the people is accused here. But that is luck, for the two false alarms in a
# hundred were measured on texts by the town, and **on any other kind of text a classifier owes us
# nothing.** Whoever writes as predictably as a model is accused: of essays in English as a foreign
# language, seven detectors [flagged more than half](https://arxiv.org/abs/2304.02819).
# OpenAI's own classifier of 2023 found 26 % of such texts, accused 9 % of people's, and was [taken
# back](https://www.thehindu.com/sci-tech/technology/openai-pulls-back-ai-generated-text-detector-cites-low-rate-of-accuracy/article67126812.ece/amp/)
# within half a year.
#
# So let us not look for what the model *is*. Let us put something in.
#
# ## Two lists that take turns
#
# Toss a coin for every token of the vocabulary: half of them are *odd*, half *even*. At odd
# places of a text, odd tokens get a bonus on their logits, at even places even ones. (Where the
# coins fall, the key decides.) Nobody who reads will notice that the lists take turns. Who has
# the key counts how many tokens stand in the list of their place: by chance, half of them.
# The figure adds up, token by token, how many there are beyond that half: for one text, and for
# the same text after **one** token in the middle has been deleted.

# %%
turns = write(OddEvenWatermark(KEY, delta=5.0), n=how_many(32, short=8))
prompts = PROMPTS[:32]


def lead(prompt: list[int], text: list[int]) -> list[float]:
    """How many tokens beyond half are in the list of their place, up to each token."""
    ids, n = prompt + text, len(prompt)
    return [
        found.score - found.n_counted / 2
        for found in (detect_odd_even(ids[:end], KEY, n) for end in range(n, len(ids) + 1))
    ]  # fmt: skip


cut = [text[:99] + text[100:] for text in turns]
z_whole, z_cut = (
    statistics.median(detect_odd_even(p + t, KEY, len(p)).z for p, t in zip(prompts, texts))
    for texts in (turns, cut)
)  # fmt: skip
figure, axes = plt.subplots(figsize=(6.2, 2.9))
axes.plot(lead(prompts[0], turns[0]), label="as it was written")
axes.plot(lead(prompts[0], cut[0]), label="token 100 deleted")
axes.axhline(0, color="black", linewidth=0.8)
axes.set(xlabel="tokens read", ylabel="in the list of their place,\nbeyond one half")
axes.legend(fontsize=9)
show(
    figure,
    alt="How far the count is beyond one half, against the tokens read. For the text as it was written "
    "the line climbs to the end. With token 100 deleted it climbs as before up to there, then falls for "
    "the rest of the text, and loses most of what it had gained.",
)
print(
    f"z, the middle one of 32 texts: {z_whole:.1f}; after one deleted token: {z_cut:.1f}"
)
assert z_whole > 4 > 2 > abs(z_cut)

# %% [markdown]
# (**z** is how many standard deviations a count lies above what chance gives.) It climbs as it
# should. But from the missing token on every token is looked up in the wrong list: the second half
# undoes the first. A watermark that one pair of scissors removes is not worth much.
#
# One list for all places, then? Nothing can be shifted there. But a few tokens make up a third of
# any text: *the*, *a*, the full stop. If the coin has fallen for them, every text of every
# author looks marked; we will measure it. **The list has to change from place to place, but must
# not depend on what place it is.** What else is there? The tokens just before: the **context**.
#
# ## Green lists
#
# [Kirchenbauer et al. 2023](https://arxiv.org/abs/2301.10226) let the key and the context decide
# which tokens are **green**. We keep this small enough to look at: six tokens, and a context of
# the tokens 5 and 8. Every token gets a number between 0 and 1 from a *hash*: a
# function that stirs key, context and token until nothing can be seen of them any more, and gives
# the same number on every machine, for ever.

# %% tags=["nbval-check-output"]
ids = torch.arange(6)
for context in ((5, 8), (8, 5)):
    print(context, keyed_uniform(1, *torch.tensor(context), ids).float())
print("other key", keyed_uniform(2, torch.tensor(5), torch.tensor(8), ids).float())

# %% [markdown]
# Another context, another order, another key: other numbers. Green is what lies below γ, for
# a γ of ½ the tokens 0, 1, 4 and 5 after 5 8. An edit can now do harm only to the token that it
# touches and to those whose context it stands in.
#
# ### Exercise: `green_list`

# %% exercise="lib.watermark.green_list"
# 1. The ids of all tokens, in the shape (... v).
# 2. The words of the question: each token of the context, with an axis of 1 for the vocabulary.
# 3. Their numbers, by keyed_uniform; green is what is below gamma.
from lib.watermark import green_list

# %% tags=["nbval-check-output"]
contexts = torch.tensor([[5, 8], [8, 5]])
print(green_list(contexts, key=1, vocab_size=6, gamma=0.5).int())
many = torch.stack([torch.arange(500), torch.arange(500) + 7], dim=1)
print(
    f"green of 500 lists: {green_list(many, 1, 2048).float().mean():.4f}, wanted 0.25"
)

# %% [markdown]
# Now the model. Every green token gets a bonus δ on its logit. What that does depends on how sure
# the model was.
#
# ### Exercise: `GreenListWatermark.__call__`
#
# It is a processor as in lesson *generation*: (b t) tokens and (b v) logits to new logits. Below
# it is asked twice about the same six tokens, of which 1 and 4 are green for a γ of ¼: once in
# doubt, and once sure of token 0, which is red.

# %% given="lib.watermark.GreenListWatermark" only="__init__"
from lib.watermark import GreenListWatermark

# %% exercise="lib.watermark.GreenListWatermark.__call__"
# 1. The context of each row: its last `width` tokens.
# 2. Which tokens are green after it? As many as there are logits.
# 3. Green ones get delta; the rest, and what is -inf, stays as it is.
from lib.watermark import GreenListWatermark

# %% tags=["nbval-check-output"]
doubt = torch.tensor([2.0, 1, 1, 0, 0, -1])
sure = torch.tensor([9.0, 1, 1, 0, 0, -1])
logits, context = torch.stack([doubt, sure]), torch.tensor([[5, 8], [5, 8]])
mark = GreenListWatermark(key=1, gamma=0.25, delta=2.0)
for before, after in zip(logits.softmax(-1), mark(context, logits).softmax(-1)):
    print(before, "→", after)
print("green:", green_list(context[0], 1, 6).nonzero().flatten().tolist())

# %% [markdown]
# In doubt, the two green tokens go from a quarter of the chance to seven tenths. Sure, nothing
# happens: a bonus of 2 cannot make up for 8. **What is certain cannot be marked**, and a
# watermark that tried would spoil the text. How much there is to decide, on average, is the
# entropy of the model, and ours is not high. Keep this in mind.
#
# ## Being sure
#
# The text is written; somebody brings it back. Of its tokens, n are counted and g are green. In a
# text that was written without the key each is green with chance γ, as if coins were
# tossed. So how likely are g of n or more? The **binomial distribution** says it exactly:
#
# $$p = \sum_{k=g}^{n} \frac{n!}{k!\,(n-k)!}\, \gamma^k (1-\gamma)^{n-k}$$
#
# That is the p-value, and it is a promise: *if you accuse below a p-value of α, you accuse a
# share of α of the innocent, at most*. Whoever checks a million essays of students may not take
# 1 %. We will ask for one in a hundred thousand.
#
# There is one trap in it. "As if coins were tossed" holds as long as each toss is a *new*
# one. In a text that repeats itself, the same context and the same token come again and with them
# the same coin. So **each context is counted once**, the first time it comes.
#
# ### Exercise: `detect`
#
# The sum is done with logarithms, for the factors leave every range: `math.lgamma(n + 1)` is the
# logarithm of n!, `torch.lgamma` takes tensors (in float64: the logarithms are large). The answer
# is `Detection(n, g, p, mean, variance)`.

# %% exercise="lib.watermark.detect"
# 1. Check the settings. Walk over the places that have a whole context and are no prompt.
# 2. Count a place if its context is new (or repeats are to be counted): keep context and token.
# 3. Which of them are green? The same question to keyed_uniform, for all places at once.
# 4. The tail: the logarithm of each term, logsumexp, exp. With nothing to count, p is 1.
from lib.watermark import detect

# %%
green = write(GreenListWatermark(KEY, delta=4.0))
for name, text in (("as always", plain[0]), ("δ = 4", green[0])):
    for key in (KEY, OTHER):
        found = detect(text, key)
        print(f"{name:9} key {key % 10**6:06} …: {found.score:3} of {found.n_counted} green "
              f"({found.share:.0%}), z {found.z:5.1f}, p {found.p_value:.1g}")  # fmt: skip
assert statistics.median(detect(text, KEY).p_value for text in green) < 1e-6

# %% [markdown]
# With the right key it is found, with another one there is noise. Here is the whole text, its
# green tokens dark and its red ones pale, and below how the p-value falls as one reads on.


# %%
def growth(text: Sequence[int], key: int) -> list[float]:
    """The p-value of the first token, the first two, and so on."""
    return [detect(text[:end], key).p_value for end in range(1, len(text) + 1)]


DARK, PALE, WHITE = "#14532d", "#f6c9bd", "#ffffff"


def draw_tokens(
    axes: plt.Axes, text: Sequence[int], key: int, width: float = 88
) -> None:
    """Tokens in lines, in the colours that the key gives them."""
    x, y = 0.0, 0.0
    for token, colour in zip(text, colours(text, key)):
        shown = tokenizer.decode([token]).replace("\n", "↵")
        face = WHITE if colour is None else DARK if colour else PALE
        if x + len(shown) > width:
            x, y = 0.0, y - 1
        axes.add_patch(plt.Rectangle((x, y), len(shown), 0.86, facecolor=face))
        axes.text(x + len(shown) / 2, y + 0.4, shown.strip(), ha="center", va="center",
                  fontsize=7, family="monospace", color="white" if colour else "black")  # fmt: skip
        x += len(shown) + 0.15
    axes.set(xlim=(0, width), ylim=(y - 0.1, 1))
    axes.axis("off")


figure, (top, below) = plt.subplots(2, 1, figsize=(8, 4.6), height_ratios=(1.7, 1))
draw_tokens(top, green[0], KEY)
for key, name in ((KEY, "the right key"), (OTHER, "another key")):
    below.semilogy(growth(green[0], key), label=name)
below.axhline(1e-5, color="black", linewidth=0.8)
below.set(xlabel="tokens read", ylabel="p-value")
below.legend(fontsize=9)
show(
    figure,
    alt="Above, a story of 200 tokens as boxes in lines; more than half of them are dark, which is green, the "
    "others pale. Below, p-values against the tokens read, on a logarithmic axis: with the right key the line "
    "falls steadily, through one in a hundred thousand and far below; with another key it stays near one.",
)

# %% [markdown]
# Paste any text here, your own or one of the above, and change the key. With a text of yours the
# curve should stay near the top. (Try a hundred keys on it, and one of them will fall below 0.01:
# that is what a p-value of 0.01 means.)


# %%
def coloured(text: str, key: str) -> str:
    """The same as HTML: tokens in their colours, and a curve of −log₁₀ p."""
    ids, secret = tokenizer.encode_ordinary(text), key_of(key)
    boxes, points = "", ""
    for token, colour in zip(ids, colours(ids, secret)):
        face = WHITE if colour is None else DARK if colour else PALE
        look = f"background:{face};color:{'#fff' if colour else '#000'};padding:1px 2px;margin:1px"
        shown = (
            html.escape(tokenizer.decode([token]))
            .replace("\n", "↵")
            .replace(" ", "&nbsp;")
        )
        boxes += f'<code style="{look};display:inline-block">{shown}</code>'
    for n in range(1, len(ids) + 1, max(1, len(ids) // 100)):
        depth = -math.log10(max(detect(ids[:n], secret).p_value, 1e-30))
        points += f"{6 * 100 * n / len(ids):.0f},{min(10 + 8 * depth, 158):.0f} "
    found = detect(ids, secret)
    curve = (
        '<svg viewBox="0 0 620 160" style="width:100%;max-width:640px;background:#fff">'
        '<line x1="0" x2="600" y1="50" y2="50" stroke="#777" stroke-dasharray="4"/>'
        '<text x="500" y="46" font-size="12">p = 0.00001</text>'
        f'<polyline points="{points}" fill="none" stroke="#1b3a6b" stroke-width="2"/></svg>'
    )
    says = f"{found.score} of {found.n_counted} green, p = {found.p_value:.2g}"
    return f"<p><b>{says}</b></p><div>{boxes}</div>{curve}"


explore(
    coloured, text=tokenizer.decode(green[0]).replace("\n", " "), key="the mayor's cat"
)

# %% [markdown]
# ### Is a p-value what it says?
#
# Whoever promises a rate of false alarms should have tried. The test is simple: texts that nobody
# has marked, with keys that nobody has used. Then a p-value below 0.1 must come in a tenth of
# the cases, below 0.01 in a hundredth, and so on: p-values of the innocent are *uniform*.
# (Where counts are small, steps are coarse and there may be fewer, never more.)
#
# Ten thousand windows of 200 tokens from the reference of Python, each with a key of its own.
# **We expect** the line of `detect` on the diagonal or a little below. **What would show us
# wrong:** a line above it. With it go two ways that seem as good: to count every token, and to
# have one list for all places (`width=0`).

# %%
N_WINDOWS = how_many(10_000, short=400)
step = (len(reference) - 200) // N_WINDOWS
windows = [reference[i * step : i * step + 200] for i in range(N_WINDOWS)]
ways = {
    "each context once": [detect(w, i).p_value for i, w in enumerate(windows)],
    "every token": [detect(w, i, count_repeats=True).p_value for i, w in enumerate(windows[::4])],
    "one list for all places": [
        detect(w, i, width=0, count_repeats=True).p_value for i, w in enumerate(windows[::4])
    ],
}  # fmt: skip

# %%
million = next(run for run in study("watermark") if run["scheme"] == "calibration")

figure, axes = plt.subplots(figsize=(5.6, 3.8))
alphas = torch.logspace(-4, 0, 41)
for (name, values), mark in zip(ways.items(), ("-", "--", ":")):
    below = (torch.tensor(values)[:, None] <= alphas).float().mean(dim=0)
    kept = below > 2 / len(values)
    axes.loglog(alphas[kept], below[kept], mark, label=name)
axes.loglog(
    million["alpha"],
    million["green"],
    "o",
    color="black",
    markersize=5,
    label="a million, each once",
)
axes.loglog([1e-5, 1], [1e-5, 1], color="#999999", linewidth=1)
axes.set(xlabel="p-value that was promised, α", ylabel="share of windows with p ≤ α")
axes.legend(fontsize=9)
show(
    figure,
    alt="Share of unmarked windows with a p-value of at most alpha, against alpha, both on logarithmic axes. "
    "Counting each context once follows the diagonal or lies a little below, down to one in a hundred thousand for "
    "the million windows of the study. Counting every token lies above it, more and more for small alpha; "
    "one list for all places lies far above.",
)
for name, values in ways.items():
    rates = [sum(p <= a for p in values) / len(values) for a in (0.1, 0.01, 0.001)]
    print(
        f"{name:24}", *(f"p ≤ {a}: {r:.4f}" for a, r in zip((0.1, 0.01, 0.001), rates))
    )

# %%
once, every, single = (torch.tensor(values) for values in ways.values())
for alpha in (0.1, 0.01, 0.001):  # five standard deviations above what is promised
    allowed = alpha + 5 * (alpha / N_WINDOWS) ** 0.5
    assert (once <= alpha).float().mean() <= allowed
assert (every <= 0.001).float().mean() > 0.002
assert (single <= 0.001).float().mean() > 0.02

# %% [markdown]
# Counted once, the promise holds: the line keeps to the diagonal, or a little below it, where the
# steps of whole tokens are coarse. The dots are a million windows and keys from the study, and go
# down to one in a hundred thousand. Nobody had to choose these texts, and no model was asked: **the
# chance is in the key, not in the text.** That is what no classifier can have.
#
# Counted every time, seven windows in a hundred have a p-value that should come once in a thousand:
# the reference has tables, and rows of dots. And one list for all places is worse still: the few
# tokens that make up most of a text have the same colour everywhere. (So have lists that take turns.)

# %%
loops = [window[:20] * 10 for window in windows[::20]]
alarms = {
    name: sum(detect(x, i, count_repeats=r).p_value < 1e-3 for i, x in enumerate(loops)) / len(loops)
    for name, r in (("each context once", False), ("every token", True))
}  # fmt: skip
for name, share in alarms.items():
    print(f"{name:18} {share:6.1%} false alarms at p < 0.001")
assert alarms["each context once"] < 0.015 and alarms["every token"] > 0.08

# %% [markdown]
# People do write such texts. One coincidence, counted ten times, is a conviction.
#
# ## The experiment: how strong, and at what price?
#
# The usual setting is γ = ¼, δ = 2, and large models are reported to be caught with it almost
# always. Our question, of 200 tokens each: which share of `mini`'s texts has a p-value of at most
# one in a hundred thousand?
#
# **A prediction first.** With δ = 2: `"nearly all"`, `"about half"` or `"few"`?

# %%
prediction = "few"  ### PREDICTION

# %%
ALPHA = 1e-5


def found_by(detector: Callable[..., Detection], texts: Sequence[list[int]]) -> float:
    """The share with a p-value that is small enough."""
    return statistics.fmean(detector(text, KEY).p_value <= ALPHA for text in texts)


usual = write(GreenListWatermark(KEY, gamma=0.25, delta=2.0))
shares = {"none": found_by(detect, plain), "δ = 2": found_by(detect, usual), "δ = 4": found_by(detect, green)}  # fmt: skip
for name, share in shares.items():
    print(f"{name:6} found: {share:.0%}")
settle(prediction, "few", options=["nearly all", "about half", "few"])
assert shares["none"] == 0 and shares["δ = 2"] < 0.4 < 0.75 < shares["δ = 4"]

# %% [markdown]
# Why so few? Look at what the dice had to decide. The entropy of `mini` at each token of its own
# texts, and what a bonus of 2 does to the chance of green there:

# %%
with torch.no_grad():
    ids = torch.tensor([[*PROMPTS[i], *plain[i]][:200] for i in range(len(plain))[:64]])
    log_p = mini(ids).log_softmax(dim=-1)[:, 9:]  # after the beginning
p = log_p.exp()
entropy = -(p * log_p).sum(dim=-1).flatten()
lists = green_list(
    ids.unfold(1, 2, 1)[:, 8:], KEY, p.size(-1)
)  # by the last two tokens
g = (p * lists).sum(dim=-1).flatten()  # chance of green without the bonus
gain = math.e**2 * g / (1 + (math.e**2 - 1) * g) - g
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 2.9))
left.hist(entropy, bins=40, weights=torch.full_like(entropy, 1 / len(entropy)))
left.set(xlabel="entropy (nats)", ylabel="share of tokens")
edges = torch.tensor([0, 0.1, 0.3, 0.6, 1, 1.5, 2, 3, 5])
middle = [
    gain[(entropy >= a) & (entropy < b)].mean() for a, b in itertools.pairwise(edges)
]
right.plot((edges[1:] + edges[:-1]) / 2, middle, "o-")
right.set(xlabel="entropy (nats)", ylabel="gain in chance of green")
show(
    figure,
    alt="Left: a histogram of the entropy of mini's next token; most tokens stand at almost zero, with a long "
    "thin tail up to four nats. Right: what a bonus of 2 adds to the chance of a green token, against the "
    "entropy: nothing at zero, more and more as it grows, a third and more above two nats.",
)
print(
    f"entropy on average {entropy.mean():.2f} nats; below 0.1: {(entropy < 0.1).float().mean():.0%}"
)
print(f"green: {0.25 + gain.mean():.2f} of the tokens, on average")

# %% [markdown]
# Half of all tokens are as good as certain: the rest of a name, the full stop, the *the* after *to*.
# They are what they are, green or red, whatever the bonus. Only where several words would do does
# the key have a say, and that makes 37 green tokens of a hundred out of 25. The papers measure
# large models on news and essays, where a token has one or two nats of entropy; `mini`'s little
# town has two thirds of a nat. **How well a watermark is found is a matter of entropy first, and of
# δ second.** Whoever asks for the capital of France gets an answer that no watermark can live in.
#
# So pull harder. But what does that do to the story? We have an **exact judge**: the town
# can say of every sentence whether it can be true after all that was told before. The study
# `watermark` asked it about seventeen settings, 200 texts each, three seeds for those that matter.
# (`lib/course/watermark_study.py` makes it.)

# %%
runs = [run for run in study("watermark") if run["scheme"] != "calibration" and "n_tokens" not in run]  # fmt: skip
settings: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
for run in runs:
    kind = (run["temperature"], run["scheme"], run.get("gamma", 0), run.get("delta", 0))
    settings.setdefault(kind, []).append(run)


def mean(kind: tuple[Any, ...], what: str) -> float:
    """Over the seeds."""
    return statistics.fmean(run[what] for run in settings[kind])


print("T    watermark        found   perplexity  sentences right  stories right  seeds")
for kind in sorted(settings, key=lambda kind: (-kind[0], kind[1] != "none", kind[1:])):
    name = f"green γ {kind[2]:.2f} δ {kind[3]:.0f}" if kind[1] == "green" else kind[1]
    print(f"{kind[0]}  {name:16} {mean(kind, 'found'):6.1%}  {math.exp(mean(kind, 'surprise')):8.2f}"
          f"  {mean(kind, 'sentences'):13.0%}  {mean(kind, 'consistent'):13.0%}  {len(settings[kind]):6}")  # fmt: skip

# %%
figure, axes = plt.subplots(figsize=(6.2, 3.8))
for gamma, mark in ((0.1, "s--"), (0.25, "o-"), (0.5, "^:")):
    kinds = [
        (1.0, "none", 0, 0),
        *(k for k in settings if k[:3] == (1.0, "green", gamma)),
    ]
    x, y = ([mean(k, what) for k in kinds] for what in ("consistent", "found"))
    axes.plot(x, y, mark, label=f"green lists, γ = {gamma}")
    if gamma == 0.25:
        for k, a, b in zip(kinds[1:], x[1:], y[1:]):
            axes.annotate(f"δ {k[3]:.0f}", (a, b), xytext=(5, 4), textcoords="offset points", fontsize=8)  # fmt: skip
for scheme, mark in (("gumbel", "*"), ("tournament", "P")):
    kind = (1.0, scheme, 0, 0)
    axes.plot(mean(kind, "consistent"), mean(kind, "found"), mark, color="black", markersize=11,
              label=f"{scheme}: soon")  # fmt: skip
axes.axhline(0.99, color="black", linewidth=0.8)
axes.set(xlabel="stories without a slip", ylabel="found, at 200 tokens and p ≤ 0.00001")
axes.legend(fontsize=9)
show(
    figure,
    alt="Share of texts found against the share of stories without a slip, one line for each gamma, from no "
    "watermark at the lower right to a strong one at the upper left. The lines fall from left to right: where "
    "nearly all are found hardly a story is without a slip, and where stories are as good as unmarked ones few "
    "are found. Two marks stand apart at the upper right, Gumbel's and the tournament's.",
)
unmarked, strong = (1.0, "none", 0, 0), (1.0, "green", 0.25, 5.0)
assert mean(strong, "found") > 0.97 and mean(strong, "consistent") < 0.1 < 0.35 < mean(unmarked, "consistent")  # fmt: skip

# %% [markdown]
# To be found in 99 of 100 texts of 200 tokens, a green list needs a δ of 5. What that costs is
# everything: the perplexity, as `mini` without the mark sees it, goes from 2.0 to 3.6, and of the 46
# stories in a hundred that were without a slip two or three are left. δ = 4 spoils nearly as much, and misses one
# text in ten. Neither fewer green tokens nor more help. This is a **negative result**: at this
# entropy, there is no more to be had *by making words likelier that are not likely*.
#
# (Two things more stand in the table. A lower temperature makes better stories that are harder to
# find: less is left to decide. And there are two watermarks that cost nothing at all.)
#
# ## The same dice, loaded by nobody
#
# A green list bends the distribution. Must it? The model draws a token by throwing dice, and
# *what* the dice show does not matter, as long as each token comes with its probability. So let
# the **key throw them**: every token has its number u already, as good as random. Scott Aaronson
# proposed in 2022 to take the token with the largest
#
# $$u_i^{1/p_i}$$
#
# Why this? Take the logarithm twice: it is the token with the largest
# $\log p_i - \log(-\log u_i)$, and $-\log(-\log u)$ of a uniform u is noise of the kind that is named
# after Gumbel. Adding it to the logits and taking the maximum draws *exactly* from the softmax:
# an old trick. Our six tokens, after 5 8:

# %% tags=["nbval-check-output"]
u, chance = (
    keyed_uniform(1, torch.tensor(5), torch.tensor(8), torch.arange(6)),
    doubt.softmax(-1),
)
print("p        ", chance)
print("u        ", u.float())
print("u^(1/p)  ", (u ** (1 / chance)).float())

# %% [markdown]
# Token 2 is drawn: not the likeliest, but it had a large u. That is the trace. With another
# context the numbers are others, and over all contexts each token has exactly its chance.
#
# ### Exercise: `gumbel_sample`
#
# Use the form with logarithms: it needs neither a power nor a softmax. Stay in float64, as
# `keyed_uniform` gives it: in float32 a u next to 1 becomes 1, and its noise infinite.

# %% exercise="lib.watermark.gumbel_sample"
# 1. A temperature below 0 is an error; at 0, the likeliest token.
# 2. u of every token, after each row's context: (b v).
# 3. The largest of logits / T plus Gumbel's noise, −log(−log u).
from lib.watermark import gumbel_sample

# %%
print(
    "drawn after 5 8:", gumbel_sample(doubt[None], torch.tensor([[5, 8]]), key=1).item()
)
contexts = torch.stack([torch.arange(20_000), torch.arange(20_000) % 97], dim=1)
drawn = gumbel_sample(doubt.expand(20_000, -1), contexts, key=1)
frequency = drawn.bincount(minlength=6) / 20_000
print("after 20,000 contexts:", frequency)
print("wanted:               ", chance)
assert (frequency - chance).abs().max() < 0.02

# %% [markdown]
# And how is it found? In an unmarked text the u of its tokens are uniform. In a marked one they
# are large. So each counted token scores −ln(1 − u): on average 1 by chance, more if it has
# been chosen for its u. The sum of n such scores has a known distribution as well, the **Gamma
# distribution**; `gamma_tail` gives its tail, `counted_words` the contexts and tokens that count.
#
# ### Exercise: `gumbel_score`

# %% exercise="lib.watermark.gumbel_score"
# 1. Check the settings; contexts and tokens that count.
# 2. Their u; their scores, −ln(1 − u), summed: log1p is exact where u is small.
# 3. A Detection: how many, the sum, gamma_tail(sum, n), and 1 for mean and variance.
from lib.watermark import gumbel_score

# %%
from lib.corpora.town import score_stories

long_ones = write(GumbelWatermark(KEY), n_tokens=256)
gumbel = [text[:200] for text in long_ones]
print(f"found, at 200 tokens: {found_by(gumbel_score, gumbel):.1%}")
judged = {
    name: score_stories(first_story(b, t) for b, t in zip(BEGINS, texts))
    for name, texts in (
        ("none", plain),
        ("δ = 2", usual),
        ("δ = 4", green),
        ("Gumbel", gumbel),
    )
}
for name, verdict in judged.items():
    print(f"{name:7} sentences right {verdict['sentences']:.0%}, stories without a slip {verdict['consistent']:.0%}")  # fmt: skip
assert found_by(gumbel_score, gumbel) > 0.9
right = {name: verdict["sentences"] for name, verdict in judged.items()}
assert right["δ = 4"] < right["none"] - 0.08 < right["Gumbel"]

# %% [markdown]
# Nearly all are found, more than with a bonus of 4, and in its sentences the judge sees no
# difference. The study agrees: 97.7 % found, a perplexity of 1.98 with the mark and without. **It
# costs the text nothing.** What does it cost, then?
#
# - The dice are loaded once and for all. The same key gives the same text after the same beginning;
#   ask twice, and you get one answer. What is exact is the average over *all* keys. Under one, a
#   hundred texts lean the same way wherever they share a context: stories without a slip are 30 to 46
#   of 100 from seed to seed in the study, 43 to 51 without a mark.
# - A text that comes back to a context would go round in circles. Our processor leaves such a place
#   to chance, and the detector does not count it.
# - At temperature 0 the likeliest token leaves the key no choice, and there is nothing to find.
#
# ### A tournament
#
# Google marks what Gemini writes in a third way
# ([Dathathri et al. 2024](https://www.nature.com/articles/s41586-024-08025-4), *SynthID-Text*).
# Tokens drawn from the model meet in pairs; each has a bit from the hash, the one with the larger
# bit goes on, a draw is decided by a coin; and so on for thirty rounds, with other bits in each.
# What comes out need not be played. In each round p becomes p · (1 + g − Σ p g):

# %%
p = doubt.softmax(-1)
for layer in range(3):
    g = keyed_hash(1, torch.tensor(5), torch.tensor(8), torch.arange(6)) >> layer & 1
    p = p * (1 + g - (p * g).sum())
    print("bits", g.tolist(), "→", p)
played = write(TournamentWatermark(KEY))
print(f"found, at 200 tokens: {found_by(detect_tournament, played):.0%}")

# %% [markdown]
# It keeps the distribution as well, and chance has the last word, so that one prompt has many
# answers. It is found less often than Gumbel's, for what chance has decided leaves no trace.
# (Google's detector weighs the layers; the mean of all bits, which is ours, is the simplest.)
#
# ### How long must a text be?

# %%
lengths = range(25, 251, 25)
figure, axes = plt.subplots(figsize=(6, 3.4))
curves = {
    "Gumbel": (gumbel_score, long_ones),
    "green list, δ = 4": (detect, green),
    "tournament": (detect_tournament, played),
    "green list, δ = 2": (detect, usual),
}  # fmt: skip
for (name, (detector, texts)), mark in zip(curves.items(), ("o-", "s--", "^-.", "d:")):
    upto = [n for n in lengths if n <= len(texts[0])]
    axes.plot(upto, [found_by(detector, [text[:n] for text in texts[:96]]) for n in upto], mark, label=name)  # fmt: skip
axes.axhline(0.99, color="black", linewidth=0.8)
axes.set(xlabel="tokens", ylabel="found, p ≤ 0.00001")
axes.legend(fontsize=9)
show(
    figure,
    alt="Share of texts found against their length, for four watermarks. Gumbel's rises earliest and comes to "
    "ninety-nine in a hundred at about 250 tokens; a green list with a bonus of 4 follows it closely, the tournament "
    "is behind, and a green list with a bonus of 2 far below.",
)
at_250 = found_by(gumbel_score, [text[:250] for text in long_ones])
print(f"Gumbel, 250 tokens: {at_250:.1%}")
assert at_250 > 0.95

# %% [markdown]
# Here is the answer to our question. **At one false alarm in a hundred thousand, 99 of 100 texts are
# found if they have 250 tokens, and Gumbel has marked them** (99.5 % over three seeds), at temperature
# 1. At 200 tokens it is 98; at temperature 0.7, where stories are better, 79. What is lacking is not a
# better key but more decisions: at 0.68 nats a token, 200 tokens hold as many as a hundred of a more
# talkative model. (Keys differ here too: by token 50 they have found from one text in ten to four.)
#
# **Look at the failures.** Which of Gumbel's texts were missed at 200 tokens?

# %%
strength = torch.tensor(
    [-math.log10(gumbel_score(text, KEY).p_value) for text in gumbel]
)
weakest = strength.argsort()[:2].tolist()
for i in weakest:
    found = gumbel_score(gumbel[i], KEY)
    print(f"── p = {found.p_value:.1g}, {found.n_counted} of 200 counted")
    print(textwrap.fill(tokenizer.decode(gumbel[i])[-420:], 88))

# %% [markdown]
# Both tell what the town has told a hundred times, the quick and the slow one, the scooter that is shared, the
# moral behind it. Whoever writes what *must* be written cannot be recognised by it: these are long
# stretches where the dice were not asked.
#
# ## Whoever wants to be rid of it
#
# What do edits do? Each touches one token, and the two in whose contexts it stands: three of n, and
# no more, wherever it is.
#
# ### Exercise: `attack_edit`

# %% exercise="lib.watermark.attack_edit"
# 1. Check by check_edit. How many? round(share · t). Where? Different places, by randperm.
# 2. From the last place to the first, so that the others stay where they are:
# 3. delete; or replace by any other token (draw from v − 1, step over the old one); or insert before.
from lib.watermark import attack_edit

# %%
shares = (0, 0.05, 0.1, 0.2, 0.3, 0.4)
attacked = {"Gumbel": (gumbel_score, gumbel), "green list, δ = 4": (detect, green)}
figure, both = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
survived: dict[tuple[str, str, float], float] = {}
for axes, (name, (detector, texts)) in zip(both, attacked.items()):
    for kind, mark in (("replace", "o-"), ("delete", "s--"), ("insert", "^:")):
        for share in shares:
            chance = torch.Generator().manual_seed(1)
            edited = [attack_edit(t, share, kind, mini.config.vocab_size, chance) for t in texts[:96]]  # fmt: skip
            survived[name, kind, share] = found_by(detector, edited)
        axes.plot(shares, [survived[name, kind, s] for s in shares], mark, label=kind)
    axes.set(xlabel="share of tokens edited", title=name)
both[0].set(ylabel="found, p ≤ 0.00001")
both[0].legend(fontsize=9)
show(
    figure,
    alt="Share of texts found against the share of tokens that were edited, left for Gumbel's watermark, right "
    "for a green list with a bonus of 4; three lines each for replacing, deleting and inserting. All fall: at a "
    "tenth of the tokens a good part is still found, at four tenths none.",
)
reworded = {
    name: found_by(detector, [again([], text) for text in texts[:96]])
    for name, (detector, texts) in attacked.items()
}
for name, share in reworded.items():
    print(f"{name:18} paraphrased as at the beginning: {share:.0%} found")
assert all(survived[name, "replace", 0.4] < 0.1 for name in attacked)
assert all(survived[name, "delete", 0.05] > 0.4 for name in attacked)

# %% [markdown]
# A deleted token, which was the end of lists that take turns, costs next to nothing here: what an edit
# breaks is three tokens, wherever it stands. It takes *many* edits. With one token in ten a good half is
# still found, with three in ten next to none. Replacing costs most: the text stays as long, with more noise
# in it. Longer contexts would be more fragile; shorter ones repeat more often, and show more
# of the lists to somebody who collects texts. And the paraphrase that blinded the classifier leaves two
# texts of three.
#
# Do not take this for safety. A model without a watermark can write any text anew, and [theory
# says](https://arxiv.org/abs/2311.04378) that no watermark stands up to somebody determined. What it tells you
# is that a text *was* written with your key; never that it was not.
#
# ## With a drafter at its side
#
# In lesson *speculative_decoding* somebody quick guesses, and `mini` only checks: the text is
# distributed exactly as if it had written alone. Is it still marked? And is it still quick? The
# `Rule` in there answers the first question. Temperature and processors, and so the watermark,
# are applied to *both* sides, and the text is drawn from what the **target** would draw from, mark
# included. So the guarantee of that lesson says at once that the guarantee of this one holds. **We
# expect** the same z with and without a drafter. **What would show us wrong:** less of it.
#
# How quick it stays is another matter. For a drafter we take the first layers of `mini`
# itself, and ask three times: nobody marks, both mark, and only the target marks (a drafter that
# does not know the key):

# %%
from lib.speculative import ModelDrafter, Rule, Tally, first_layers, speculate


class Unmarked(ModelDrafter):
    """Guesses by the same rule, but without processors."""

    def start(self, rule: Rule, model: Any, n_tokens: int) -> None:
        super().start(Rule(rule.temperature, (), rule.generator), model, n_tokens)


def with_drafter(mark: Processor | None, kind: type[ModelDrafter] = ModelDrafter) -> tuple[list[list[int]], float]:  # fmt: skip
    """Sixteen texts, and the share of guesses that were accepted."""
    tally = Tally()
    texts = speculate(
        mini, kind(first_layers(mini, N_LAYERS)), PROMPTS[:how_many(16, short=2)], 100, processors=[mark] if mark else [],
        generator=torch.Generator().manual_seed(0), tally=tally,
    )  # fmt: skip
    return texts, tally.acceptance


N_LAYERS = 4
marks = {
    "green list, δ = 4": (GreenListWatermark(KEY, delta=4.0), detect, green),
    "Gumbel": (GumbelWatermark(KEY), gumbel_score, gumbel),
    "tournament": (TournamentWatermark(KEY), detect_tournament, played),
}  # fmt: skip
accepted = {"nobody": with_drafter(None)[1]}
print(f"nobody marks: {accepted['nobody']:.0%} of the guesses accepted")
for name, (mark, detector, alone) in marks.items():
    z_alone = statistics.fmean(detector(text[:100], KEY).z for text in alone[:96])
    for who, kind in (("both mark", ModelDrafter), ("the target alone", Unmarked)):
        texts, accepted[name, who] = with_drafter(mark, kind)
        z = statistics.fmean(detector(text, KEY).z for text in texts)
        print(f"{name:18} {who:17} accepted {accepted[name, who]:.0%}, z {z:.1f}; written alone {z_alone:.1f}")  # fmt: skip
        assert abs(z - z_alone) < 1.6

# %% [markdown]
# The z are those of texts that were written alone, within what sixteen texts can say, whoever marks:
# **the guarantee of the mark is kept**, as `accept_or_resample` promises, whatever the drafter does.
# What differs is how many guesses are accepted. With Gumbel on both sides it is about as many as without
# a mark, for both throw *the same dice*. Where the drafter does not know the key, a quarter of those are
# lost, and time with them. A green list loses some either way: it raises unlikely tokens, where
# the two models differ most.
#
# Must marking cost speed? [Hu and Huang 2024](https://arxiv.org/abs/2410.20418) prove that one cannot
# in general have all of both, the full strength of the mark and every guess that would be accepted
# without it. Our rule keeps the strength, and pays in guesses.
#
# ## What can go wrong
#
# **Settings that do not match.** Somebody's watermark from Hugging Face's server for text generation
# [could not be detected](https://github.com/huggingface/text-generation-inference/issues/2474). An
# answer points to the settings: the server marks with γ = ½, the detector from the paper looks for
# γ = ¼. Nothing crashes; what does not fit is noise:

# %%
for name, settings_ in (("as written", {}), ("γ = ½", {"gamma": 0.5}), ("width 1", {"width": 1}), ("width 4", {"width": 4})):  # fmt: skip
    found = [detect(text, KEY, **settings_).p_value for text in green]
    print(f"{name:11} p in the middle {statistics.median(found):.1g}")

# %% [markdown]
# (γ = ½ still finds something: the lists for ¼ are part of those for ½.)
#
# **A vocabulary of two sizes.** The model OPT has 50,265 tokens in its tokenizer and 50,272
# logits, rounded up for speed. The authors' own code drew its lists [with the one and applied
# them to the other](https://github.com/jwkirchenbauer/lm-watermarking/issues/23), and
# [others](https://github.com/THU-BPM/Robust_Watermark/issues/9) stumbled over the same. Where a list
# is the first quarter of a shuffled vocabulary, seven tokens more make an entirely different
# list. Here is what that costs, next to a hash that asks each token by itself:


# %%
def shuffled(size: int) -> Tensor:
    """Green, the usual way: the first quarter of a vocabulary that a seed has shuffled."""
    order = torch.randperm(size, generator=torch.Generator().manual_seed(KEY % 2**31))
    return torch.zeros(size, dtype=torch.bool).index_fill(0, order[: size // 4], True)[
        :2048
    ]


same = (shuffled(2048) & shuffled(2055)).sum() / shuffled(2048).sum()
ours = green_list(context[0], KEY, 2055)[:2048].equal(green_list(context[0], KEY, 2048))
print(
    f"shuffled: {same:.0%} of the green tokens are green in both; hashed: all alike is {ours}"
)
assert same < 0.4 and ours

# %% [markdown]
# **A processor that nobody calls.** With speculative decoding, SGLang, which serves large models,
# [passed by](https://github.com/sgl-project/sglang/issues/26330) the processors of its users when
# it checked guesses; vLLM
# [ignored some](https://github.com/vllm-project/vllm/pull/38467) and now
# [refuses](https://github.com/vllm-project/vllm/pull/19482) those that it does not know. The text is fine,
# quick, and unmarked. In our house it would be this: the drafter marks, the target does not know
# of it. What the drafter has marked is unmarked by the very rule that makes guesses harmless:


# %%
class Marked(ModelDrafter):
    """Marks its guesses; the target does not."""

    def start(self, rule: Rule, model: Any, n_tokens: int) -> None:
        rule = Rule(
            rule.temperature, (GreenListWatermark(KEY, delta=4.0),), rule.generator
        )
        super().start(rule, model, n_tokens)


texts, share = with_drafter(None, Marked)
z = statistics.fmean(detect(text, KEY).z for text in texts)
print(f"the drafter alone: accepted {share:.0%}, z {z:.1f}")
assert abs(z) < 1.5

# %% [markdown]
# ## In the wild
#
# `transformers` has the green list of the paper. `mini`, exported in the form of Qwen3, is marked
# and judged by their code. And then their detector gets what ours got: unmarked text that repeats
# itself.

# %%
try:
    from transformers import AutoModelForCausalLM, WatermarkDetector, WatermarkingConfig
    from transformers.utils import logging
except ImportError:
    print("This comparison needs transformers: pip install transformers")
else:
    from lib import hub

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        hub.save(mini, folder, tokenizer=tokenizer, eos_token_id=END)
        theirs = AutoModelForCausalLM.from_pretrained(folder)
    theirs.config.bos_token_id = END  # their detector wants one
    config = WatermarkingConfig(greenlist_ratio=0.25, bias=4.0, context_width=1)
    same_length = [p for p in PROMPTS if len(p) == 8][:16]
    torch.manual_seed(0)
    written = theirs.generate(
        torch.tensor(same_length), attention_mask=torch.ones(len(same_length), 8, dtype=torch.long),
        do_sample=True, top_k=0, max_new_tokens=120, min_new_tokens=120, watermarking_config=config,
        pad_token_id=0,
    )  # fmt: skip
    repeats = torch.tensor(loops[:200])
    for ignore in (False, True):
        judge = WatermarkDetector(
            theirs.config, "cpu", config, ignore_repeated_ngrams=ignore
        )
        z, z_loops = judge(written[:, 8:], return_dict=True).z_score, judge(repeats, return_dict=True).z_score  # fmt: skip
        print(f"ignore_repeated_ngrams={ignore!s:5}: z of marked texts {statistics.fmean(z):.1f}, "
              f"loops with z > 4: {(torch.tensor(z_loops) > 4).float().mean():.1%}")  # fmt: skip

# %% [markdown]
# Their marked texts are found by their detector. But as it comes, it counts repeats, and one in ten loops
# that nobody has marked has a z above 4, for which a normal distribution promises three in a hundred
# thousand. The switch is there; one has to know that one needs it. (Their detector also wants the model to
# have a first token; without one it stops with an error.)
#
# Gumbel's watermark has arrived as well, under its inventor's name or under none: in
# [vLLM](https://docs.vllm.ai/en/v0.32.0/features/watermarking/), in
# [SGLang](https://docs.sglang.io/docs/advanced_features/text_watermarking) and in
# [TensorRT-LLM](https://nvidia.github.io/TensorRT-LLM/features/watermarking.html), three of the programs that
# large models are served with. Read their pages: a key, a context of four tokens, repeated contexts left to chance,
# −ln(1 − u) and the tail of a Gamma distribution. You know each part.
#
# ## The house stands
#
# This was the last floor. One thing is left to do, and everything you have built takes part in it:
# the tokenizer cuts, the transformer reads through its caches, fine-tuning has taught it whose
# turn it is, the sampler draws, and the key throws the dice. Say something to it, and see whether
# you can prove that it was yours.

# %%
from lib.chat import Chat, reply
from lib.corpora.town import telling
from lib.course.talk import talk

assistant, mark = load(start_from("assistant")), GumbelWatermark(KEY)
chat = Chat(assistant, tokenizer, temperature=1.0, processors=[mark])
for text in ("Who are you?", "Begin a story about a gentle sparrow called Cora."):
    print(f"  {text}\n→ {textwrap.fill(chat.ask(text), 86)}")

asked = [telling(i, "held_out")[:1] for i in range(24)]
answers = reply(assistant, tokenizer, asked, 64, temperature=1.0, processors=[mark])
said = [tokenizer.encode_ordinary(answer["content"] + "\n") for answer in answers]
alone = [gumbel_score(ids, KEY).p_value for ids in said]
everything = [token for ids in said for token in ids]
print(f"24 answers, {statistics.mean(map(len, said)):.0f} tokens each: p in the middle "
      f"{statistics.median(alone):.2g}; all together {gumbel_score(everything, KEY).p_value:.1g}, "
      f"with another key {gumbel_score(everything, OTHER).p_value:.2g}")  # fmt: skip
assert gumbel_score(everything, KEY).p_value < ALPHA < 0.001 < gumbel_score(everything, OTHER).p_value  # fmt: skip

# %%
talk(chat)

# %% [markdown]
# One answer of thirty tokens proves little: there was hardly anything to decide. But evidence adds up. All that
# somebody has said can be judged together, as one text, and then there is no doubt.
#
# ## What you built

# %%
progress("watermarking")

# %% [markdown]
# The map is complete. Fifteen lessons ago it was dark; from the bytes of the first to the dice of the last,
# what answers you up there is code that you can read, and most of what matters in it you have
# written. On a command line, `python -m lib.watermark detect FILE --key "the mayor's cat"` says of
# any file whether it was you (with `--scheme gumbel`, if Gumbel has marked it).
#
# **A question to take along.** All of this needs the key to detect, so only its owner can. Could
# there be a watermark that *everybody* can check and nobody can forge? Think of what whoever can
# check may do with a million tries. Then look at
# [Fairoze et al. 2023](https://arxiv.org/abs/2310.18491) for what cryptography has to say.
#
# **Papers**
# - Kirchenbauer et al. 2023, [A Watermark for Large Language Models](https://arxiv.org/abs/2301.10226): green lists; and [On the Reliability of Watermarks for Large Language Models](https://arxiv.org/abs/2306.04634), with contexts, repeats, and people who try to be rid of them.
# - Aaronson 2022, [My AI Safety Lecture](https://scottaaronson.blog/?p=6823): where u^(1/p) was first told.
# - Fernandez et al. 2023, [Three Bricks to Consolidate Watermarks for Large Language Models](https://arxiv.org/abs/2308.00113): p-values that keep their promise.
# - Dathathri et al. 2024, [Scalable watermarking for identifying large language model outputs](https://www.nature.com/articles/s41586-024-08025-4): the tournament, in use.
# - Hu and Huang 2024, [Inevitable Trade-off between Watermark Strength and Speculative Sampling Efficiency for Language Models](https://arxiv.org/abs/2410.20418).
# - Zhang et al. 2023, [Watermarks in the Sand](https://arxiv.org/abs/2311.04378): why none is safe from whoever is determined.
# - Mitchell et al. 2023, [DetectGPT](https://arxiv.org/abs/2301.11305): the best of what can be done without a secret.
