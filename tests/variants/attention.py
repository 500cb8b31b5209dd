"""Other right answers for the floor `lib.attention`."""

import math

import torch
import torch.nn.functional as F
from einops import einsum, rearrange

from lib.attention import causal_mask as make_mask
from tests.variants import right

MASK = "lib.attention.causal_mask"


@right(MASK)
def causal_mask(n_query, n_key=None, device=None):
    n_key = n_key or n_query
    if n_query > n_key:
        raise ValueError("more queries than keys")
    position = torch.arange(n_key - n_query, n_key, device=device)
    return torch.arange(n_key, device=device)[None, :] <= position[:, None]


@right(MASK, slow=True)
def causal_mask_by_rows(n_query, n_key=None, device=None):
    if n_key is None:
        n_key = n_query
    if n_query > n_key:
        raise ValueError("more queries than keys")
    whole = torch.triu(torch.ones(n_key, n_key, device=device), diagonal=1) == 0
    return whole[-n_query:]


SDPA = "lib.attention.scaled_dot_product_attention"


@right(SDPA)
def with_torch(query, key, value, mask=None):
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


@right(SDPA)
def with_einsum(query, key, value, mask=None):
    scores = einsum(query, key, "... t d, ... s d -> ... t s") * query.shape[-1] ** -0.5
    if mask is not None:
        scores = torch.where(mask, scores, torch.finfo(scores.dtype).min)
    scores = scores - scores.amax(dim=-1, keepdim=True)
    weights = scores.exp() / scores.exp().sum(dim=-1, keepdim=True)
    return einsum(weights, value, "... t s, ... s d -> ... t d")


@right(SDPA, slow=True)
def with_a_loop(query, key, value, mask=None):
    rows = []
    for t in range(query.size(-2)):
        scores = (query[..., t : t + 1, :] * key).sum(-1) / math.sqrt(query.size(-1))
        if mask is not None:
            scores = scores.masked_fill(mask[..., t, :].logical_not(), -math.inf)
        weights = torch.softmax(scores, -1)
        rows.append((weights[..., None] * value).sum(-2))
    return torch.stack(rows, dim=-2)


@right("lib.attention.split_heads")
def split_by_view(x, n_head):
    b, t, width = x.shape
    return x.view(b, t, n_head, width // n_head).transpose(1, 2)


@right("lib.attention.split_heads")
def split_by_chunks(x, n_head):
    return torch.stack(x.chunk(n_head, dim=-1), 1)


@right("lib.attention.merge_heads")
def merge_by_flatten(x):
    return x.permute(0, 2, 1, 3).flatten(2)


@right("lib.attention.merge_heads")
def merge_by_cat(x):
    return torch.cat(list(x.unbind(1)), dim=-1)


@right("lib.attention.repeat_kv")
def repeat_by_interleave(x, n_repeat):
    return torch.repeat_interleave(x, n_repeat, dim=1)


@right("lib.attention.repeat_kv")
def repeat_by_expand(x, n_repeat):
    b, g, t, d = x.shape
    return x[:, :, None].expand(b, g, n_repeat, t, d).reshape(b, g * n_repeat, t, d)


FORWARD = "lib.attention.MultiHeadAttention.forward"


@right(FORWARD)
def forward_with_torch(self, x, mask=None, rotate=None, cache=None):
    b, t, _ = x.shape
    query = self.query(x).view(b, t, self.n_head, -1).transpose(1, 2)
    key = self.key(x).view(b, t, self.n_kv_head, -1).transpose(1, 2)
    value = self.value(x).view(b, t, self.n_kv_head, -1).transpose(1, 2)
    if rotate:
        query, key = rotate(query, key)
    if cache is not None:
        key, value = cache.append(key, value)
    if mask is None:
        mask = make_mask(t, key.size(2))
    y = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True)
    return self.output(y.transpose(1, 2).reshape(b, t, -1))


@right(FORWARD)
def forward_grouped(self, x, mask=None, rotate=None, cache=None):
    """Queries are grouped instead of repeating the keys."""
    query = rearrange(self.query(x), "b t (h d) -> b h t d", h=self.n_head)
    key = rearrange(self.key(x), "b t (g d) -> b g t d", g=self.n_kv_head)
    value = rearrange(self.value(x), "b t (g d) -> b g t d", g=self.n_kv_head)
    if rotate is not None:
        query, key = rotate(query, key)
    if cache is not None:
        key, value = cache.append(key, value)
    if mask is None:
        mask = make_mask(query.shape[2], key.shape[2])
    query = rearrange(query, "b (g r) t d -> b g r t d", g=self.n_kv_head)
    scores = einsum(query, key, "b g r t d, b g s d -> b g r t s") / math.sqrt(self.d_head)
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
    mixed = einsum(weights, value, "b g r t s, b g s d -> b g r t d")
    return self.output(rearrange(mixed, "b g r t d -> b t (g r d)"))
