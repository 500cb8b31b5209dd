# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # The transformer
#
# **What else does it take?**
#
# Attention lets a token look back. That is one part of a language model, and it is not
# enough: a stack of attention layers alone averages what is there, cannot think about
# it, does not know in which order its words stand, and, once it is deep, does not learn
# at all. In this lesson you build the other parts. There are four, none longer than a
# few lines:
#
# - an **MLP**, in which each token thinks on its own;
# - a **residual stream**, to which every layer adds;
# - a **norm**, which keeps the stream readable;
# - **rotary positions**, which tell how far apart two tokens stand.
#
# Put together they are GPT-2, Llama, Qwen, SmolLM and Gemma. That is meant literally:
# at the end, published files load into *your* model and give the same numbers.
#
# You will write eight functions. They become `lib.transformer`. Plan three hours; the
# cells themselves run in about a minute.

# %%
import math
from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from lib import corpora
from lib.attention import MultiHeadAttention, causal_mask
from lib.course import exercise, given, hint, progress, settle, show, solution
from lib.course.figures import use_style
from lib.course.widgets import explore
from lib.ngram import cross_entropy
from lib.tokenizer import Tokenizer
from lib.transformer import Config, LayerCache, PlainMLP, Rotate

use_style()
torch.set_num_threads(1)  # these models are too small for two cores
torch.set_printoptions(precision=3, sci_mode=False)
_ = torch.manual_seed(0)

# %% [markdown]
# ## One class, six models
#
# Here is the finished thing at work. A `Config` describes the shape of a model: how
# many layers, how wide, which kind of norm. These are six published ones. From the
# description alone we count how many numbers the model learns, and compare with what
# its publisher's files hold:

# %% tags=["nbval-check-output"]
from lib.transformer import count_parameters as finished

llama = {"qk_norm": False}
gpt2 = {"norm": "layer", "qk_norm": False, "gated": False, "activation": "gelu_tanh",
        "bias": True, "position": "learned"}  # fmt: skip
gemma = {"norm": "rms_plus_one", "qk_norm": False, "activation": "gelu_tanh",
         "scale_embedding": True}  # fmt: skip
#        vocabulary, d_model, layers, heads, key-value heads, head size, MLP's width
published = {
    "GPT-2": (Config(50_257, 768, 12, 12, 12, 64, 3072, 1024, **gpt2), 124_439_808),
    "MobileLLM-125M": (Config(32_000, 576, 30, 9, 3, 64, 1536, **llama), 124_635_456),
    "SmolLM2-135M": (Config(49_152, 576, 30, 9, 3, 64, 1536, **llama), 134_515_008),
    "Qwen3-0.6B": (Config(151_936, 1024, 28, 16, 8, 128, 3072), 596_049_920),
    "Gemma 2B": (Config(256_000, 2048, 18, 8, 1, 256, 16_384, **gemma), 2_506_172_416),
    "Llama 3 8B": (
        Config(128_256, 4096, 32, 32, 8, 128, 14_336, **llama, tied=False),
        8_030_261_248,
    ),
}
for name, (config, count) in published.items():
    print(f"{name:15} {finished(config):13,} {finished(config) == count}")

# %% [markdown]
# To the last number. By the end of the lesson you will have written this count, and,
# what is more, the model that is counted.

# %% [markdown]
# ## Tokens become vectors
#
# A tokenizer turns text into whole numbers. Token 17 is not *more* than token 16, so
# the numbers themselves are useless to calculate with. Each token gets a **vector**
# instead, a row of a table that is learnt: the **embedding**. Take a language of four
# tokens, with vectors of four numbers:

# %%
words = ["dog", "bites", "man", "."]
table = torch.tensor(
    [[1.0, -1, 3, 5], [0, 4, 4, -2], [1, 5, -1, 3], [0.2, 0, 0.4, -0.4]]
)

table[torch.tensor([2, 1, 0])]  # man bites dog

# %% [markdown]
# Looking up row 2 is the same as multiplying the table by a vector of zeros with a
# single 1 in place 2. So an embedding *is* a matrix, learnt as any other, only that
# nobody carries out the product. Why not use the zeros and the 1 themselves? Because in
# them all words are equally far apart. In the table, words that are used alike can come
# to stand close together; and four numbers, or four thousand, hold a language of a
# hundred thousand words.

# %% [markdown]
# ## Thinking alone
#
# Attention gives each token a weighted *average* of values. However you mix *dog* and
# *bites*, you stay between them. To get from what was gathered to something new, such
# as “the victim is the one behind the verb”, each token needs a calculation of its own:
# a **multi-layer perceptron**, or MLP. It makes the vector wider by a matrix, bends it
# by a curve, and brings it back by another matrix. The bend is what matters: two
# matrices without one are just one matrix. These are the curves in use:

# %% given="lib.transformer.activate"
from lib.transformer import activate

# %%
x = torch.linspace(-4, 3, 200)
figure, axes = plt.subplots(figsize=(5.6, 3))
for kind, label in [
    ("relu_squared", "square ReLU"),
    ("gelu_tanh", "GELU"),
    ("silu", "SiLU"),
]:
    axes.plot(x, activate(x, kind), label=label)
axes.set(xlabel="x", ylabel="activation of x", ylim=(-0.5, 3.2))
axes.legend()
show(
    figure,
    alt="Three curves that are near zero for negative x and rise for positive x. Square ReLU is "
    "exactly zero on the left; GELU and SiLU dip a little below zero before they rise.",
)
apart = (activate(x, "gelu") - activate(x, "gelu_tanh")).abs().max().item()
print(f"GELU and its tanh approximation differ by at most {apart:.4f}")
assert 1e-4 < apart < 1e-3

# %% [markdown]
# GPT-2's MLP is one bend between two matrices. Newer models have a third matrix. One
# makes ideas (**up**), another decides how much of each idea passes (**gate**), and
# only the gate is bent. Then the two are multiplied, number by number, and **down**
# brings the result back:
#
# $$\text{MLP}(x) = W_\text{down}\,\big(\text{SiLU}(W_\text{gate}\,x) \odot W_\text{up}\,x\big)$$
#
# What is gained? A sum of bent numbers can only approximate a product of two inputs. A
# gate can make one exactly, with a hidden width of two. SiLU is $a\,\sigma(a)$, and the
# two sigmoids $\sigma(a)$ and $\sigma(-a)$ sum to 1, so for any $a$ and $b$ we have
# $\text{SiLU}(a)\,b + \text{SiLU}(-a)\,(-b) = ab$. Try it:

# %%
a, b = torch.tensor([3.0, -2.0, 0.5]), torch.tensor([4.0, 5.0, -6.0])
gate = activate(torch.stack([a, -a]), "silu")  # what passes
up = torch.stack([b, -b])  # the ideas
(gate * up).sum(dim=0), a * b

# %% [markdown]
# *If this is a verb* times *the one before is a name* is such a product. (This explains
# what a gate can do, not why it trains better than the plain MLP at equal size. It
# does, [Shazeer 2020](https://arxiv.org/abs/2002.05202) measured; he offers no
# explanation.) With SiLU it is called **SwiGLU**, with GELU **GeGLU**.
#
# ### Exercise: `GatedMLP.forward`
#
# The class holds the three matrices, and you write the method. As always: blank, the
# lesson goes on with the reference; `hint()` helps.

# %% given="lib.transformer.GatedMLP" only="__init__"
from lib.transformer import GatedMLP

# %% exercise="lib.transformer.GatedMLP.forward"
# 1. Make the gate and the ideas, both (... d_hidden).
# 2. Bend the gate, with `activate` and self.activation. Multiply. Come back to d_model.
from lib.transformer import GatedMLP

# %%
mlp = GatedMLP(d_model=4, d_hidden=12)
print(mlp(table).shape)
# what the others say makes no difference
torch.testing.assert_close(mlp(table)[2], mlp(table[2]))

# %% [markdown]
# ## Stack them
#
# Look, think, look again at what the others have thought: the last lesson showed that
# two looks find what one cannot. Published models look and think 12 to 126 times. The
# obvious way is to hand the output of each layer to the next. Here are 32 layers with
# random weights. How large are the numbers after each? We measure the root of their
# mean square:

# %%
torch.manual_seed(0)
layers = [(MultiHeadAttention(64, 4), GatedMLP(64, 192)) for _ in range(32)]
start = torch.randn(4, 32, 64)  # 4 texts of 32 tokens


@torch.no_grad()
def sizes_through(step: Callable) -> list[float]:
    """Root mean square of the vectors: at the start, and after each layer."""
    x, sizes = start, [1.0]
    for attention, mlp in layers:
        x = step(x, attention, mlp)
        sizes.append(x.square().mean().sqrt().item())
    return sizes


replaced = sizes_through(lambda x, attention, mlp: mlp(attention(x)))
print([f"{size:.0e}" for size in replaced[:6]])

# %% [markdown]
# After four layers nothing is left. Each layer shrinks what it gets, and a product of
# shrinkings is zero. Gradients take the same path backwards, and arrive as zero too:
# the first layers could not learn.
#
# The cure is to *add*. Each layer reads the vectors and adds its news to them, and what
# was there stays there. Think of a corridor that runs through the whole model, with
# every layer reading from it and writing to it: the **residual stream** ([He et al.
# 2015](https://arxiv.org/abs/1512.03385) made it famous, in image recognition).


# %%
def add(x: Tensor, attention: nn.Module, mlp: nn.Module) -> Tensor:
    x = x + attention(x)
    return x + mlp(x)


added = sizes_through(add)
print([f"{size:.2g}" for size in added[::4]])
assert max(replaced[4:]) < 1e-6 and not math.isfinite(added[-1])

# %% [markdown]
# Now it goes well for some fifteen layers, and then it explodes, until the numbers are
# no numbers any more (*nan*). What a gated MLP gives back grows with the *square* of what
# it reads. Large vectors make larger news, which make still larger vectors.
#
# So before a layer reads, we bring every vector to the same size. Take the vector of
# *dog*. Its size, in the sense of a typical number in it, is the **root mean square**:

# %%
dog = table[0]
size = dog.square().mean().sqrt()
size, dog / size

# %% [markdown]
# The direction stays, and the mean square is now 1. After that, each of the numbers is
# multiplied by a learnt **weight**, so that a layer can turn up what it cares about.
# This is **RMSNorm** ([Zhang and Sennrich 2019](https://arxiv.org/abs/1910.07467)):
#
# $$\text{RMSNorm}(x) = \frac{x}{\sqrt{\text{mean}(x^2) + \varepsilon}} \cdot w$$
#
# The small $\varepsilon$ saves a token of zeros from a division by zero. (GPT-2's
# LayerNorm subtracts the mean first, and adds a learnt bias. The authors left both out,
# which is quicker, and found the models as good.) Two details decide whether published weights work:
#
# - In half precision no number is larger than 65,504, so the square of 256 is already
#   too large. The division is done in float32.
# - Gemma stores its weights as differences from 1. That is `self.offset`: 1 for Gemma
#   and 0 for others.
#
# ### Exercise: `RMSNorm.forward`

# %% given="lib.transformer.RMSNorm" only="__init__"
from lib.transformer import RMSNorm

# %% exercise="lib.transformer.RMSNorm.forward"
# 1. Work in float32: x.float(). In float32 already, that is x itself, so change nothing in place.
# 2. Divide each vector by the root of its mean square plus self.eps.
# 3. Multiply by self.offset + self.weight (in float32 too), and return to the dtype of x.
from lib.transformer import RMSNorm

# %% [markdown]
# The vector of “.” is ten times smaller than the others. After the norm it is as loud
# as they are:

# %%
norm = RMSNorm(4)
table.square().mean(dim=-1).sqrt(), norm(table).square().mean(dim=-1).sqrt().detach()

# %% [markdown]
# Where to put it? The transformer of 2017 normalised the stream itself, after each
# addition. Since GPT-2 the norm stands *before* each layer: the layer reads a
# normalised copy, and the stream stays as it is. Nothing lies between the first layer
# and the last but additions.


# %%
def add_normed(x: Tensor, attention: nn.Module, mlp: nn.Module) -> Tensor:
    norm = RMSNorm(64)
    x = x + attention(norm(x))
    return x + mlp(norm(x))


normed = sizes_through(add_normed)
figure, axes = plt.subplots(figsize=(6, 3.4))
for sizes, label, marker in [
    (added, "added", "s"), (normed, "norm, then added", "o"), (replaced, "replaced", "^")
]:  # fmt: skip
    shown = torch.tensor(sizes).clamp(1e-30, 1e30)
    axes.semilogy(shown, label=label, marker=marker, markevery=4)
axes.set(xlabel="layers", ylabel="size of the numbers", ylim=(1e-9, 1e9))
axes.legend()
show(
    figure,
    alt="Size of the numbers against the number of layers, on a logarithmic axis. Replaced vectors "
    "fall off the picture within four layers. Added ones stay near 1 for twenty layers and then "
    "shoot up out of the picture. With a norm before each layer the line stays flat.",
)
print(f"after 32 layers, with a norm: {normed[-1]:.2f}")
assert 1 < normed[-1] < 3

# %% [markdown]
# With the norm every layer adds about as much as the others do, in a direction of its
# own, and the stream grows slowly, like the distance in a random walk.

# %% [markdown]
# ## Where am I?
#
# *Dog bites man* is no news, *man bites dog* is. Ask one attention layer what the full
# stop sees at the end of each:

# %%
torch.manual_seed(0)
attention = MultiHeadAttention(4, n_head=1)
news = table[torch.tensor([[0, 1, 2, 3], [2, 1, 0, 3]])]  # two texts of 4 tokens
with torch.no_grad():
    seen = attention(news)[:, -1]
print(seen)
torch.testing.assert_close(seen[0], seen[1])

# %% [markdown]
# The same. A weighted average does not care for the order of what it averages. So the
# position must come in somehow.
#
# **The first idea** is to learn a vector for each position, and to add it to the
# token's vector: GPT-2 does that, and so did you in the last lesson. It has two flaws.
# The table ends: a model with 1,024 rows has nothing to say about the token after. And
# it knows places, but not distances. *Three tokens back* must be learnt anew for every
# place. Last time, a model that wrote ten digits backwards could not do eight.
#
# What we want: the score of a query and a key should depend on **how far apart** they
# stand, and not on where. Which operation does that? Think of two hands of a clock that
# turn at the same speed. The angle *between* them stays as it is, whatever the time.
# And the dot product depends on nothing but lengths and the angle between.
#
# So: **turn the query and the key, each by an angle proportional to its position.**
# Here with two numbers, and half a radian for each position:


# %%
def turned(x: Tensor, angle: float) -> Tensor:
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([x[0] * c - x[1] * s, x[0] * s + x[1] * c])


query, key = torch.tensor([2.0, 1.0]), torch.tensor([1.0, 3.0])
for i, j in [(3, 0), (5, 2), (1005, 1002), (5, 4)]:
    score = turned(query, 0.5 * i) @ turned(key, 0.5 * j)
    print(f"query at {i:4}, key at {j:4}: score {score:.3f}")

# %% [markdown]
# Three positions apart is always the same score, and one apart is another. These are
# **rotary positions**, RoPE ([Su et al. 2021](https://arxiv.org/abs/2104.09864)), used
# by most open models since. Nothing is learnt, no table ends, and values are
# never turned: position decides who is looked at, not what is said.
#
# A single pair has a weakness. At half a radian a step, the hand has gone once around
# after 12.6 positions, and 13 apart looks nearly like 0 apart. A clock solves this with
# several hands. A head of $d$ numbers has $d/2$ pairs, and pair $i$ turns by
# $\text{base}^{-2i/d}$ for each position: the first by one radian, the others slower
# and slower. How many tokens does a full circle take?

# %%
for base, who in [(10_000, "as in the paper"), (1_000_000, "Qwen3")]:
    speed = base ** (-2 * torch.tensor([0, 8, 16, 24, 31]) / 64)
    circles = [f"{tokens:,.0f}" for tokens in 2 * math.pi / speed]
    print(
        f"heads of 64, base {base:,} ({who}), pairs 0 8 16 24 31: {', '.join(circles)}"
    )

# %% [markdown]
# The fast hands tell neighbours apart; the slow ones tell the chapters.
#
# ### Exercise: `rotary_angles`
#
# First the angles: a row for each position, a column for each pair. `positions` is an
# argument, and it need not start at 0: when a model writes, the tokens that it has read
# are kept, and the new one stands behind them. `stretch` is a door: Llama 3.1 slows
# some frequencies down in order to read longer texts. If it is there, call it with the
# frequencies.

# %% exercise="lib.transformer.rotary_angles"
# 1. A frequency for each pair: base to the power of -2i/d_head, for i = 0, 1 … in float32.
# 2. If there is a `stretch`, it changes the frequencies.
# 3. Each position times each frequency: (... t) and (d_head/2) to (... t d_head/2).
from lib.transformer import rotary_angles

# %% tags=["nbval-check-output"]
rotary_angles(torch.tensor([0, 1, 2, 100]), d_head=4, base=100.0)

# %% [markdown]
# ### Exercise: `apply_rotary`
#
# Then turn. Which two numbers make a pair is a matter of taste. The paper takes
# neighbours; the files that are published today take number $i$ of the first half and
# number $i$ of the second half. So do we.

# %% exercise="lib.transformer.apply_rotary"
# 1. Bring cos and sin to the dtype of x.
# 2. Each half turns with the help of the other: split x in two, or roll it by half its length.
# 3. The first half becomes x₁ cos − x₂ sin, the second x₂ cos + x₁ sin.
from lib.transformer import apply_rotary

# %% [markdown]
# Is it true for real sizes? One query and one key of 64 numbers, always three
# positions apart, moved along the text together. Beside them, the same two with
# position vectors added, one for each place (random ones, as before training):

# %%
generator = torch.Generator().manual_seed(1)
query, key = torch.randn(2, 64, generator=generator)
place = torch.randn(204, 64, generator=generator)  # a vector for each place
angles = rotary_angles(torch.arange(204), d_head=64)

q, k = (apply_rotary(x, angles.cos(), angles.sin()) for x in (query, key))
rotary = (q[3:] * k[:-3]).sum(dim=-1)  # query at i + 3, key at i
learned = ((query + place[3:]) * (key + place[:-3])).sum(dim=-1)

figure, axes = plt.subplots(figsize=(6, 3.2))
axes.plot(learned, label="a vector for each place, added", linewidth=1)
axes.plot(rotary, label="rotary", linestyle="-", linewidth=3)
axes.set(xlabel="where the key stands (the query 3 further on)", ylabel="score")
axes.set_ylim(top=60)
axes.legend(loc="upper right")
show(
    figure,
    alt="Score of one query and one key, three positions apart, against where they stand. With added "
    "position vectors the score jumps up and down; with rotary positions it is a straight level line.",
)
spread = [(line.max() - line.min()).item() for line in (learned, rotary)]
print(f"largest minus smallest score: added {spread[0]:.1f}, rotary {spread[1]:.5f}")
assert spread[0] > 10 and spread[1] < 1e-3

# %% [markdown]
# Here are the hands themselves, for a head of 8 numbers, four pairs. The query stands
# three tokens behind the key, once at the beginning of a text and once further on. Both
# hands have moved, the faster ones a lot. The wedge between them has not:


# %% folded=true
def draw_clocks(query_at: int, key_at: int) -> plt.Figure:
    """Four pairs of a query and a key that point the same way before they are turned."""
    figure, clocks = plt.subplots(1, 4, figsize=(7.6, 2.5))
    q, k = rotary_angles(torch.tensor([query_at, key_at]), d_head=8, base=1000.0)
    for pair, face in enumerate(clocks):
        face.add_patch(plt.Circle((0, 0), 1, fill=False, color="#7a7a7a", lw=1))
        low, high = sorted([math.degrees(q[pair]), math.degrees(k[pair])])
        if high - low < 360:
            face.add_patch(
                plt.matplotlib.patches.Wedge((0, 0), 0.45, low, high, color="#cccccc")
            )
        for angle, color, dash, name in [
            (q[pair], "#1b3a6b", "-", "query"), (k[pair], "#e07b00", "--", "key")
        ]:  # fmt: skip
            face.plot(
                [0, angle.cos()],
                [0, angle.sin()],
                color=color,
                ls=dash,
                lw=3,
                label=name,
            )
        face.set(title=f"pair {pair}: {(q - k)[pair].cos():+.2f}", aspect="equal")
        face.axis("off")
    score = (q - k).cos().sum().item()
    figure.suptitle(
        f"query at {query_at}, key at {key_at}: score {score:+.2f}", fontsize=12
    )
    figure.legend(
        *clocks[0].get_legend_handles_labels(), loc="outside lower center", ncol=2
    )
    return figure


# %%
for query_at in (5, 23):
    show(
        draw_clocks(query_at, query_at - 3),
        alt=f"Four clock faces with two hands each, query at {query_at} and key three before. The "
        "wedge between the hands is wide in the first clock and narrower in each of the others; "
        "its four widths, and the score, are the same wherever the query stands.",
    )

# %% [markdown]
# Above each clock stands what the pair adds to the score: the cosine of its wedge. Move
# both sliders by the same amount, and see what stays. Then move one:

# %%
explore(
    draw_clocks,
    alt=lambda query_at, key_at: f"Clock hands, query at {query_at}, key at {key_at}",
    query_at=range(0, 61),
    key_at=range(0, 61),
)

# %% [markdown]
# Attention left a door open for this, its argument `rotate`. What goes through it is a
# function that turns queries and keys and knows their positions:

# %% given="lib.transformer.rotation"
from lib.transformer import rotation

# %% [markdown]
# ## The block
#
# Look, then think, each from a normalised copy, each added to the stream:
#
#     x ──┬─────────────────────────────── + ──┬────────────────────── + ──▶
#         └─ attention_norm ─▶ attention ──┘   └─ mlp_norm ─▶ MLP ─────┘
#
# The class makes the parts. Some models have more of them: Qwen3 normalises queries and
# keys head by head before they are turned (`query_norm`, `key_norm`), so that no score
# can run away; Gemma 3 normalises what attention and MLP give back (the two
# `..._post_norm`). In other models these are `nn.Identity`, which does nothing, so that
# you can call them in any case.

# %% given="lib.transformer.make_norm"
from lib.transformer import make_norm

# %% given="lib.transformer.Block" only="__init__"
from lib.transformer import Block

# %% given="lib.transformer.Block.attend"
from lib.transformer import Block

# %% [markdown]
# ### Exercise: `Block.forward`

# %% exercise="lib.transformer.Block.forward"
# 1. Attention (self.attend) reads attention_norm of the stream, and hears of mask, rotate, cache.
# 2. What it brings goes through attention_post_norm, and is added to the stream.
# 3. The same for the MLP, with mlp_norm and mlp_post_norm.
from lib.transformer import Block

# %% [markdown]
# What if attention and MLP have nothing to say? Silence the last matrix of each:

# %%
block = Block(Config(vocab_size=4, d_model=16, n_layer=1, n_head=2))
x = torch.randn(1, 4, 16)
with torch.no_grad():
    print(
        f"as it starts, the block changes x by up to {(block(x) - x).abs().max():.1f}"
    )
    block.attention.output.weight.zero_()
    block.mlp.down.weight.zero_()
    print("silenced, it hands x on untouched:", torch.equal(block(x), x))
assert torch.equal(block(x), x)

# %% [markdown]
# That is what adding to a stream means, and why depth no longer hurts: a layer that has
# learnt nothing yet is in nobody's way.

# %% [markdown]
# ## The model
#
# Tokens in, scores out. The last vector of each token goes through one more norm, and
# then through the **head**, a matrix with a row for each token of the vocabulary. A
# score is the dot product of the vector with that row: how well does this token fit
# here? The embedding table has a row for each token as well. Small models use one table
# for both: the head is **tied** to the embedding. For SmolLM2-135M a second table would
# be 28 million numbers more, a fifth of the model.

# %% given="lib.transformer.Transformer" only="__init__ initialise"
from lib.transformer import Transformer

# %% [markdown]
# Two methods prepare things for you. `self.embed` takes the tokens and their positions,
# looks the tokens up, and adds what some models add: learned positions (GPT-2), a factor
# of √d (Gemma). `self.sights` takes the positions, the number of keys and the mask, and
# says for each layer what it may see: a list of pairs `(mask, rotate)`. In most models
# all pairs are alike; some layers of Gemma 3 see only what is near. (A cell with
# `Transformer.sights??` shows its code.)
#
#     tokens ─ embed ─ block ─ … ─ block ─ norm ─ head ─▶ logits
#
# ### Exercise: `Transformer.forward`
#
# The arguments after the first are doors once more. `cache` holds one memory for each
# layer, and `len(cache[0])` says how many tokens it holds already: **the new ones stand
# behind them.** `head`, if there is one, replaces the model's own.

# %% exercise="lib.transformer.Transformer.forward"
# 1. How many tokens are cached, and how many are new? The positions follow, unless they are given.
# 2. Embed. Ask self.sights, for as many keys as there will be, old and new.
# 3. Through all blocks, each with its own mask, rotate and cache (or None).
# 4. The last norm, and the head.
from lib.transformer import Transformer

# %%
torch.manual_seed(0)
nano = Config.of_size("nano", vocab_size=2048, n_context=128)
model = Transformer(nano)
model(torch.tensor([[3, 1, 4, 1, 5]])).shape

# %% [markdown]
# One text, five tokens, 2,048 scores for each. That is a language model.

# %% [markdown]
# ## What does it cost?
#
# Three questions come before every training: how many numbers must I store, how many
# operations does a token take, how much memory does a text need while the model writes?
# All can be answered from the config, before anything is built.
#
# ### Exercises: `count_parameters` and `flops_per_token`
#
# A matrix from $a$ to $b$ numbers has $a \cdot b$ weights. Go through `Block.__init__`
# and `Transformer.__init__` above, and write down what each part holds. In a config,
# `config.kv_heads`, `config.head_size` and `config.hidden` are filled in even where the
# description left them out.

# %% exercise="lib.transformer.count_parameters"
# 1. One block: four projections, the MLP's matrices, the norms, and biases if there are any.
# 2. Outside the blocks: one table or two, learned positions, the last norm.
from lib.transformer import count_parameters

# %% [markdown]
# And the operations: a weight of a matrix is used for one multiplication and one
# addition for each token, and on the way back for two of each. So training takes 6
# operations a weight, plus attention's own products, which have no weights but grow
# with the length of the text.

# %% exercise="lib.transformer.flops_per_token"
# 1. Count the weights of all matrices that multiply: projections, MLPs, the head; not the lookup.
# 2. Scores and averages: 12 · layers · heads · head size · n_context (counted masked or not).
from lib.transformer import flops_per_token

# %% [markdown]
# PyTorch can count operations while a model runs. Do the two agree, to the last one? (It counts
# matrix products. If your attention is PyTorch's fused one, the 6 % that are attention's here are
# missing.) And the third question is `lib`'s to answer:

# %% given="lib.transformer.kv_cache_bytes"
from lib.transformer import kv_cache_bytes

# %%
from torch.utils.flop_counter import FlopCounterMode

with FlopCounterMode(display=False) as counter:
    model(torch.zeros(2, 64, dtype=torch.long)).sum().backward()
counted, calculated = counter.get_total_flops() // 128, flops_per_token(nano, 64)
print(f"counted {counted:,}, calculated {calculated:,}")
assert 0.94 * calculated < counted <= calculated
assert count_parameters(nano) == sum(p.numel() for p in model.parameters())

# %% tags=["nbval-check-output"]
print("                 layers × d_model      parameters   KV cache   GFLOP")
print(
    "                                                     a token   a token, training"
)
for name, (config, count) in published.items():
    assert count_parameters(config) == count
    shape = f"{config.n_layer} × {config.d_model}"
    cache, work = kv_cache_bytes(config, 1), flops_per_token(config, 1024)
    print(
        f"{name:15} {shape:>17}   {count:13,}  {cache / 1024:5.1f} KiB  {work / 1e9:6.2f}"
    )

# %% [markdown]
# All equal to their publishers' files. Read the table a little longer:
#
# - **Deep and thin, or wide?** GPT-2 and MobileLLM-125M have the same number of
#   parameters, 12 layers of 768 against 30 layers of 576. [MobileLLM's
#   authors](https://arxiv.org/abs/2402.14905) trained both kinds and found that small
#   models gain from depth. The cache is even smaller, thanks to grouped heads.
# - SmolLM2-135M has exactly the blocks of MobileLLM-125M. Ten million parameters more,
#   and all of them are vocabulary.
# - Qwen3-0.6B is thirteen times smaller than Llama 3 8B, and its cache nearly as large:
#   it has as many key-value heads, of the same size.
#
# Where do the parameters sit?

# %%
figure, axes = plt.subplots(figsize=(7, 3.4))
for row, (config, count) in enumerate(reversed(published.values())):
    tables = config.vocab_size * config.d_model * (1 if config.tied else 2)
    mlps = config.n_layer * (3 if config.gated else 2) * config.d_model * config.hidden
    parts = [tables, count - tables - mlps, mlps]
    left = 0.0
    styles = [("#1b3a6b", ""), ("#6aaed6", "//"), ("#eeeeee", "..")]
    for part, (color, hatch) in zip(parts, styles):
        axes.barh(row, part / count, left=left, color=color, hatch=hatch, edgecolor="white"
                  if not hatch else "#555555")  # fmt: skip
        left += part / count
axes.set_yticks(range(len(published)), list(published)[::-1])
axes.set(xlabel="share of all parameters", xlim=(0, 1))
axes.legend(["tables of tokens", "attention and rest", "MLP"], loc="upper center",
            bbox_to_anchor=(0.5, 1.2), ncol=3)  # fmt: skip
axes.grid(False)
show(
    figure,
    alt="Bars for six models, each cut into token tables, attention and MLP. The tables take about "
    "a third in GPT-2, a fifth in SmolLM2 and Gemma 2B, an eighth in Llama 3 8B. In every model the "
    "MLPs are the largest part.",
)

# %% [markdown]
# Everybody talks about attention. The largest share of every one of them is MLP.

# %% [markdown]
# ## The experiment: does it learn, and which parts does it need?
#
# Before you spend a day on training a model, two tests of a minute tell whether it is
# in order. **Before training**, it should know nothing: all tokens about equally
# likely, so a loss of $\ln V$. **On a single small batch**, it should learn everything
# by heart, down to a loss near zero. A model that cannot do that has a bug.
#
# Four pieces of 48 tokens from Python's language reference, in a vocabulary of 2,048:

# %%
text = corpora.read("python", part="reference").text()
tokenizer = Tokenizer.train(text, 2048)
ids = torch.tensor(tokenizer.encode(text))


def pieces(seed: int, n: int = 4, length: int = 49) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(ids) - length, (n,), generator=generator).tolist()
    return torch.stack([ids[start : start + length] for start in starts])


batch = pieces(seed=0)
print(tokenizer.decode(batch[0, :24].tolist()))


# %%
def loss_of(
    model: Transformer, batch: Tensor, positions: Tensor | None = None
) -> Tensor:
    """How surprised the model is by each next token, in nats."""
    return cross_entropy(model(batch[:, :-1], positions), batch[:, 1:])


with torch.no_grad():
    untrained = loss_of(model, pieces(seed=1, n=64)).item()
print(f"untrained: {untrained:.3f}; ln 2048 = {math.log(2048):.3f}")
assert abs(untrained - math.log(2048)) < 0.05

# %% [markdown]
# That is what the small weights of `initialise` are for. **The second test:** train on
# the one batch, a hundred steps. We expect a loss below 0.05. What would show us wrong:
# a loss that stays near 4.7, say. That is what one gets by knowing *which* tokens
# are frequent in the batch and nothing about *where* they stand. We measure it as well.
# (The optimizer is PyTorch's; you build your own in the next lesson.)


# %%
def by_heart(
    model: Transformer, label: str, positions: Tensor | None = None
) -> list[float]:
    """Train on the one batch; return the loss of every step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in tqdm(range(100), desc=label):
        loss = loss_of(model, batch, positions)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


share = batch[:, 1:].flatten().bincount() / batch[:, 1:].numel()
frequencies = -(share * share.clamp(min=1e-9).log()).sum().item()
curves = {"complete": by_heart(model, "complete")}
print(
    f"knowing frequencies: {frequencies:.2f}; the model: {curves['complete'][-1]:.4f}"
)
assert curves["complete"][-1] < 0.05

# %% [markdown]
# **A prediction.** The model has learnt the four pieces at positions 0 to 47. Now it
# reads the same pieces at positions 1,000 to 1,047, where it has never been. What will
# its loss be? One of: `"the same"`, `"one or two nats more"`, `"that of an untrained
# model"`.

# %%
prediction = "the same"  ### PREDICTION

# %%
far_away = torch.arange(1000, 1048)
with torch.no_grad():
    here, there = loss_of(model, batch).item(), loss_of(model, batch, far_away).item()
print(f"rotary positions: at home {here:.4f}, a thousand tokens further on {there:.4f}")
assert abs(there - here) < 0.002
why = "Every distance in the text is what it was, and the model knows nothing but distances."
options = ["the same", "one or two nats more", "that of an untrained model"]
settle(prediction, "the same", why, options)

# %% [markdown]
# And a model with a learned vector for each place, otherwise alike? It has 128 places,
# of which 48 were trained, so we move it by 64:

# %%
torch.manual_seed(0)
placed = Transformer(Config.of_size("nano", 2048, n_context=128, position="learned"))
curves["learned positions"] = by_heart(placed, "learned positions")
with torch.no_grad():
    at_home = loss_of(placed, batch).item()
    moved = loss_of(placed, batch, torch.arange(64, 112)).item()
print(f"learned positions: at home {at_home:.4f}, 64 further on {moved:.2f}")
assert at_home < 0.05 and moved > 0.3

# %% [markdown]
# It learns the batch as quickly or quicker; it has only learnt it *in one place*. Now
# take the other parts away, one at a time. We replace what should be missing by
# something that does nothing, and train again. **We expect** every part to be missed.


# %%
class Nothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


class NoStream(Block):
    def forward(self, x: Tensor, *doors: object, **more: object) -> Tensor:
        seen = self.attend(self.attention_norm(x), *doors, **more)
        return self.mlp(self.mlp_norm(seen))


def without(part: str) -> Transformer:
    torch.manual_seed(0)
    model = Transformer(nano)
    for block in model.blocks:
        if part == "MLP":
            block.mlp = Nothing()
        if part == "stream":
            block.__class__ = NoStream
        if part == "norms":
            block.attention_norm = block.mlp_norm = nn.Identity()
            block.query_norm = block.key_norm = model.norm = nn.Identity()
    return model


nowhere = torch.zeros(48, dtype=torch.long)  # everybody stands at position 0
for part in ("stream", "norms", "MLP", "positions"):
    where = nowhere if part == "positions" else None
    curves[f"without {part}"] = by_heart(without(part), f"without {part}", where)
for name, curve in curves.items():
    print(f"{name:18} loss after 25 steps {curve[24]:.2f}, after 100 {curve[-1]:.3f}")

# %%
figure, axes = plt.subplots(figsize=(6.6, 3.8))
shown = [
    "without norms",
    "without stream",
    "without MLP",
    "without positions",
    "complete",
]
markers = ["x", "s", "^", "D", "o"]
for name, marker in zip(shown, markers):
    axes.semilogy(curves[name], label=name, marker=marker, markevery=12)
axes.axhline(frequencies, color="#555555", linewidth=1, linestyle=":")
axes.text(101, frequencies * 0.85, "frequencies only", ha="right", va="top", fontsize=9)
axes.set(xlabel="step", ylabel="loss on the batch (nats)")
axes.legend(fontsize=9)
show(
    figure,
    alt="Loss on the batch against training step, logarithmic. Without norms and without the stream "
    "the loss stays high, near the dotted line for knowing frequencies only. Without the MLP it "
    "falls late. Without positions it falls nearly as fast as the complete model, which ends "
    "below 0.05.",
)
assert abs(curves["without stream"][-1] - frequencies) < 0.3
assert curves["without norms"][-1] > 1.5
assert curves["without MLP"][49] > 0.5 > 0.15 > curves["complete"][49]
assert curves["without positions"][-1] < 0.3

# %% [markdown]
# Without the stream the model learns which tokens are frequent, and nothing else: what
# it read does not get through to the head, nor the gradient back, even in four layers.
# Without the norms it is nats behind; with other seeds it gets further, never close.
# Without the MLP it learns, but much later. So far as expected.
#
# **And one expectation was wrong.** Without positions it learns nearly as well. We
# had shown that attention does not see order! But what we had shown was *one* layer,
# asked by the same last token. The causal mask gives order away: the first token sees
# one vector, the second sees two, so a layer can tell its place by how much there is to
# see, and the next layer can use that. Others found the same in full-size training
# ([Haviv et al. 2022](https://arxiv.org/abs/2203.16634)). Four pieces by heart are a
# weak test of positions: what they are worth shows on texts that the model has not seen.
#
# **Look at the failure behind the success.** The complete model knows its four pieces.
# What does it know about a fifth?

# %%
with torch.no_grad():
    fresh = loss_of(model, pieces(seed=100, n=16)).item()
    written = batch[0, :6].tolist()
    while len(written) < 24:
        written.append(model(torch.tensor([written]))[0, -1].argmax().item())
print(f"loss on other pieces: {fresh:.1f}; untrained it was {untrained:.1f}")
print("Six tokens given, it goes on:", repr(tokenizer.decode(written)))
assert fresh > untrained
assert written == batch[0, :24].tolist()

# %% [markdown]
# Worse than before training. It recites, word for word, and everywhere else it is sure
# of the wrong thing. A small loss on what a model has seen says that the parts work. It
# does not say that anything has been understood: for that one needs more text than the
# model can hold, which is the next lesson.

# %% [markdown]
# ## What can go wrong
#
# All of these run without an error. Only the numbers are off.
#
# **Positions that start again.** When a model writes, the tokens before are kept in a
# cache, and the new ones stand behind them. Give them the positions 0, 1, 2 … instead,
# and they claim to stand in front. [ExecuTorch](https://github.com/pytorch/executorch/pull/2010)
# had this; in [rotary-embedding-torch](https://github.com/lucidrains/rotary-embedding-torch/issues/11)
# the angles were stored by length and came back for any offset. Here the model that
# knows the batch by heart reads its second half, once rightly and once wrongly:


# %%
class Memory:
    """A cache for one layer. The lesson on generation builds a better one."""

    held: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return 0 if self.held is None else self.held[0].size(2)

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        if self.held is not None:
            key, value = (torch.cat(pair, 2) for pair in zip(self.held, (key, value)))
        self.held = key, value
        return self.held


for name, positions in [("behind", None), ("from 0", torch.arange(24))]:
    cache = [Memory() for _ in model.blocks]
    with torch.no_grad():
        model(batch[:, :24], cache=cache)
        logits = model(batch[:, 24:48], positions, cache=cache)
    second_half = cross_entropy(logits, batch[:, 25:]).item()
    print(f"second half, positions {name}: loss {second_half:.3f}")
    if name == "behind":
        assert second_half < 0.05
    else:
        assert second_half > 0.05

# %% [markdown]
# Ten times the surprise and more, and still so little that the text looks right. In
# training there is no cache, and both ways agree. Such a bug lives long.
#
# **Neighbours or halves?** Meta's own code for Llama turns neighbouring numbers,
# `transformers` turns halves. [People
# concluded](https://github.com/huggingface/transformers/issues/25199) that one of them
# must be wrong. Neither is: the scores are the same if the numbers are renamed, and
# the files were rewritten to fit. What *is* wrong is to mix them:


# %%
def turn_neighbours(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], -1).flatten(-2)


q, k = torch.randn(2, 10, 8, generator=generator)
angles = rotary_angles(torch.arange(10), d_head=8)
cos, sin = angles.cos(), angles.sin()
order = torch.arange(8).view(4, 2).T.flatten()  # 0 2 4 6, then 1 3 5 7

neighbours = turn_neighbours(q, cos, sin) @ turn_neighbours(k, cos, sin).mT
mixed_up = apply_rotary(q, cos, sin) @ apply_rotary(k, cos, sin).mT
renamed = apply_rotary(q[:, order], cos, sin) @ apply_rotary(k[:, order], cos, sin).mT
print(f"mixed up:     scores off by up to {(mixed_up - neighbours).abs().max():.2f}")
print(f"renamed first: off by {(renamed - neighbours).abs().max():.0e}")
assert (mixed_up - neighbours).abs().max() > 0.5
torch.testing.assert_close(renamed, neighbours)

# %% [markdown]
# **A norm that changes what it reads.** `x.float()` makes a copy of a half-precision
# tensor, and *no* copy of one that is in float32 already. [A small inference
# engine](https://github.com/GeeeekExplorer/nano-vllm/issues/170) divided in place after
# it, and so normalised the residual stream itself, but only in full precision, where
# nobody had looked:

# %%
for dtype in (torch.bfloat16, torch.float32):
    stream = dog.to(dtype).clone()
    working = stream.float()
    working /= working.square().mean().sqrt()
    print(f"{dtype!s:15} the stream afterwards: {stream.tolist()}")

# %% [markdown]
# ## In the wild
#
# Now the promise from the beginning. `transformers` is the library in which most open
# models are published. We let it make five small models with random weights, save them
# as it saves any model, and load the files into ours: `lib.hub` renames the weights, and
# that is all it does. Then back: ours is saved, and `transformers` loads it. Both must
# give the same logits. All offline.


# %%
def tiny_models() -> dict:
    """Five small models of transformers, with random weights."""
    import transformers as hf

    hf.logging.set_verbosity_error()
    hf.logging.disable_progress_bar()
    sizes = {"vocab_size": 99, "hidden_size": 48, "num_hidden_layers": 3,
             "num_attention_heads": 6, "num_key_value_heads": 2, "intermediate_size": 80,
             "initializer_range": 0.2}  # fmt: skip
    gpt2 = hf.GPT2Config(vocab_size=99, n_embd=48, n_layer=3, n_head=6, n_positions=64,
                         initializer_range=0.2)  # fmt: skip
    return {
        "GPT-2": hf.GPT2LMHeadModel(gpt2),
        "Llama": hf.LlamaForCausalLM(hf.LlamaConfig(**sizes)),
        "SmolLM2": hf.LlamaForCausalLM(
            hf.LlamaConfig(**sizes, tie_word_embeddings=True)
        ),
        "Qwen3": hf.Qwen3ForCausalLM(hf.Qwen3Config(**sizes, head_dim=16)),
        "Gemma": hf.GemmaForCausalLM(hf.GemmaConfig(**sizes, head_dim=16)),
    }


# %%
import tempfile

from lib import hub

try:
    theirs = tiny_models()
except ImportError:
    theirs = {}
    print("This comparison needs transformers: pip install transformers")
tokens = torch.randint(99, (2, 20), generator=generator)
for name, their in theirs.items():
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        their.eval().save_pretrained(f"{folder}/theirs")
        ours = hub.load(f"{folder}/theirs")
        gap = (ours(tokens) - their(tokens).logits).abs().max().item()
        hub.save(ours, f"{folder}/ours")
        again = type(their).from_pretrained(f"{folder}/ours").eval()
        back = (ours(tokens) - again(tokens).logits).abs().max().item()
    size = ours(tokens).abs().max().item()
    print(
        f"{name:8} logits up to {size:5.1f}; differences: in {gap:.0e}, back {back:.0e}"
    )
    assert max(gap, back) < 1e-4

# %% [markdown]
# Five families, one class, and the methods in it are yours. The same line loads a model
# that has read two trillion tokens, SmolLM2-135M. If you are online and 270 MB are no
# trouble, set `fetch` to True.

# %%
fetch = False
folder = None
try:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = hub.folder_of("HuggingFaceTB/SmolLM2-135M") if fetch else None
except (ImportError, ValueError) as error:
    print(f"Not this time: {error}")

if folder is not None:
    ours, reader = (
        hub.load(folder, dtype=torch.float32),
        AutoTokenizer.from_pretrained(folder),
    )
    their = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    written = reader.encode("The capital of France is")
    with torch.no_grad():
        tokens = torch.tensor([written])
        gap = (ours(tokens) - their(tokens).logits).abs().max().item()
        while len(written) < 16:
            written.append(ours(torch.tensor([written]))[0, -1].argmax().item())
    print(f"largest difference {gap:.0e}; it writes: {reader.decode(written)!r}")
    assert gap < 1e-3  # of logits up to 30, after 30 layers

# %% [markdown]
# ## What you built

# %%
progress("transformer")

# %% [markdown]
# The floor `lib.transformer` stands: everything from token ids to logits. Lesson
# *pretraining* teaches it a world; lesson *generation* lets it write quickly; lesson
# *LoRA* changes its matrices without touching them.
#
# **A question to take along.** Rotary positions make the model indifferent to *where*
# a text stands. Do they also let it read *longer* texts? At a distance that never
# occurred in training, the slow hands stand at angles that nobody has seen. Let the
# model read two of its pieces in a row, 96 tokens, and look at the loss token by token:
# where does it rise, and where does it recover? Then squeeze the positions by half, so
# that they end at 48 again (`torch.arange(96) / 2`). Better or worse? [Chen et al.
# 2023](https://arxiv.org/abs/2306.15595) extended Llama from 2,048 tokens to 32,768 by
# squeezing, *with* a little more training. What is that training for?
#
# **Papers**
# - Vaswani et al. 2017, [Attention Is All You Need](https://arxiv.org/abs/1706.03762): the whole transformer, with the norm still behind each layer.
# - Su et al. 2021, [RoFormer](https://arxiv.org/abs/2104.09864): rotary positions, section 3.2.
# - Zhang and Sennrich 2019, [Root Mean Square Layer Normalization](https://arxiv.org/abs/1910.07467).
# - Shazeer 2020, [GLU Variants Improve Transformer](https://arxiv.org/abs/2002.05202): a short paper that changed every MLP.
# - Touvron et al. 2023, [LLaMA](https://arxiv.org/abs/2302.13971): these parts together.
# - Liu et al. 2024, [MobileLLM](https://arxiv.org/abs/2402.14905): deep and thin.
