# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # Attention
#
# **How does a token look back?**
#
# In *“The trophy does not fit into the suitcase because it is too big”*, what is *it*?
# You looked back, found *trophy*, and carried its meaning forward. The counting models
# of the last lesson could not do that: they saw the last few tokens and nothing else,
# and every token further back cost them a bigger table.
#
# In this lesson you build the part of a language model that looks back: over any
# distance, at whatever matters, without being told what that is. It is one line of
# mathematics, and at the end you will watch a small model learn to use it, in seconds,
# on your own machine.
#
# You will write six functions. They become `lib.attention`, and every model in the rest
# of the course runs on them. Plan two hours for it; the cells themselves run in half a
# minute.

# %% [markdown]
# Everything this lesson needs. If you have not solved earlier exercises, the reference
# versions stand in for them.

# %%
import math
import time
from collections.abc import Callable

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn
from tqdm import tqdm

from lib.attention import Cache
from lib.course import exercise, given, hint, progress, settle, show, solution
from lib.course.figures import use_style
from lib.course.widgets import explore
from lib.ngram import cross_entropy

use_style()
# So small are these models that a second core only gets in the way.
torch.set_num_threads(1)
torch.set_printoptions(precision=3, sci_mode=False)
_ = torch.manual_seed(0)

# %% [markdown]
# ## A dictionary that never says no
#
# Here is the finished thing at work, before we take it apart. A Python dictionary finds
# a value by its key, and the key must fit exactly:

# %%
price = {"red": 4.0, "green": 6.0, "blue": 10.0}
price.get("crimson", "no such key")

# %% [markdown]
# A painter knows better. Crimson is nearly red, so it should cost nearly what red
# costs. Write the colours as three numbers each (how much red, green and blue is in
# them), and *attention* answers for a colour that is not in the table:

# %%
from lib.attention import scaled_dot_product_attention as finished

red, green, blue = torch.eye(3) * 3
key = torch.stack([red, green, blue])
value = torch.tensor([[4.0], [6.0], [10.0]])
crimson = torch.tensor([2.7, 0.3, 0.3])

finished(crimson[None], key, value)

# %% [markdown]
# A little above 4: nearly red. That is all attention is: **a dictionary in which every
# key answers, each as loudly as it fits the question.** The answer is an average of all
# values, weighted by fit.
#
# Three words will stay with us to the end of the course:
#
# - a **query** is the question (crimson),
# - a **key** is a label that the question is compared with (red, green, blue),
# - a **value** is what the key's owner has to say (its price).

# %% [markdown]
# ## By hand
#
# Now without the finished function. How well does a key fit the query? Multiply number
# by number and add up: the **dot product**. It is large when two vectors point the same
# way.

# %%
scores = key @ crimson
scores

# %% [markdown]
# Crimson scores 8.1 with red and 0.9 with the others. To average with these numbers we
# need weights that are positive and sum to 1. The **softmax** makes them: raise e to
# each score, divide by the sum. You met it in the last lesson, where it turned logits
# into probabilities; here it shares out attention.

# %%
weights = scores.softmax(dim=0)
weights, weights @ value

# %% [markdown]
# Red gets nearly everything, and the answer is nearly the price of red. The finished
# function said 4.12, though, and this says 4.01. One step is missing, and it is the
# *scaled* in the function's name. We come to it soon.
#
# Usually there are many questions at once. Stack them, and the same three lines answer
# them all, each in its own row. Nothing is written twice, and there is no loop:

# %%
teal = torch.tensor([0.0, 1.6, 1.9])
grey = torch.tensor([1.0, 1.0, 1.0])
query = torch.stack([crimson, teal, grey])

scores = query @ key.mT  # (3 queries, 3 keys)
weights = scores.softmax(dim=-1)  # each row sums to 1
weights @ value  # (3 queries, 1 number each)

# %% [markdown]
# `key.mT` is the matrix transposed. Row *i*, column *j* of `scores` says how well key
# *j* fits query *i*. Teal lies between green and blue, and so does its price. Grey fits
# all three alike: its price is their plain average, 6.67. Here are the weights as a
# picture; you will see many like it. **A row is who asks, a column is who is looked
# at**:


# %%
def draw_map(axes, weights: Tensor, rows: list[str], columns: list[str]) -> None:
    """Weights as a picture: dark violet is 0, yellow is 1."""
    axes.imshow(weights.detach(), vmin=0, vmax=1)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.grid(False)
    axes.tick_params(length=0)


figure, axes = plt.subplots(figsize=(3.6, 3))
draw_map(axes, weights, ["crimson", "teal", "grey"], ["red", "green", "blue"])
axes.set(xlabel="looked at (keys)", ylabel="who asks (queries)")
show(
    figure,
    alt="Three rows of weights. Crimson puts nearly all on red, teal shares between green and blue "
    "with more on blue, grey looks at all three alike.",
)

# %% [markdown]
# ## Tokens that look at one another
#
# A text has no separate table of keys. The tokens themselves are looked at, by each
# other: **every token asks, every token can be found, every token has something to
# say**. So query, key and value all come from the same vectors. That is
# *self*-attention. Take our colours as a text of four words:

# %%
words = ["red", "green", "blue", "crimson"]
colours = torch.stack([red, green, blue, crimson])  # (4 tokens, 3 numbers)

weights = (colours @ colours.mT).softmax(dim=-1)
weights

# %% [markdown]
# Look at the first row: *red* gives more than a quarter of its attention to *crimson*,
# which comes three words later. For a model that writes from left to right this is
# cheating. It learns by guessing each next token, and if a token may look ahead, the
# answer lies open in front of it.
#
# So every score that points forward must go before the softmax shares anything out.
# What score gives a weight of exactly zero? One whose e-to-the-power is zero: minus
# infinity.
#
# First we need to know which scores those are: a table of booleans, **True where a
# query may look**. It is called the **causal mask**, since causes lie in the past.
#
# One more thing while we are here. Later, when a model writes, it will keep the keys of
# the tokens that it has read, and only the *new* tokens will ask. Then there are fewer
# queries than keys, and the queries are the last ones. For 2 new tokens after 2 old
# ones:
#
# | | 1st key | 2nd key | 3rd key | 4th key |
# |---|---|---|---|---|
# | **query of token 3** | may look | may look | may look | – |
# | **query of token 4** | may look | may look | may look | may look |
#
# ### Exercise: `causal_mask`
#
# Replace the last line by your own code and run the cell. It answers at once. If you
# are stuck, run `hint()` in a cell of its own (there are three, each saying more), or
# `solution()` when you have had enough. If you leave it blank, the lesson goes on with
# the reference.

# %% exercise="lib.attention.causal_mask"
# 1. Without n_key there are as many keys as queries; fewer keys than queries is an error.
# 2. Start from a (n_query, n_key) matrix of True.
# 3. Remove what lies in the future. The last query sees every key.
from lib.attention import causal_mask

# %% tags=["nbval-check-output"]
causal_mask(4).int()

# %% [markdown]
# Put it to work on the four colours. Where the mask is False, the score becomes minus
# infinity:

# %%
scores = (colours @ colours.mT).masked_fill(~causal_mask(4), float("-inf"))
weights = scores.softmax(dim=-1)
weights

# %% [markdown]
# *Red* has nobody before it and looks at itself. *Crimson*, the last row, looks back
# over green and blue and finds *red*, three words away. Every row still sums to 1,
# because we hid the scores **before** the softmax. Had we set weights to zero **after**
# it, the rows would have lost what the hidden tokens had already taken. It is a common
# mistake and it does not crash. What the rows lack gives the future away:

# %%
too_late = (colours @ colours.mT).softmax(dim=-1).masked_fill(~causal_mask(4), 0)
too_late.sum(dim=-1)

# %% [markdown]
# ## Why *scaled*?
#
# Our colours have 3 numbers. Real queries and keys have 64 or 128. A dot product adds
# up as many products as there are numbers, and a longer sum strays further from zero.
# How much further? Draw random queries and keys of several lengths, and measure the
# variance of their dot products, which is their mean square:

# %%
lengths = [4, 16, 64, 256, 1024]
generator = torch.Generator().manual_seed(1)
plain, scaled, largest = [], [], []
for d in lengths:
    many_queries = torch.randn(500, 1, d, generator=generator)
    many_keys = torch.randn(500, 64, d, generator=generator)
    dots = many_queries @ many_keys.mT  # 500 times one query and 64 keys
    plain.append(dots.square().mean().item())
    scaled.append((dots / math.sqrt(d)).square().mean().item())
    largest.append(dots.softmax(dim=-1).amax(dim=-1).mean().item())
for d, v, s, top in zip(lengths, plain, scaled, largest):
    print(
        f"d = {d:4}: variance {v:7.1f}, divided by √d {s:.2f}; largest of 64 weights {top:.2f}"
    )

# %% [markdown]
# The variance is *d* itself. The last column shows why that hurts: with long vectors
# the softmax puts nearly everything on a single key, before the model has learnt
# anything. And where a weight is nearly 1, a small change of its score hardly changes
# it, so there is nothing to learn from. The mean square of the scores is d; divide the
# scores by √d, and it is 1, for every length.

# %%
figure, axes = plt.subplots(figsize=(5.6, 3.2))
axes.loglog(lengths, plain, marker="o", label="dot products")
axes.loglog(lengths, scaled, marker="s", label="divided by √d")
axes.set(xlabel="length d of queries and keys", ylabel="variance of the scores")
axes.legend()
show(
    figure,
    alt="On logarithmic axes the variance of the dot products rises in a straight line from 4 to "
    "1024, equal to d; divided by the square root of d it stays at 1.",
)
assert all(abs(v / d - 1) < 0.1 for v, d in zip(plain, lengths))
assert all(abs(s - 1) < 0.1 for s in scaled)
assert largest[-1] > 0.9 > 0.5 > largest[0]

# %% [markdown]
# Now all three steps are on the table, and with them the best-known formula of the
# field ([Vaswani et al. 2017](https://arxiv.org/abs/1706.03762), equation 1; the mask
# they describe in words, in section 3.2.3):
#
# $$\text{attention}(Q, K, V) = \text{softmax}\left(\frac{QK^\top}{\sqrt{d_k}} + M\right)V$$
#
# $M$ is the mask, written as 0 where one may look and −∞ where not. With booleans we
# say the same by `masked_fill`.
#
# ### Exercise: `scaled_dot_product_attention`
#
# In the docstring, `t` counts queries and `s` keys; a query and a key have d_k numbers,
# a value has d_v. `...` stands for whatever is in front, such as many texts at once. If
# you work on the last two axes only (`.mT`, `dim=-1`, `@`), such stacks need no extra
# code.

# %% exercise="lib.attention.scaled_dot_product_attention"
# 1. Score every query against every key, scaled.
# 2. Hide what the mask hides, if there is one, before the softmax.
# 3. Share out: each query's weights over the keys sum to 1.
# 4. Average the values.
from lib.attention import scaled_dot_product_attention

# %% [markdown]
# The colours once more, with your function. This time crimson's answer is 4.12, as the
# finished one said: divided by √3, the scores are a little closer together, and the
# weights a little softer.

# %%
query, key = torch.stack([crimson, teal, grey]), torch.stack([red, green, blue])
scaled_dot_product_attention(query, key, value)

# %% [markdown]
# And a trick that we will use for every picture below. The output is an average of the
# values. If the values are the rows of an identity matrix, what comes out *are* the
# weights:

# %%
scaled_dot_product_attention(colours, colours, torch.eye(4), causal_mask(4))

# %% [markdown]
# ## What it costs
#
# Why no loop? Here is the same thing the way one would first write it, one query at a
# time:


# %%
def attend_one_by_one(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    answers = []
    for t in range(len(query)):
        scores = key[: t + 1] @ query[t] / math.sqrt(len(query[t]))
        answers.append(scores.softmax(dim=0) @ value[: t + 1])
    return torch.stack(answers)


def seconds(function: Callable[[], object], budget: float = 0.3) -> float:
    """Processor time of one run, averaged over many runs."""
    start, runs = time.process_time(), 0
    while (spent := time.process_time() - start) < budget:
        function()
        runs += 1
    return spent / runs


q, k, v = torch.randn(3, 512, 32, generator=generator)
loop = seconds(lambda: attend_one_by_one(q, k, v))
matrix = seconds(lambda: scaled_dot_product_attention(q, k, v, causal_mask(512)))
torch.testing.assert_close(
    attend_one_by_one(q, k, v), scaled_dot_product_attention(q, k, v, causal_mask(512))
)
print(f"512 tokens: loop {loop * 1e3:.1f} ms, matrices {matrix * 1e3:.1f} ms")
assert loop > matrix

# %% [markdown]
# The loop does *less* arithmetic, half as much, since it never scores the future. It
# loses all the same: processors are built for large matrix products, and the loop
# starts a thousand little ones. This is one reason why transformers displaced the
# networks before them, which read one word at a time.
#
# But nothing is free. Every token looks at every token: twice as many tokens, four
# times as many scores. Let us measure time, and the memory that training must keep
# until gradients are computed. (PyTorch can be asked what it keeps. How, is in the
# folded cell.)


# %% folded=true
def kept_bytes(function: Callable[[], Tensor]) -> int:
    """Bytes that autograd keeps from the forward pass for the backward pass."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        function()
    return sum(kept.values())


# %%
sizes = [128, 256, 512, 1024, 2048]
clock, memory, fused_memory = [], [], []
for t in sizes:
    q, k, v = torch.randn(3, t, 32, generator=generator).requires_grad_().unbind()
    mask = causal_mask(t)
    with torch.no_grad():
        clock.append(seconds(lambda: scaled_dot_product_attention(q, k, v, mask)))
    memory.append(kept_bytes(lambda: scaled_dot_product_attention(q, k, v, mask)))
    one = [part[None, None] for part in (q, k, v)]  # a batch of one text, one head
    fused_memory.append(
        kept_bytes(lambda: F.scaled_dot_product_attention(*one, is_causal=True))
    )


def slope(ys: list[float]) -> float:
    """Steepness of the best straight line on logarithmic axes: 2 means squared."""
    x, y = torch.tensor(sizes).log(), torch.tensor(ys).log()
    return ((x - x.mean()) @ (y - y.mean()) / (x - x.mean()).square().sum()).item()


print(f"time grows as T^{slope(clock):.2f}, memory as T^{slope(memory):.2f}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.2))
left.loglog(sizes, [c * 1e3 for c in clock], marker="o", base=2)
left.set(xlabel="tokens T", ylabel="milliseconds", title="Time")
right.loglog(sizes, [m / 2**20 for m in memory], marker="o", base=2, label="ours")
right.loglog(
    sizes, [m / 2**20 for m in fused_memory], marker="s", base=2, label="torch, fused"
)
right.set(xlabel="tokens T", ylabel="MiB kept for training", title="Memory")
right.legend()
show(
    figure,
    alt="Two plots on logarithmic axes against the number of tokens, 128 to 2048. Time rises with "
    "a slope of about 2. Our memory rises with slope 2 as well, that of torch's fused attention with slope 1.",
)
assert 1.6 < slope(clock) < 3
assert 1.7 < slope(memory) < 2.1
assert slope(fused_memory) < 1.2

# %% [markdown]
# Both grow with the **square** of the length: slope 2 on these axes (time often a
# little more, since large matrices leave the processor's fast memory and new memory
# must be found for each; memory a little less, since in short texts the queries, keys
# and values count too). That is the price of looking everywhere, and half of the
# research on long texts is about not paying it. The second line on the right is
# PyTorch's own version of the same formula. It computes the matrix in small tiles and
# throws each away once it is used ([FlashAttention](https://arxiv.org/abs/2205.14135)):
# still T² in time, only T in memory. Same numbers, cleverer order.

# %% [markdown]
# ## Learning what to look for
#
# So far a token looks for tokens *like itself*: query and key were the same vector.
# That is rarely what one needs. *It* should find a noun; a verb, its subject; a closing
# bracket, the one that opened. So three matrices, learnt in training, make three
# different vectors of each token: **what I look for** (query), **how I can be found**
# (key), **what I have to say** (value). In PyTorch a learnt matrix is an `nn.Linear`.
#
# And one look is not enough. *It* wants its noun, but also its verb, and the word
# before. One softmax has one budget to share out. So we cut the vectors into **heads**:
# with `d_model = 256` numbers a token and 8 heads, each head gets 32 of them, asks its
# own question and brings its own answer. It takes no more multiplications, though eight
# tables of scores instead of one.
#
# Cutting is a matter of axes, and axes are where attention code goes wrong. We write
# `b` for texts in a batch, `t` for tokens, `h` for heads, `d` for numbers in a head.
# Here are 3 tokens of 4 numbers, to be cut into 2 heads of 2:

# %%
tiny = torch.arange(12).view(1, 3, 4)  # (b t h·d): token 0 is 0 1 2 3
tiny

# %% [markdown]
# Head 0 should get 0 1 from the first token, 4 5 from the second, 8 9 from the third.
# The tempting way is `view`, which only reads the same numbers in another shape:

# %%
tiny.view(1, 2, 3, 2)[0, 0]  # "head 0"

# %% [markdown]
# The shape is right, and head 0 got 0 1, 2 3, 4 5: pieces of two tokens, in the wrong
# rows. Nothing crashes, and a model can learn around a lot, so it even trains, only
# worse. If the heads are cut by `view` and put together correctly, tokens even see
# their future. A `view` cannot swap axes.
#
# [einops](https://einops.rocks) says what happens by naming the axes. On the left what
# is there, on the right what you want, with brackets around what is stuck together.
# What it cannot know, such as the number of heads, you tell it once. To cut without
# moving:

# %%
rearrange(tiny, "b t (h d) -> b t h d", h=2).shape

# %% [markdown]
# ### Exercises: `split_heads` and `merge_heads`
#
# In docstrings we write a cut axis as h·d; in einops it is `(h d)`.

# %% exercise="lib.attention.split_heads"
# Cut the last axis into heads, and move the heads in front of the tokens.
from lib.attention import split_heads

# %% exercise="lib.attention.merge_heads"
# The way back: heads behind the tokens again, side by side.
from lib.attention import merge_heads

# %%
split_heads(tiny, n_head=2)[0, 0], merge_heads(split_heads(tiny, n_head=2))

# %% [markdown]
# ## Fewer keys than questions
#
# When a model writes, it keeps the keys and values of everything it has read, so as not
# to compute them again for every new token. For long texts, or many at once, this
# **cache** outgrows the model itself. Let us count it for a published model, Llama 3
# with 8 billion parameters (32 layers, heads of 128 numbers, 2 bytes each), if all its
# 32 heads had keys and values of their own, and with the 8 that it really has:

# %%
for n_kv_head in (32, 8):
    # layers · (key, value) · heads · numbers · bytes
    per_token = 32 * 2 * n_kv_head * 128 * 2
    print(f"{n_kv_head:2} heads: {per_token / 1024:.0f} KiB a token, "
          f"{per_token * 8192 / 2**30:.0f} GiB for 8,192 tokens")  # fmt: skip

# %% [markdown]
# Four query heads share one key-value head: **grouped-query attention**. Its authors
# found the quality close to that of full heads ([Ainslie et al.
# 2023](https://arxiv.org/abs/2305.13245)); the cache is a quarter. Before the products,
# each key-value head is handed to its group of query heads. The order matters: with
# key-value heads A and B and four query heads, it must be **A A B B**.
#
# ### Exercise: `repeat_kv`

# %% exercise="lib.attention.repeat_kv"
# Repeat each key-value head n_repeat times, in place: neighbours share.
from lib.attention import repeat_kv

# %% tags=["nbval-check-output"]
a_and_b = torch.tensor([1, 2]).view(1, 2, 1, 1)
repeat_kv(a_and_b, 2).flatten()

# %% [markdown]
# The weights of published models were trained with exactly this order. With A B A B
# they still load and still run, and every head reads the wrong keys. (PyTorch has both:
# `repeat_interleave` does A A B B, `tile` and `repeat` do A B A B. [The mix-up
# happened](https://github.com/onnx/onnx/pull/7274) in a standard that many tools
# follow.)

# %% [markdown]
# ## The layer
#
# All parts are there. The class only holds the four learnt matrices, *query*, *key*,
# *value*, and an *output* that mixes what the heads have brought:

# %% given="lib.attention.MultiHeadAttention" only="__init__"
from lib.attention import MultiHeadAttention

# %% [markdown]
# ### Exercise: `MultiHeadAttention.forward`
#
# Now the path of a text through the layer. Two arguments are doors to later lessons,
# and cost a line each. You can write them without knowing what comes through:
#
# - `rotate` turns queries and keys according to their positions (lesson *transformer*):
#   `query, key = rotate(query, key)`;
# - `cache` keeps the keys and values of earlier tokens (lesson *generation*):
#   `key, value = cache.append(key, value)` takes the new ones and gives back all so far.
#
# Either may be None; then there is nothing to do.
#
# The cell below holds a method of the class above. `self` is the layer: `self.query(x)`
# projects, `self.n_head`, `self.n_kv_head` and `self.d_head` are the sizes.

# %% exercise="lib.attention.MultiHeadAttention.forward"
# 1. Project x to queries, keys and values, and split them into heads (n_head, n_kv_head, n_kv_head).
# 2. If there is a `rotate`, turn queries and keys; if there is a `cache`, append keys and values.
# 3. Without a mask of the caller's, make the causal one for as many keys as there are now.
# 4. Repeat keys and values for their groups, attend, merge the heads, project the output.
from lib.attention import MultiHeadAttention

# %%
attention = MultiHeadAttention(d_model=64, n_head=4, n_kv_head=2)
attention(torch.randn(2, 10, 64)).shape

# %% [markdown]
# Two texts of ten tokens went in, two texts of ten tokens came out, each token now
# knowing something about those before it. Is that really so, and only that? Change the
# third of six tokens, and see which outputs change:

# %%
text = torch.randn(1, 6, 64)
changed = text.clone()
changed[:, 2] += 1
difference = (attention(text) - attention(changed)).abs().sum(dim=-1)[0]
print(difference > 1e-6)
assert (difference > 1e-6).tolist() == [False, False, True, True, True, True]

# %% [markdown]
# It and all after it, and none before: everybody can look back, nobody ahead. For
# pictures of what a layer looks at, `lib` adds a few lines with the identity trick:

# %% given="lib.attention.attention_map"
from lib.attention import attention_map

# %% [markdown]
# ## The experiment: can it learn where to look?
#
# A layer with random weights looks anywhere. Will it learn to look at the right place
# if nobody tells it where that is? A task where we know the answer: **write digits
# backwards**. The model reads ten digits and a bar, and must go on with the same digits
# in reverse:
#
# `3 1 4 1 5 9 2 6 5 3 | 3 5 6 2 9 5 1 4 1 3`

# %%
N_DIGITS, BAR = 10, 10


def reversal_batch(
    n: int, generator: torch.Generator, n_digits: int = N_DIGITS
) -> Tensor:
    """(n, 2·n_digits + 1): digits, the bar, the digits backwards."""
    digits = torch.randint(10, (n, n_digits), generator=generator)
    return torch.cat([digits, torch.full((n, 1), BAR), digits.flip(1)], dim=1)


reversal_batch(1, generator)

# %% [markdown]
# The model is as small as can be: a learnt vector for each token, one for each position
# (apart from its mask, attention does not see in which order things stand), attention
# layers that add what they found, and a last matrix from vectors to logits, one for
# each possible next token. No more; the rest of a transformer is the next lesson.


# %%
class LookBack(nn.Module):
    """Embeddings, attention layers, logits: (b t) token ids to (b t n_token)."""

    def __init__(
        self, n_token: int, length: int, n_layer: int = 1, n_head: int = 1, d: int = 64
    ):
        super().__init__()
        self.token = nn.Embedding(n_token, d)
        self.position = nn.Embedding(length, d)
        self.layers = nn.ModuleList(
            MultiHeadAttention(d, n_head) for _ in range(n_layer)
        )
        self.logits = nn.Linear(d, n_token)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.token(ids) + self.position.weight[: ids.size(1)]
        for layer in self.layers:
            x = x + layer(x, mask)
        return self.logits(x)


# %% [markdown]
# Training is the loop you saw in the last lesson: guess each next token, measure the
# surprise with your own `cross_entropy`, follow the gradient. `answers` says at which
# positions the next token can be known; at the others we do not ask.


# %%
def train(
    model: nn.Module,
    batch: Callable[[int, torch.Generator], Tensor],
    answers: slice,
    steps: int,
    seed: int = 0,
    mask: Tensor | None = None,
    label: str = "training",
) -> list[float]:
    """Train on fresh batches of 64; return the loss of every step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in tqdm(range(steps), desc=label):
        ids = batch(64, generator)
        logits = model(ids[:, :-1], mask)
        loss = cross_entropy(logits[:, answers], ids[:, 1:][:, answers])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def accuracy(model: nn.Module, ids: Tensor, answers: slice) -> float:
    """The share of right guesses for the next token at the positions `answers`."""
    guesses = model(ids[:, :-1]).argmax(dim=-1)
    return (guesses == ids[:, 1:])[:, answers].float().mean().item()


# %% [markdown]
# **A prediction first.** When the model has learnt, what will its attention look like
# while it writes the ten digits? A row is a digit being written, from first to last; a
# column is a token, first the ten digits that were read, then the bar and what has been
# written. Fill in one of: `"diagonal"` (from top left down to bottom right),
# `"anti-diagonal"` (from top right down to bottom left), `"first column"`, `"even"`
# (everything alike). Write it down before you go on.

# %%
prediction = "anti-diagonal"  ### PREDICTION

# %% [markdown]
# **What we expect:** the loss falls to almost nothing and at least 99 % of the digits
# are right. **What would show us wrong:** a loss stuck near ln 10 ≈ 2.3, where every
# digit is equally likely.

# %%
ANSWERS = slice(N_DIGITS, None)  # from the bar on, the next token can be known
torch.manual_seed(0)
reverser = LookBack(n_token=11, length=2 * N_DIGITS)
losses = train(reverser, reversal_batch, ANSWERS, steps=300)
fresh = reversal_batch(1000, torch.Generator().manual_seed(99))
score = accuracy(reverser, fresh, ANSWERS)
print(f"loss {losses[0]:.2f} -> {losses[-1]:.4f}; right on fresh digits: {score:.1%}")
assert score >= 0.99

# %%
ids = reversal_batch(1, torch.Generator().manual_seed(3))
with torch.no_grad():
    x = reverser.token(ids[:, :-1]) + reverser.position.weight
    writing = attention_map(reverser.layers[0], x)[
        0, 0, N_DIGITS:
    ]  # (10 queries, 20 keys)

figure, (left, right) = plt.subplots(
    1, 2, figsize=(7.4, 3.4), gridspec_kw={"width_ratios": [1, 1.4]}
)
left.plot(losses)
left.set(xlabel="step", ylabel="loss (nats)", title="Learning", yscale="log")
seen = [str(i) if i != BAR else "|" for i in ids[0, :-1].tolist()]
draw_map(right, writing, [str(i) for i in ids[0, N_DIGITS + 1 :].tolist()], seen)
right.set(
    xlabel="tokens looked at", ylabel="digit being written", title="Where it looks"
)
show(
    figure,
    alt="Left: the loss falls from 2.7 to below 0.01 within 100 steps. Right: the attention map while "
    "writing; the first digit written looks at the last digit read, and so on in a falling line "
    "from right to left: an anti-diagonal.",
)
where = writing.argmax(dim=-1).tolist()
assert where == list(range(N_DIGITS - 1, -1, -1))
options = ["diagonal", "anti-diagonal", "first column", "even"]
why = "The first digit to be written is the last one read."
settle(prediction, "anti-diagonal", why, options)

# %% [markdown]
# Nobody told it. The loss only said *this digit was wrong*, and from that the layer
# found that to write digit number *i*, counted from 0, it has to look at digit number 9
# − *i*. A learnt map that anyone can check.
#
# **Now look at a failure.** It writes ten digits backwards without a mistake. Has it
# understood *backwards*? Give it eight:

# %%
shorter = reversal_batch(1000, torch.Generator().manual_seed(5), n_digits=8)
score_8 = accuracy(reverser, shorter, slice(8, None))
print(f"ten digits {score:.1%}, eight digits {score_8:.1%}, guessing 10.0%")
assert score_8 < 0.35

# %% [markdown]
# Not much better than guessing. It has learnt *position 12 looks at position 7*, a
# fixed table for texts of ten digits. It never met another length, and a learnt vector
# for position 12 says nothing about position 11. The next lesson brings positions that
# know distance; the argument `rotate` is waiting for them. Would they be enough here?
# See in the picture how far each row looks back.

# %% [markdown]
# ## Deeper: the dictionary learns itself
#
# We began with a dictionary, written by hand. Can a model learn to *be* one? It reads
# pairs of a letter and a digit, new ones each time, then letters, and must say which
# digit each came with:
#
# `c 7 · k 2 · a 5 · h 2 · f 9 · b 0 ·  k → 2 ·  f → 9 ·  c → 7`
#
# Nothing can be learnt by heart, as the pairs are drawn anew for every text. It has to
# look them up. And there is a catch. The letter `k` at the end can find the earlier
# `k`, as it has the same vector. But the answer does not stand *at* `k`. It stands one
# further on.

# %%
N_PAIRS, LETTERS = 6, "abcdefghijkl"


def recall_batch(n: int, generator: torch.Generator) -> Tensor:
    """(n, 2·6 + 2·3): six pairs, then three of the letters with their digits again."""
    letters = torch.rand(n, len(LETTERS), generator=generator).argsort(1)[:, :N_PAIRS]
    digits = torch.randint(10, (n, N_PAIRS), generator=generator) + len(LETTERS)
    asked = torch.rand(n, N_PAIRS, generator=generator).argsort(1)[:, :3]
    pairs = torch.stack([letters, digits], dim=2)
    questions = torch.stack([letters.gather(1, asked), digits.gather(1, asked)], dim=2)
    return torch.cat([pairs.flatten(1), questions.flatten(1)], dim=1)


def spell(ids: Tensor) -> list[str]:
    return [(LETTERS + "0123456789")[i] for i in ids.tolist()]


" ".join(spell(recall_batch(1, generator)[0]))

# %% [markdown]
# **Expectation:** with one layer it fails, and with two it succeeds. In one layer `k`
# can reach the earlier `k`, and read what *that* token has to say; but that token has
# not yet looked at anything. With two layers, every digit can first note *which letter
# stood before me*, and then `k` can look for the digit that noted a `k`. **What would
# show us wrong:** one layer doing well, or two layers failing. What counts as failing?
# A model that looks nothing up can still do better than 10 %, by naming the digit that
# occurs most often among the six pairs. We measure that too. (Six short trainings:
# three seeds for each depth.)

# %%
# At a letter after the pairs, the next digit can be known.
QUESTIONS = slice(2 * N_PAIRS, None, 2)
fresh = recall_batch(2000, torch.Generator().manual_seed(99))
most_common = fresh[:, 1 : 2 * N_PAIRS : 2].mode(dim=1).values[:, None]
guessing = (fresh[:, 1:][:, QUESTIONS] == most_common).float().mean().item()

curves, scores_by_depth, models = {}, {}, {}
for n_layer in (1, 2):
    for seed in (0, 1, 2):
        torch.manual_seed(seed)
        model = LookBack(22, length=2 * N_PAIRS + 5, n_layer=n_layer, n_head=4)
        label = f"{n_layer} layer(s), seed {seed}"
        curves[n_layer, seed] = train(
            model, recall_batch, QUESTIONS, steps=400, seed=seed, label=label
        )
        models[n_layer, seed] = model
        scores_by_depth[n_layer, seed] = accuracy(model, fresh, QUESTIONS)
for n_layer in (1, 2):
    each = ", ".join(f"{scores_by_depth[n_layer, seed]:.1%}" for seed in (0, 1, 2))
    print(f"{n_layer} layer(s), three seeds: {each}")
print(f"naming the most common digit: {guessing:.1%}")

# %%
figure, axes = plt.subplots(figsize=(6, 3.3))
for n_layer, (color, dash) in {1: ("#e07b00", "--"), 2: ("#1b3a6b", "-")}.items():
    for seed in (0, 1, 2):
        label = f"{n_layer} layer{'s' * (n_layer > 1)}" if seed == 0 else None
        axes.plot(
            curves[n_layer, seed],
            color=color,
            linestyle=dash,
            linewidth=1.3,
            label=label,
        )
axes.set(xlabel="step", ylabel="loss (nats)", title="Looking up a digit by its letter")
axes.legend()
show(
    figure,
    alt="Loss against training step for three seeds each. With one layer all three stay near 1.65 "
    "nats. With two layers all three fall to almost zero within about 150 steps.",
)
assert all(abs(scores_by_depth[1, seed] - guessing) < 0.08 for seed in (0, 1, 2))
assert all(scores_by_depth[2, seed] >= 0.95 for seed in (0, 1, 2))

# %% [markdown]
# One layer ends where naming the most common digit ends: it has looked nothing up. Two
# layers look everything up. They learn nothing new for a while and then, within a few
# dozen steps, all of it. Depth is not more of the same; it makes *a look that depends
# on an earlier look* possible.
#
# Did it happen the way we reasoned? Look at both layers. For the picture we put
# together, in each layer, all four heads, by taking the strongest look at every pair of
# tokens. The outlined rows are the three questions:


# %%
@torch.no_grad()
def layer_maps(model: LookBack, ids: Tensor) -> Tensor:
    """Where every layer and head looks on one text: (n_layer h t t)."""
    x = model.token(ids) + model.position.weight[: ids.size(1)]
    maps = []
    for layer in model.layers:
        maps.append(attention_map(layer, x)[0])
        x = x + layer(x)
    return torch.stack(maps)


dictionary = models[2, 0]
ids = recall_batch(1, torch.Generator().manual_seed(14))[:, :-1]
maps, names = layer_maps(dictionary, ids), spell(ids[0])

figure, both = plt.subplots(1, 2, figsize=(8, 4.8))
for axes, layer in zip(both, (0, 1)):
    draw_map(axes, maps[layer].amax(dim=0), names, names)
    for row in range(2 * N_PAIRS, len(names), 2):
        box = plt.Rectangle(
            (-0.5, row - 0.5), len(names), 1, fill=False, ec="white", lw=2
        )
        axes.add_patch(box)
    axes.set(xlabel="looked at", title=f"Layer {layer + 1}, strongest look of 4 heads")
both[0].set_ylabel("who asks")
show(
    figure,
    alt="Two attention maps over a text of six letter-digit pairs and three questions, whose rows "
    "are outlined. In layer 1 the digits of the pairs look at the letter just before them. In "
    "layer 2 each letter that is asked looks at the digit that stood behind the same letter.",
)

# %% [markdown]
# We can put a number on both halves. In layer 1: how much does a digit look at the
# letter right before it, in the head that does it most? In layer 2: how much does a
# letter that is asked look at its answer? (The folded cell picks these entries out of
# the maps.) Averaged over a thousand texts:


# %% folded=true
@torch.no_grad()
def two_steps(model: LookBack, ids: Tensor) -> tuple[float, float]:
    """(digit → its letter in layer 1, question → its answer in layer 2), each in the best head."""
    ids = ids[:, :-1]
    x = model.token(ids) + model.position.weight[: ids.size(1)]
    first = attention_map(model.layers[0], x)
    second = attention_map(model.layers[1], x + model.layers[0](x))
    digits = torch.arange(1, 2 * N_PAIRS, 2)
    noted = first[:, :, digits, digits - 1].mean(dim=(0, 2)).max().item()
    asked = torch.arange(2 * N_PAIRS, ids.size(1), 2)
    same = (
        ids[:, asked, None] == ids[:, None, : 2 * N_PAIRS : 2]
    )  # which pair has that letter
    pair = same.int().argmax(dim=-1)[:, None, :, None].expand(-1, second.size(1), -1, 1)
    looked = second[:, :, asked, 1 : 2 * N_PAIRS : 2].gather(-1, pair)
    return noted, looked.mean(dim=(0, 2, 3)).max().item()


# %%
for seed in (0, 1, 2):
    noted, looked = two_steps(models[2, seed], fresh[:1000])
    print(
        f"seed {seed}: digit to its letter {noted:.2f}, question to its answer {looked:.2f}"
    )
    assert noted > 0.5 and looked > 0.5

# %% [markdown]
# *Note what stood before you; then find who noted you.* The second of these heads is
# called an **induction head**. They turn up in models of every size with more than one
# layer, early in training, just when the models begin to predict later tokens better
# from what came before ([Olsson et al. 2022](https://arxiv.org/abs/2209.11895)). You
# have just grown some in seconds.
#
# Heads share the work as they please. Move the sliders to see who does what, and draw
# other pairs:


# %%
def draw_head(layer: int, head: int, text: int) -> plt.Figure:
    ids = recall_batch(1, torch.Generator().manual_seed(text))[:, :-1]
    figure, axes = plt.subplots(figsize=(4.6, 4.4))
    draw_map(
        axes,
        layer_maps(dictionary, ids)[layer - 1, head - 1],
        spell(ids[0]),
        spell(ids[0]),
    )
    axes.set(xlabel="looked at", ylabel="who asks", title=f"Layer {layer}, head {head}")
    return figure


explore(
    draw_head,
    alt=lambda layer, head, text: (
        f"Attention map of layer {layer}, head {head} on text {text}"
    ),
    layer=range(1, 3),
    head=range(1, 5),
    text=range(14, 34),
)

# %% [markdown]
# ## What can go wrong
#
# The checks above know the mistakes that people make with attention. Many come from
# real projects, and most do not crash. Three deserve a closer look.
#
# **The mask in the wrong corner.** One token is in the cache, two are new: three keys.
# PyTorch's own `is_causal=True` builds a mask for that, aligned at the *top left*: it
# takes the queries for the first tokens. The first new token then sees one key instead
# of two:

# %%
q, k, v = torch.randn(2, 8), torch.randn(3, 8), torch.eye(3)
theirs = F.scaled_dot_product_attention(q, k, v, is_causal=True)
ours = scaled_dot_product_attention(q, k, v, causal_mask(2, 3))
print("is_causal=True:    keys seen", (theirs > 0).int().tolist())
print("causal_mask(2, 3): keys seen", (ours > 0).int().tolist())

# %% [markdown]
# Without a cache there are as many queries as keys, and both agree. So the bug sleeps
# through training and wakes when the model writes.
#
# **A large number instead of minus infinity.** Several well-known tutorials (the
# Annotated Transformer and the University of Amsterdam's course among them) hide scores
# with −1e9 or −9e15. In full precision that works. The lowest number of float16 is
# −65,504:

# %%
try:
    torch.zeros(2, 2, dtype=torch.float16).masked_fill(~causal_mask(2), -1e9)
except RuntimeError as error:
    print(error)

# %% [markdown]
# **No mask at all.** What does a model learn when it may look ahead? Take the model
# with one layer, which could not answer a single question better than by guessing, and
# train it with a mask that hides nothing. We look at the first two of the three
# questions, whose answers stand in the text that it reads:

# %%
torch.manual_seed(0)
cheat = LookBack(22, length=2 * N_PAIRS + 5, n_layer=1, n_head=4)
everything = torch.ones(2 * N_PAIRS + 5, 2 * N_PAIRS + 5, dtype=torch.bool)
train(cheat, recall_batch, QUESTIONS, steps=400, mask=everything)

first, second = 2 * N_PAIRS, 2 * N_PAIRS + 2  # where the two questions stand
with torch.no_grad():
    guesses = cheat(fresh[:, :-1], everything)[:, [first, second]].argmax(dim=-1)
    in_training = (guesses == fresh[:, [first + 1, second + 1]]).float().mean().item()
    # In real use the text ends with the question: the answer is not there yet.
    used = []
    for end in (first + 1, second + 1):
        guess = cheat(fresh[:, :end], everything[:end, :end])[:, -1].argmax(dim=-1)
        used.append((guess == fresh[:, end]).float().mean().item())
in_use = sum(used) / 2
print(f"right in training: {in_training:.1%}; right in real use: {in_use:.1%}")
assert in_training > 0.99 and in_use < guessing

# %% [markdown]
# All right in training, and in real use worse than naming the most common digit. It
# copies the next token from where that stands; in real use nothing stands there. **A
# training loss that is too good is a reason to check the mask.**

# %% [markdown]
# ## In the wild
#
# PyTorch ships the same layer. It keeps the three input matrices stacked in one,
# `in_proj_weight`, and expects a mask that is True where one may *not* look. Both are
# conventions. Give it our weights, and the numbers must agree:

# %%
ours = MultiHeadAttention(d_model=64, n_head=4, bias=True)
theirs = nn.MultiheadAttention(64, 4, batch_first=True)
with torch.no_grad():
    parts = [ours.query, ours.key, ours.value]
    theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
    theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    theirs.out_proj.load_state_dict(ours.output.state_dict())

x = torch.randn(2, 10, 64)
published, _ = theirs(x, x, x, attn_mask=~causal_mask(10))
gap = (published - ours(x)).abs().max().item()
print(f"largest difference between torch's layer and ours: {gap:.1e}")
assert gap < 1e-5

# %% [markdown]
# And your function against PyTorch's own, which production code calls; with different
# numbers of queries and keys, so that a swapped axis would show. In full precision, and
# finite in half precision:

# %%
q, k, v = torch.randn(2, 3, 5, 16), torch.randn(2, 3, 9, 16), torch.randn(2, 3, 9, 16)
mask = causal_mask(5, 9)
kernel = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
gap = (kernel - scaled_dot_product_attention(q, k, v, mask)).abs().max().item()
half = scaled_dot_product_attention(q.half(), k.half(), v.half(), mask)
print(
    f"largest difference {gap:.1e}; all finite in float16: {half.isfinite().all().item()}"
)
assert gap < 1e-5 and half.isfinite().all()

# %% [markdown]
# ## What you built

# %%
progress("attention")

# %% [markdown]
# The floor `lib.attention` stands. Lesson *transformer* puts it into a block with three
# other parts and stacks the blocks into GPT-2, Llama or Qwen; lesson *generation* gives
# it its cache.
#
# **A question to take along.** The weights of a softmax sum to 1: a head *must* look
# somewhere, even when nothing fits. What would you do as a head that has nothing to
# say? Train `LookBack(11, 20, n_head=4)` on the reversal, draw its `layer_maps`, and
# see what idle heads do. (Large models look at the first few tokens when there is
# nothing to look at: [Xiao et al. 2023](https://arxiv.org/abs/2309.17453) call it an
# *attention sink*. Some newer models add a term to the softmax's denominator, so that a
# head may look at nothing.)
#
# **Papers**
# - Vaswani et al. 2017, [Attention Is All You Need](https://arxiv.org/abs/1706.03762): section 3.2 is this lesson.
# - Bahdanau et al. 2014, [Neural Machine Translation by Jointly Learning to Align and
#   Translate](https://arxiv.org/abs/1409.0473): where looking back began.
# - Ainslie et al. 2023, [GQA](https://arxiv.org/abs/2305.13245).
# - Dao et al. 2022, [FlashAttention](https://arxiv.org/abs/2205.14135).
# - Olsson et al. 2022, [In-context Learning and Induction Heads](https://arxiv.org/abs/2209.11895).
