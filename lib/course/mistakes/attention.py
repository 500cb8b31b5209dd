"""Classic mistakes on the floor `lib.attention`."""

import math

import torch
from einops import rearrange, repeat

import lib.course.checks.attention  # the exercises must be known first
from lib.attention import merge_heads, repeat_kv, scaled_dot_product_attention, split_heads
from lib.course.bank import mistake
from lib.course.checks.attention import visible

# --- causal_mask ----------------------------------------------------------------------------------

MASK = "lib.attention.causal_mask"


def _bad_sizes(n_query, n_key):
    n_key = n_query if n_key is None else n_key
    if n_key < n_query:
        raise ValueError(f"{n_query} queries, {n_key} keys")
    return n_key


@mistake(
    MASK, "The mask is inverted: True must mean that the query may look, False that it may not."
)
def inverted(n_query, n_key=None, device=None):
    return ~visible(n_query, _bad_sizes(n_query, n_key), device)


@mistake(
    MASK,
    "The diagonal is missing: a token must see itself too, or the first one has nothing to look at "
    "(tril(-1) leaves the diagonal out).",
)
def without_diagonal(n_query, n_key=None, device=None):
    n_key = _bad_sizes(n_query, n_key)
    return torch.ones(n_query, n_key, dtype=torch.bool, device=device).tril(n_key - n_query - 1)


@mistake(
    MASK,
    "With more keys than queries the mask is aligned at the top left. The queries are the last "
    "tokens, not the first: the bottom right corner must be True.",
    seen_in="is_causal=True with a cache in torch's attention",
)
def top_left(n_query, n_key=None, device=None):
    n_key = _bad_sizes(n_query, n_key)
    return torch.ones(n_query, n_key, dtype=torch.bool, device=device).tril()


@mistake(
    MASK, "The mask is transposed: each token sees the future and not the past (triu for tril)."
)
def upper(n_query, n_key=None, device=None):
    n_key = _bad_sizes(n_query, n_key)
    return torch.ones(n_query, n_key, dtype=torch.bool, device=device).triu(n_key - n_query)


@mistake(
    MASK,
    "The mask is not made on `device`: on a GPU it could not be used. Hand it on, device=device.",
)
def device_ignored(n_query, n_key=None, device=None):
    return visible(n_query, _bad_sizes(n_query, n_key))


@mistake(
    MASK,
    "This is the additive mask, 0 and -inf. Here a mask is made of booleans: True where a query may "
    "look.",
)
def additive(n_query, n_key=None, device=None):
    n_key = _bad_sizes(n_query, n_key)
    hidden = ~visible(n_query, n_key, device)
    return torch.zeros(n_query, n_key, device=device).masked_fill(hidden, float("-inf"))


# --- scaled_dot_product_attention -----------------------------------------------------------------

SDPA = "lib.attention.scaled_dot_product_attention"


def _attend(query, key, value, mask, scale, fill=float("-inf"), dim=-1):
    scores = query @ key.mT * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, fill)
    return scores.softmax(dim=dim) @ value


@mistake(
    SDPA,
    "The scores are not scaled: divide them by the square root of d_k, or the softmax saturates as "
    "heads get wider.",
)
def unscaled(query, key, value, mask=None):
    return _attend(query, key, value, mask, 1.0)


@mistake(SDPA, "The scores are divided by d_k itself: it should be its square root.")
def divided_by_d(query, key, value, mask=None):
    return _attend(query, key, value, mask, 1 / query.size(-1))


@mistake(
    SDPA,
    "The scores are scaled by the size of the values. It is the queries and keys that are "
    "multiplied: the square root of d_k.",
)
def scaled_by_d_value(query, key, value, mask=None):
    return _attend(query, key, value, mask, 1 / math.sqrt(value.size(-1)))


@mistake(
    SDPA,
    "The scores are scaled by the number of keys. Their spread comes from the length of a query: "
    "the square root of d_k.",
)
def scaled_by_length(query, key, value, mask=None):
    return _attend(query, key, value, mask, 1 / math.sqrt(key.size(-2)))


@mistake(
    SDPA,
    "The mask is applied after the softmax: the rows no longer sum to 1, and what they lack gives "
    "hidden tokens away.",
)
def mask_after_softmax(query, key, value, mask=None):
    weights = (query @ key.mT / math.sqrt(query.size(-1))).softmax(dim=-1)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0)
    return weights @ value


@mistake(
    SDPA,
    "The softmax runs over the queries. Each query's weights over the keys must sum to 1: dim=-1.",
)
def softmax_over_queries(query, key, value, mask=None):
    return _attend(query, key, value, mask, 1 / math.sqrt(query.size(-1)), dim=-2)


@mistake(SDPA, "The mask is used the wrong way round: it is True where a query may look.")
def mask_inverted(query, key, value, mask=None):
    mask = None if mask is None else ~mask
    return _attend(query, key, value, mask, 1 / math.sqrt(query.size(-1)))


@mistake(
    SDPA,
    "Hidden scores are set to 0, which is a score like any other: e to the 0 is 1. They must be -inf.",
)
def mask_with_zero(query, key, value, mask=None):
    return _attend(query, key, value, mask, 1 / math.sqrt(query.size(-1)), fill=0.0)


@mistake(
    SDPA,
    "-1e9 does not fit into float16, whose largest number is 65,504. float('-inf') fits everywhere.",
    seen_in="annotated-transformer, UvA deep learning tutorials",
)
def mask_with_1e9(query, key, value, mask=None):
    return _attend(query, key, value, mask, 1 / math.sqrt(query.size(-1)), fill=-1e9)


@mistake(SDPA, "The mask is never used: every query sees every key, the future included.")
def mask_ignored(query, key, value, mask=None):
    return _attend(query, key, value, None, 1 / math.sqrt(query.size(-1)))


@mistake(
    SDPA,
    "The result comes back in another precision than the inputs: a model in half precision would "
    "stop here.",
)
def always_float(query, key, value, mask=None):
    query, key, value = query.float(), key.float(), value.float()
    return _attend(query, key, value, mask, 1 / math.sqrt(query.size(-1)))


@mistake(
    SDPA,
    "The softmax is taken as exp(x) / sum without subtracting the largest score first: float32 ends "
    "at about e to the 88.",
)
def unstable_softmax(query, key, value, mask=None):
    scores = query @ key.mT / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    weights = scores.exp() / scores.exp().sum(dim=-1, keepdim=True)
    return weights @ value


@mistake(
    SDPA,
    "The booleans are added to the scores, where True counts as 1 and False as 0. The M of the formula "
    "is 0 and -inf: use masked_fill.",
)
def mask_added(query, key, value, mask=None):
    scores = query @ key.mT / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores + mask
    return scores.softmax(dim=-1) @ value


@mistake(
    SDPA, "The mask is made inside, always causal: use the one that is handed in, if there is one."
)
def own_mask(query, key, value, mask=None):
    mask = visible(query.size(-2), key.size(-2))
    return _attend(query, key, value, mask, 1 / math.sqrt(query.size(-1)))


@mistake(
    SDPA,
    "The softmax runs over the first axis, which may be texts or heads. Each query's weights over the "
    "keys must sum to 1: dim=-1.",
)
def softmax_over_the_first_axis(query, key, value, mask=None):
    return _attend(query, key, value, mask, 1 / math.sqrt(query.size(-1)), dim=0)


# --- heads ----------------------------------------------------------------------------------------

SPLIT, MERGE, REPEAT = (
    "lib.attention.split_heads",
    "lib.attention.merge_heads",
    "lib.attention.repeat_kv",
)


@mistake(
    SPLIT,
    "`view` alone does not swap axes: the rows of a head are then pieces of the same few tokens, "
    "instead of one piece of every token. Cut first, (b t h d), then move the heads in front.",
)
def split_by_view(x, n_head):
    return x.reshape(x.size(0), n_head, x.size(1), -1)


@mistake(
    SPLIT,
    "The numbers go to the heads in turn, like cards. A head is a block of neighbours: (h d), not "
    "(d h).",
)
def split_interleaved(x, n_head):
    return rearrange(x, "b t (d h) -> b h t d", h=n_head)


@mistake(
    SPLIT, "The heads are cut, but still stand behind the tokens: (b t h d) should be (b h t d)."
)
def split_not_moved(x, n_head):
    return rearrange(x, "b t (h d) -> b t h d", h=n_head)


@mistake(SPLIT, "The second argument is taken for the size of a head: it is the number of heads.")
def split_sizes_swapped(x, n_head):
    return rearrange(x, "b t (h d) -> b h t d", d=n_head)


@mistake(SPLIT, "The last two axes are swapped: tokens before the numbers of a head, (b h t d).")
def split_transposed(x, n_head):
    return rearrange(x, "b t (h d) -> b h d t", h=n_head)


@mistake(
    MERGE,
    "`view` (or `reshape`) alone mixes tokens: the heads of one token are not neighbours in memory. "
    "Move the axis first.",
)
def merge_by_view(x):
    return x.reshape(x.size(0), x.size(2), -1)


@mistake(
    MERGE, "The heads are interleaved: (h d) keeps each head's numbers together, (d h) does not."
)
def merge_interleaved(x):
    return rearrange(x, "b h t d -> b t (d h)")


@mistake(
    MERGE, "Heads and tokens are merged with each other: what belongs together are heads and d."
)
def merge_tokens(x):
    return rearrange(x, "b h t d -> b (h t) d")


@mistake(MERGE, "The heads are averaged away: they should stand side by side.")
def merge_by_mean(x):
    return x.float().mean(dim=1)


@mistake(
    REPEAT,
    "The heads are tiled, A B A B. Query head h reads head h // n_repeat: each is repeated in place, "
    "A A B B.",
    seen_in="onnx#7274",
)
def repeat_tiled(x, n_repeat):
    return x.repeat(1, n_repeat, 1, 1)


@mistake(REPEAT, "The tokens are repeated, not the heads: axis 1 counts the heads.")
def repeat_tokens(x, n_repeat):
    return repeat(x, "b g t d -> b g (t r) d", r=n_repeat)


@mistake(REPEAT, "The batch is repeated, not the heads: axis 1 counts the heads.")
def repeat_batch(x, n_repeat):
    return repeat(x, "b g t d -> (b r) g t d", r=n_repeat)


@mistake(
    REPEAT, "The numbers of each head are repeated: d must stay, the number of heads must grow."
)
def repeat_numbers(x, n_repeat):
    return repeat(x, "b g t d -> b g t (d r)", r=n_repeat)


# --- MultiHeadAttention.forward -------------------------------------------------------------------

FORWARD = "lib.attention.MultiHeadAttention.forward"


def _forward(self, x, mask, rotate, cache, *, square=False, repeat_first=False, tile=False,
             rotate_value=False, rotate_first=True, output=True, own_mask=True, causal=True,
             merge=merge_heads):  # fmt: skip
    query = split_heads(self.query(x), self.n_head)
    key = split_heads(self.key(x), self.n_kv_head)
    value = split_heads(self.value(x), self.n_kv_head)
    n_repeat = self.n_head // self.n_kv_head
    if repeat_first:
        key, value = repeat_kv(key, n_repeat), repeat_kv(value, n_repeat)
    if rotate is not None and rotate_first:
        query, key = rotate(query, key)
        if rotate_value:
            value = rotate(value, value)[1]
    if cache is not None:
        key, value = cache.append(key, value)
    if rotate is not None and not rotate_first:
        query, key = rotate(query, key)
    if mask is None or not own_mask:
        t, s = query.size(-2), key.size(-2)
        mask = torch.ones(t, s, dtype=torch.bool).tril() if square else visible(t, s)
    if not causal:
        mask = None
    if not repeat_first:
        spread = (lambda x: x.repeat(1, n_repeat, 1, 1)) if tile else (
            lambda x: repeat_kv(x, n_repeat))  # fmt: skip
        key, value = spread(key), spread(value)
    mixed = merge(scaled_dot_product_attention(query, key, value, mask))
    return self.output(mixed) if output else mixed


@mistake(
    FORWARD,
    "With a cache the mask is aligned at the top left, so that a new token sees only the oldest "
    "ones. Make it for as many keys as the cache gave back: causal_mask(t, s).",
)
def square_mask(self, x, mask=None, rotate=None, cache=None):
    return _forward(self, x, mask, rotate, cache, square=True)


@mistake(
    FORWARD,
    "Keys and values are repeated before they go into the cache: it then holds every one several "
    "times, and what grouped heads were to save is lost.",
)
def cached_after_repeat(self, x, mask=None, rotate=None, cache=None):
    return _forward(self, x, mask, rotate, cache, repeat_first=True)


@mistake(
    FORWARD, "The values are rotated too. Positions decide who is looked at, not what is said."
)
def rotated_values(self, x, mask=None, rotate=None, cache=None):
    return _forward(self, x, mask, rotate, cache, rotate_value=True)


@mistake(
    FORWARD,
    "Keys are rotated after the cache: it then holds them unturned, and `rotate`, which knows the "
    "positions of the new tokens only, must turn all of them at every step. Rotate first.",
)
def rotated_after_cache(self, x, mask=None, rotate=None, cache=None):
    return _forward(self, x, mask, rotate, cache, rotate_first=False)


@mistake(FORWARD, "The output projection is missing: the heads never get to mix.")
def no_output(self, x, mask=None, rotate=None, cache=None):
    return _forward(self, x, mask, rotate, cache, output=False)


@mistake(FORWARD, "The caller's mask is ignored: make the causal one only when none was given.")
def own_mask_always(self, x, mask=None, rotate=None, cache=None):
    return _forward(self, x, mask, rotate, cache, own_mask=False)


@mistake(
    FORWARD, "There is no causal mask when the caller gives none: every token sees the future."
)
def not_causal(self, x, mask=None, rotate=None, cache=None):
    return _forward(self, x, mask, rotate, cache, causal=mask is not None)


@mistake(
    FORWARD,
    "The key-value heads are tiled over the query heads, A B A B. Neighbours share one: A A B B.",
    seen_in="onnx#7274",
)
def tiled_heads(self, x, mask=None, rotate=None, cache=None):
    return _forward(self, x, mask, rotate, cache, tile=True)


@mistake(
    FORWARD,
    "The heads are put together by `view` without moving their axis back: tokens and heads get mixed.",
)
def merged_by_view(self, x, mask=None, rotate=None, cache=None):
    def by_view(y):
        return y.reshape(y.size(0), y.size(2), -1)

    return _forward(self, x, mask, rotate, cache, merge=by_view)


@mistake(
    FORWARD,
    "The cache is never used: key, value = cache.append(key, value) takes the new ones and gives back "
    "all so far.",
)
def cache_forgotten(self, x, mask=None, rotate=None, cache=None):
    return _forward(self, x, mask, rotate, None)


@mistake(
    FORWARD,
    "Neither `rotate` nor `cache` is used: where they are given, they turn queries and keys, and give "
    "back the keys and values of earlier tokens.",
)
def doors_forgotten(self, x, mask=None, rotate=None, cache=None):
    return _forward(self, x, mask, None, None)


@mistake(
    FORWARD,
    "What cache.append gives back is not used: new tokens see only one another, and forget the rest.",
)
def cache_ignored(self, x, mask=None, rotate=None, cache=None):
    if cache is not None:
        _forward(self, x, mask, rotate, cache)  # it is filled, but what it gives back is not read
    return _forward(self, x, mask, rotate, None)


@mistake(
    FORWARD,
    "`rotate` is never used: the model could only guess from the mask in which order its words stand.",
)
def rotate_ignored(self, x, mask=None, rotate=None, cache=None):
    return _forward(self, x, mask, None, cache)
