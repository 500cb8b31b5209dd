"""Classic mistakes on the floor `lib.transformer`."""

import torch
import torch.nn.functional as F
from torch import nn

import lib.course.checks.transformer  # the exercises must be known first
from lib.course.bank import mistake
from lib.course.checks.transformer import add_up_shapes, bend
from lib.transformer import activate

# --- RMSNorm.forward ------------------------------------------------------------------------------

NORM = "lib.transformer.RMSNorm.forward"


def _size(x, eps, dim=-1):
    return (x.square().mean(dim=dim, keepdim=True) + eps).sqrt()


def _weigh(self, scaled, x):
    return (scaled * (self.offset + self.weight.float())).to(x.dtype)


@mistake(
    NORM,
    "The mean is subtracted first: that is LayerNorm. RMSNorm only divides, by the root mean "
    "square.",
)
def subtract_the_mean(self, x):
    centred = x.float() - x.float().mean(dim=-1, keepdim=True)
    return _weigh(self, centred / _size(centred, self.eps), x)


@mistake(
    NORM,
    "ε is added after the root. It belongs under it: √(mean x² + ε), or published models "
    "would give other numbers.",
)
def epsilon_outside(self, x):
    exact = x.float()
    return _weigh(self, exact / (_size(exact, 0) + self.eps), x)


@mistake(NORM, "The squares are added up, not averaged: that divides by √d too much.")
def sum_for_mean(self, x):
    exact = x.float()
    size = (exact.square().sum(dim=-1, keepdim=True) + self.eps).sqrt()
    return _weigh(self, exact / size, x)


@mistake(
    NORM,
    "The root is missing: a vector is divided by its size, and its size is √(mean x²).",
)
def without_root(self, x):
    exact = x.float()
    return _weigh(self, exact / (exact.square().mean(dim=-1, keepdim=True) + self.eps), x)


@mistake(NORM, "ε is not added at all: a token whose numbers are all 0 becomes nan.")
def without_epsilon(self, x):
    exact = x.float()
    return _weigh(self, exact / _size(exact, 0), x)


@mistake(
    NORM,
    "The vectors are divided by their standard deviation, which subtracts the mean within "
    "and divides by d − 1. The size here is the root of the mean square.",
    seen_in="early ports of LayerNorm",
)
def unbiased_std(self, x):
    exact = x.float()
    return _weigh(self, exact / (exact.std(dim=-1, keepdim=True) + self.eps), x)


@mistake(
    NORM,
    "The caller's x is changed in place: in float32, x.float() is x itself, and the residual "
    "stream, which others still read, is overwritten. Make a new tensor: no mul_, no *=.",
    seen_in="nano-vllm#170",
)
def in_place(self, x):
    exact = x.float()
    exact /= _size(exact, self.eps)
    return _weigh(self, exact, x)


@mistake(
    NORM,
    "The squares are made in the precision of x: in float16 they overflow as soon as a number "
    "reaches 256. Go to float32 first, and back at the end.",
)
def squares_overflow(self, x):
    return (x / _size(x, self.eps) * (self.offset + self.weight)).to(x.dtype)


@mistake(
    NORM,
    "The result stays in float32: give it back in the dtype that x came in.",
)
def always_float(self, x):
    exact = x.float()
    return exact / _size(exact, self.eps) * (self.offset + self.weight.float())


@mistake(
    NORM, "The weight is missing: each number is multiplied by a learnt one, after the division."
)
def without_weight(self, x):
    exact = x.float()
    return (exact / _size(exact, self.eps)).to(x.dtype)


@mistake(NORM, "The offset is missing: Gemma's weights start at 0 and count as 1 + weight.")
def without_offset(self, x):
    exact = x.float()
    return (exact / _size(exact, self.eps) * self.weight.float()).to(x.dtype)


@mistake(
    NORM,
    "One size is computed for all tokens together. Each vector has its own: mean over the last "
    "axis, dim=-1, keepdim=True.",
)
def one_size_for_all(self, x):
    exact = x.float()
    return _weigh(self, exact / (exact.square().mean() + self.eps).sqrt(), x)


# --- rotary positions -----------------------------------------------------------------------------

ANGLES, APPLY = "lib.transformer.rotary_angles", "lib.transformer.apply_rotary"


def _speeds(positions, d_head, base, step=2.0, first=0, power=-1):
    pairs = torch.arange(first, d_head // 2 + first, device=positions.device, dtype=torch.float32)
    return base ** (power * step * pairs / d_head)


def _stretched(speeds, stretch):
    return speeds if stretch is None else stretch(speeds)


@mistake(
    ANGLES,
    "The positions are counted anew from 0. With a cache the new tokens stand behind the old "
    "ones: use the positions that come in.",
)
def restarted(positions, d_head, base=10_000.0, stretch=None):
    from_0 = torch.arange(positions.size(-1), device=positions.device).expand(positions.shape)
    return from_0[..., None].float() * _stretched(_speeds(positions, d_head, base), stretch)


@mistake(
    ANGLES,
    "The exponent is −i/d, half of what it should be: pair i turns with base^(−2i/d), and "
    "there are d/2 pairs.",
)
def half_exponent(positions, d_head, base=10_000.0, stretch=None):
    speeds = _speeds(positions, d_head, base, step=1.0)
    return positions[..., None].float() * _stretched(speeds, stretch)


@mistake(ANGLES, "The exponent has no minus: the last pairs should turn slowest, not fastest.")
def faster_and_faster(positions, d_head, base=10_000.0, stretch=None):
    speeds = _speeds(positions, d_head, base, power=1)
    return positions[..., None].float() * _stretched(speeds, stretch)


@mistake(
    ANGLES,
    "The pairs are counted from 1. The first pair is number 0 and turns by one radian for "
    "each token.",
)
def counted_from_1(positions, d_head, base=10_000.0, stretch=None):
    speeds = _speeds(positions, d_head, base, first=1)
    return positions[..., None].float() * _stretched(speeds, stretch)


@mistake(
    ANGLES,
    "Each angle stands twice. Here one for each pair is wanted, d_head/2 of them; "
    "apply_rotary uses it for both numbers of the pair.",
)
def both_halves(positions, d_head, base=10_000.0, stretch=None):
    angles = positions[..., None].float() * _stretched(_speeds(positions, d_head, base), stretch)
    return torch.cat([angles, angles], dim=-1)


@mistake(ANGLES, "`base` is not used: 10,000 is only its default.")
def base_ignored(positions, d_head, base=10_000.0, stretch=None):
    speeds = _speeds(positions, d_head, 10_000.0)
    return positions[..., None].float() * _stretched(speeds, stretch)


@mistake(ANGLES, "`stretch` is not used: where it is given, it changes the frequencies.")
def stretch_ignored(positions, d_head, base=10_000.0, stretch=None):
    return positions[..., None].float() * _speeds(positions, d_head, base)


@mistake(
    ANGLES,
    "`stretch` gets the angles. It changes the frequencies, before they meet the positions.",
)
def angles_stretched(positions, d_head, base=10_000.0, stretch=None):
    return _stretched(positions[..., None].float() * _speeds(positions, d_head, base), stretch)


@mistake(
    ANGLES,
    "These are the cosines. The angles themselves are wanted; cosine and sine come after.",
)
def cosines(positions, d_head, base=10_000.0, stretch=None):
    angles = positions[..., None].float() * _stretched(_speeds(positions, d_head, base), stretch)
    return angles.cos()


@mistake(ANGLES, "Rows and columns are swapped: a row for each position, a column for each pair.")
def transposed(positions, d_head, base=10_000.0, stretch=None):
    angles = positions[..., None].float() * _stretched(_speeds(positions, d_head, base), stretch)
    return angles.mT


@mistake(
    ANGLES,
    "The frequencies are made on another device than the positions: on a GPU they could not "
    "meet. device=positions.device.",
)
def elsewhere(positions, d_head, base=10_000.0, stretch=None):
    if positions.device.type != "cpu":
        positions = torch.zeros(positions.shape)
    return positions[..., None].float() * _stretched(_speeds(positions, d_head, base), stretch)


@mistake(
    ANGLES,
    "It works for a single text only: positions[:, None] puts the new axis second. With a batch of "
    "texts it must be the last one, positions[..., None].",
)
def one_text_only(positions, d_head, base=10_000.0, stretch=None):
    return positions[:, None].float() * _stretched(_speeds(positions, d_head, base), stretch)


def _like(x, cos, sin):
    return cos.to(x.dtype), sin.to(x.dtype)


@mistake(
    APPLY,
    "Neighbours are paired, x[0] with x[1]. Here pair i is (x[i], x[i + d/2]), as in the weights "
    "that are published; the other way is as good, but not for them.",
    seen_in="transformers#25199",
)
def interleaved(x, cos, sin):
    cos, sin = _like(x, cos, sin)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(-2)


@mistake(
    APPLY,
    "The pairs are read as halves, but written as neighbours: what was split in halves must be "
    "put together in halves, with cat.",
)
def halves_in_neighbours_out(x, cos, sin):
    cos, sin = _like(x, cos, sin)
    a, b = x.chunk(2, dim=-1)
    return torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2)


@mistake(
    APPLY,
    "It turns backwards: the minus belongs to the first number, first·cos − second·sin.",
)
def backwards(x, cos, sin):
    cos, sin = _like(x, cos, sin)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)


@mistake(
    APPLY,
    "There is no minus: without it nothing turns, and lengths change.",
)
def without_minus(x, cos, sin):
    cos, sin = _like(x, cos, sin)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos + b * sin, b * cos + a * sin], dim=-1)


@mistake(APPLY, "Sine and cosine are swapped: at angle 0, cosine 1, nothing may change.")
def swapped(x, cos, sin):
    sin, cos = _like(x, cos, sin)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


@mistake(
    APPLY,
    "The second number is computed from the first one's new value. Both need the old ones: "
    "give the new ones other names.",
)
def new_mixed_with_old(x, cos, sin):
    cos, sin = _like(x, cos, sin)
    a, b = x.chunk(2, dim=-1)
    a = a * cos - b * sin
    b = b * cos + a * sin
    return torch.cat([a, b], dim=-1)


@mistake(APPLY, "The two halves come back in the wrong order: the first half first.")
def halves_swapped(x, cos, sin):
    cos, sin = _like(x, cos, sin)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([b * cos + a * sin, a * cos - b * sin], dim=-1)


@mistake(
    APPLY,
    "The result comes back in float32: bring cos and sin to the dtype of x.",
)
def always_float_rotary(x, cos, sin):
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


@mistake(
    APPLY,
    "The caller's x is overwritten: make a new tensor, with cat.",
)
def overwritten(x, cos, sin):
    cos, sin = _like(x, cos, sin)
    half = x.size(-1) // 2
    a, b = x[..., :half].clone(), x[..., half:].clone()
    x[..., :half] = a * cos - b * sin
    x[..., half:] = b * cos + a * sin
    return x


@mistake(
    APPLY,
    "The pairs are read as neighbours, x[0::2] and x[1::2], and written as halves. Read halves: pair i "
    "is (x[i], x[i + d/2]).",
)
def neighbours_in_halves_out(x, cos, sin):
    cos, sin = _like(x, cos, sin)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


# --- GatedMLP.forward -----------------------------------------------------------------------------

MLP = "lib.transformer.GatedMLP.forward"


@mistake(
    MLP,
    "Gate and up are swapped: the activation is on the gate alone. A model trained from scratch "
    "would not notice; published weights do.",
)
def gate_and_up_swapped(self, x):
    return self.down(activate(self.up(x), self.activation) * self.gate(x))


@mistake(
    MLP,
    "A sigmoid stands where the activation should be: SiLU is x · sigmoid(x), and self.activation "
    "says which one it is.",
)
def sigmoid_for_silu(self, x):
    return self.down(torch.sigmoid(self.gate(x)) * self.up(x))


@mistake(
    MLP,
    "The exact GELU is used where the model asks for the tanh approximation, which its weights "
    "were trained with. `activate` knows both.",
    seen_in="litgpt#999, vllm#3411",
)
def exact_for_tanh(self, x):
    kind = "gelu" if self.activation == "gelu_tanh" else self.activation
    return self.down(bend(self.gate(x), kind) * self.up(x))


@mistake(
    MLP,
    "SiLU is used whatever the model asks for: hand self.activation on to `activate`.",
)
def always_silu(self, x):
    return self.down(F.silu(self.gate(x)) * self.up(x))


@mistake(
    MLP,
    "The activation is missing: without it the gate is a product of two linear maps, and nothing "
    "ever closes.",
)
def without_activation(self, x):
    return self.down(self.gate(x) * self.up(x))


@mistake(
    MLP, "The product is bent: the activation is on the gate alone, before they are multiplied."
)
def product_bent(self, x):
    return self.down(activate(self.gate(x) * self.up(x), self.activation))


@mistake(MLP, "Both are bent: the activation is on the gate alone.")
def both_bent(self, x):
    return self.down(
        activate(self.gate(x), self.activation) * activate(self.up(x), self.activation)
    )


@mistake(MLP, "Gate and up are added: a gate multiplies.")
def added(self, x):
    return self.down(activate(self.gate(x), self.activation) + self.up(x))


@mistake(MLP, "The gate is never used: this is the plain MLP of GPT-2.")
def gate_forgotten(self, x):
    return self.down(activate(self.up(x), self.activation))


@mistake(MLP, "The last matrix is missing: self.down brings the vector back to d_model numbers.")
def down_forgotten(self, x):
    return activate(self.gate(x), self.activation) * self.up(x)


@mistake(MLP, "x is added to the result. The MLP gives back only its news; the block adds them.")
def residual_inside(self, x):
    return x + self.down(activate(self.gate(x), self.activation) * self.up(x))


# --- Block.forward --------------------------------------------------------------------------------

BLOCK = "lib.transformer.Block.forward"


def _thought(self, x):
    return x + self.mlp_post_norm(self.mlp(self.mlp_norm(x)))


@mistake(
    BLOCK,
    "The norm comes after the addition, as in the transformer of 2017. Here it stands before "
    "attention and MLP, and the stream itself is never normalised.",
)
def norm_after(self, x, mask=None, rotate=None, cache=None):
    x = self.attention_norm(x + self.attention_post_norm(self.attend(x, mask, rotate, cache)))
    return self.mlp_norm(x + self.mlp_post_norm(self.mlp(x)))


@mistake(
    BLOCK,
    "The stream is replaced by its normalised copy, x = norm(x): add to the stream itself, and "
    "let attention and MLP read the copy.",
)
def stream_normalised(self, x, mask=None, rotate=None, cache=None):
    x = self.attention_norm(x)
    x = x + self.attention_post_norm(self.attend(x, mask, rotate, cache))
    x = self.mlp_norm(x)
    return x + self.mlp_post_norm(self.mlp(x))


@mistake(
    BLOCK,
    "What attention brings replaces the stream instead of being added to it: x = x + ….",
)
def no_first_residual(self, x, mask=None, rotate=None, cache=None):
    x = self.attention_post_norm(self.attend(self.attention_norm(x), mask, rotate, cache))
    return _thought(self, x)


@mistake(BLOCK, "What the MLP says replaces the stream instead of being added to it: x + ….")
def no_second_residual(self, x, mask=None, rotate=None, cache=None):
    news = self.attend(self.attention_norm(x), mask, rotate, cache)
    x = x + self.attention_post_norm(news)
    return self.mlp_post_norm(self.mlp(self.mlp_norm(x)))


@mistake(
    BLOCK,
    "Nothing is added to the stream: both parts replace it. Write x + … twice.",
)
def no_residual(self, x, mask=None, rotate=None, cache=None):
    news = self.attend(self.attention_norm(x), mask, rotate, cache)
    return self.mlp_post_norm(self.mlp(self.mlp_norm(self.attention_post_norm(news))))


@mistake(
    BLOCK,
    "The MLP reads the stream as it was before attention. It should think about the news too: "
    "attention first, then the MLP on the new x.",
    seen_in="GPT-J and PaLM do so on purpose; their weights were trained with it",
)
def in_parallel(self, x, mask=None, rotate=None, cache=None):
    news = self.attention_post_norm(self.attend(self.attention_norm(x), mask, rotate, cache))
    return x + news + self.mlp_post_norm(self.mlp(self.mlp_norm(x)))


@mistake(BLOCK, "The MLP comes first: attention first, then the MLP.")
def mlp_first(self, x, mask=None, rotate=None, cache=None):
    x = _thought(self, x)
    return x + self.attention_post_norm(self.attend(self.attention_norm(x), mask, rotate, cache))


@mistake(
    BLOCK,
    "The norms of attention and MLP are swapped: each has learnt the weights of its own.",
)
def norms_swapped(self, x, mask=None, rotate=None, cache=None):
    x = x + self.attention_post_norm(self.attend(self.mlp_norm(x), mask, rotate, cache))
    return x + self.mlp_post_norm(self.mlp(self.attention_norm(x)))


@mistake(BLOCK, "The norms are missing: attention and MLP read a normalised copy of the stream.")
def without_norms(self, x, mask=None, rotate=None, cache=None):
    x = x + self.attention_post_norm(self.attend(x, mask, rotate, cache))
    return x + self.mlp_post_norm(self.mlp(x))


@mistake(
    BLOCK,
    "The post norms are missing: what attention and MLP give back goes through them before it is "
    "added. In most models they do nothing, in Gemma 3 they do.",
)
def without_post_norms(self, x, mask=None, rotate=None, cache=None):
    x = x + self.attend(self.attention_norm(x), mask, rotate, cache)
    return x + self.mlp(self.mlp_norm(x))


@mistake(
    BLOCK,
    "The post norms are applied to the sum: they are for the news alone, before it is added.",
)
def post_norms_on_the_stream(self, x, mask=None, rotate=None, cache=None):
    x = self.attention_post_norm(x + self.attend(self.attention_norm(x), mask, rotate, cache))
    return self.mlp_post_norm(x + self.mlp(self.mlp_norm(x)))


@mistake(
    BLOCK,
    "self.attention is called directly: self.attend does the same and normalises and scales "
    "queries and keys as the config says.",
)
def attention_directly(self, x, mask=None, rotate=None, cache=None):
    x = x + self.attention_post_norm(self.attention(self.attention_norm(x), mask, rotate, cache))
    return _thought(self, x)


@mistake(
    BLOCK,
    "The caller's x is changed by +=: write x = x + …, which makes a new tensor.",
)
def caller_changed(self, x, mask=None, rotate=None, cache=None):
    news = self.attention_post_norm(self.attend(self.attention_norm(x), mask, rotate, cache))
    x += news
    return _thought(self, x)


@mistake(BLOCK, "mask, rotate and cache are not handed on to self.attend.")
def doors_closed(self, x, mask=None, rotate=None, cache=None):
    return _thought(
        self, x + self.attention_post_norm(self.attend(self.attention_norm(x), None, None, None))
    )


@mistake(BLOCK, "The mask is not handed on to self.attend.")
def mask_dropped(self, x, mask=None, rotate=None, cache=None):
    news = self.attend(self.attention_norm(x), None, rotate, cache)
    return _thought(self, x + self.attention_post_norm(news))


# --- Transformer.forward --------------------------------------------------------------------------

MODEL = "lib.transformer.Transformer.forward"


def _forward(self, tokens, positions, mask, cache, head, *, final_norm=True, restart=False,
             look=0, own_positions=True, layer_cache=True, first_sight=False, embed=None,
             norm_before_head=True, own_head=False, last_only=False, reverse=False,
             blocks_get_cache=True, own_mask=True, stop=0):  # fmt: skip
    old = 0 if cache is None else len(cache[0])
    new = tokens.size(-1)
    if positions is None or not own_positions:
        start = 0 if restart else old
        positions = torch.arange(start, start + new, device=tokens.device)
    x = (embed or self.embed)(tokens, positions)
    sights = self.sights(positions, old + new, mask if own_mask else None)
    layers = list(enumerate(self.blocks))
    for layer, block in reversed(layers) if reverse else layers[: len(layers) - stop]:
        own, rotate = sights[0 if first_sight else layer]
        memory = None
        if cache is not None and blocks_get_cache:
            memory = cache[layer if layer_cache else 0]
        x = block(x, own, rotate, memory)
    if own_head:
        head = None
    if head is not None and not norm_before_head:
        return head(x)
    x = self.norm(x) if final_norm else x
    return (head or self.head)(x)


@mistake(
    MODEL,
    "The last norm is missing: the stream goes through self.norm before the head reads it.",
)
def no_final_norm(self, tokens, positions=None, mask=None, cache=None, head=None):
    return _forward(self, tokens, positions, mask, cache, head, final_norm=False)


@mistake(
    MODEL,
    "With a cache the positions start at 0 again. The new tokens stand behind those that the "
    "cache holds: start at len(cache[0]).",
    seen_in="executorch#2010",
)
def positions_restart(self, tokens, positions=None, mask=None, cache=None, head=None):
    return _forward(self, tokens, positions, mask, cache, head, restart=True)


@mistake(MODEL, "The caller's positions are ignored: count them only where none are given.")
def positions_ignored(self, tokens, positions=None, mask=None, cache=None, head=None):
    return _forward(self, tokens, positions, mask, cache, head, own_positions=False)


@mistake(
    MODEL,
    "All layers share the cache of the first: each block has its own, cache[layer].",
)
def one_cache(self, tokens, positions=None, mask=None, cache=None, head=None):
    old = 0 if cache is None else len(cache[0])
    new = tokens.size(-1)
    if positions is None:
        positions = torch.arange(old, old + new)
    x = self.embed(tokens, positions)
    for layer, block in enumerate(self.blocks):
        held = 0 if cache is None else len(cache[0])
        own, rotate = self.sights(positions, held + new, mask)[layer]
        x = block(x, own, rotate, None if cache is None else cache[0])
    return (head or self.head)(self.norm(x))


@mistake(
    MODEL,
    "Every layer gets what the first one sees. In some models layers differ: sights[layer].",
)
def same_sight(self, tokens, positions=None, mask=None, cache=None, head=None):
    return _forward(self, tokens, positions, mask, cache, head, first_sight=True)


@mistake(
    MODEL,
    "The tokens are only looked up in the table. self.embed does that and what some models add: "
    "learned positions, a scale.",
)
def only_looked_up(self, tokens, positions=None, mask=None, cache=None, head=None):
    return _forward(
        self, tokens, positions, mask, cache, head, embed=lambda t, _: self.embedding(t)
    )


@mistake(MODEL, "The caller's mask is not used: hand it on to self.sights.")
def mask_ignored(self, tokens, positions=None, mask=None, cache=None, head=None):
    return _forward(self, tokens, positions, mask, cache, head, own_mask=False)


@mistake(
    MODEL, "The caller's head is not used: where one is given, it reads in place of self.head."
)
def head_ignored(self, tokens, positions=None, mask=None, cache=None, head=None):
    return _forward(self, tokens, positions, mask, cache, head, own_head=True)


@mistake(MODEL, "The caller's head reads before the last norm: it stands where self.head would.")
def head_before_norm(self, tokens, positions=None, mask=None, cache=None, head=None):
    return _forward(self, tokens, positions, mask, cache, head, norm_before_head=False)


@mistake(
    MODEL,
    "The blocks never see the cache: hand each its own, cache[layer], where there is one.",
)
def cache_forgotten(self, tokens, positions=None, mask=None, cache=None, head=None):
    return _forward(self, tokens, positions, mask, None, head)


@mistake(
    MODEL,
    "These are probabilities. Logits are wanted, as the head gives them: cross-entropy takes "
    "the softmax itself, and taking it twice flattens everything.",
)
def probabilities(self, tokens, positions=None, mask=None, cache=None, head=None):
    return _forward(self, tokens, positions, mask, cache, head).softmax(dim=-1)


@mistake(
    MODEL,
    "Only the last position is scored. In training every position guesses its next token: (b t v).",
)
def only_the_last(self, tokens, positions=None, mask=None, cache=None, head=None):
    return _forward(self, tokens, positions, mask, cache, head)[:, -1:]


@mistake(
    MODEL,
    "What the cache holds is not counted: with a cache the new tokens stand behind its len(cache[0]) "
    "old ones, and there are that many keys more.",
)
def old_tokens_forgotten(self, tokens, positions=None, mask=None, cache=None, head=None):
    new = tokens.size(-1)
    if positions is None:
        positions = torch.arange(new, device=tokens.device)
    x = self.embed(tokens, positions)
    sights = self.sights(positions, new, mask)
    for layer, block in enumerate(self.blocks):
        x = block(x, *sights[layer], None if cache is None else cache[layer])
    return (head or self.head)(self.norm(x))


@mistake(MODEL, "The blocks run from the last to the first.")
def backwards_through(self, tokens, positions=None, mask=None, cache=None, head=None):
    return _forward(self, tokens, positions, mask, cache, head, reverse=True)


@mistake(MODEL, "The last block is left out: loop over all of self.blocks.")
def one_block_short(self, tokens, positions=None, mask=None, cache=None, head=None):
    return _forward(self, tokens, positions, mask, cache, head, stop=1)


# --- counting -------------------------------------------------------------------------------------

COUNT, FLOPS = "lib.transformer.count_parameters", "lib.transformer.flops_per_token"


def _norms(config):
    """Numbers in the norms of one block."""
    size = 2 if config.norm == "layer" else 1
    own = 2 * config.head_size * size if config.qk_norm else 0
    return config.d_model * size * (4 if config.post_norm else 2) + own


@mistake(
    COUNT,
    "The head is counted beside the embedding even where they are one table (tied).",
)
def tied_head_twice(config):
    head = config.vocab_size * config.d_model if config.tied else 0
    return add_up_shapes(config) + head


@mistake(
    COUNT,
    "A head of its own is not counted: where the config is not tied there are two tables.",
)
def own_head_forgotten(config):
    head = 0 if config.tied else config.vocab_size * config.d_model
    return add_up_shapes(config) - head


@mistake(
    COUNT,
    "Keys and values are counted as wide as queries: there are only kv_heads of them.",
)
def full_key_heads(config):
    missing = 2 * config.d_model * (config.n_head - config.kv_heads) * config.head_size
    if config.bias:
        missing += 2 * (config.n_head - config.kv_heads) * config.head_size
    return add_up_shapes(config) + config.n_layer * missing


@mistake(
    COUNT,
    "Heads are taken to be d_model / n_head wide. A model may choose: n_head · head_size is "
    "another number than d_model in some.",
)
def head_size_assumed(config):
    d, size = config.d_model, config.head_size
    wrong = d / config.n_head
    change = 2 * d * (config.n_head + config.kv_heads) * (wrong - size)
    if config.bias:
        change += (config.n_head + 2 * config.kv_heads) * (wrong - size)
    return int(add_up_shapes(config) + config.n_layer * change)


@mistake(COUNT, "The gate is not counted: an MLP with a gate has three matrices.")
def gate_not_counted(config):
    gate = config.d_model * config.hidden + (config.hidden if config.bias else 0)
    return add_up_shapes(config) - (config.n_layer * gate if config.gated else 0)


@mistake(COUNT, "Three matrices are counted for every MLP: without a gate there are two.")
def always_gated(config):
    gate = config.d_model * config.hidden + (config.hidden if config.bias else 0)
    return add_up_shapes(config) + (0 if config.gated else config.n_layer * gate)


@mistake(COUNT, "The norms are not counted: few numbers, but learnt ones.")
def no_norms(config):
    last = config.d_model * (2 if config.norm == "layer" else 1)
    return add_up_shapes(config) - config.n_layer * _norms(config) - last


@mistake(COUNT, "The last norm, behind all blocks, is not counted.")
def no_last_norm(config):
    return add_up_shapes(config) - config.d_model * (2 if config.norm == "layer" else 1)


@mistake(
    COUNT,
    "The norms of queries and keys (qk_norm) are not counted: two of head_size in each block.",
)
def no_head_norms(config):
    size = 2 if config.norm == "layer" else 1
    small = 2 * config.head_size * size if config.qk_norm else 0
    return add_up_shapes(config) - config.n_layer * small


@mistake(COUNT, "The post norms are not counted: with post_norm a block has four norms, not two.")
def no_post_norms(config):
    size = 2 if config.norm == "layer" else 1
    extra = 2 * config.d_model * size if config.post_norm else 0
    return add_up_shapes(config) - config.n_layer * extra


@mistake(COUNT, "Learned positions are not counted: a table of n_context rows, as in GPT-2.")
def no_positions(config):
    table = config.n_context * config.d_model if config.position == "learned" else 0
    return add_up_shapes(config) - table


def _biases(config):
    widths = (config.n_head + 2 * config.kv_heads) * config.head_size + 2 * config.d_model
    return widths + config.hidden * (2 if config.gated else 1) if config.bias else 0


@mistake(COUNT, "The biases are not counted: with bias, one for each output of each projection.")
def no_biases(config):
    return add_up_shapes(config) - config.n_layer * _biases(config)


@mistake(COUNT, "A LayerNorm is counted as one vector: it has a weight and a bias.")
def layer_norm_without_bias(config):
    if config.norm != "layer":
        return add_up_shapes(config)
    blocks = config.n_layer * (_norms(config) // 2)
    return add_up_shapes(config) - blocks - config.d_model


def _operations(config, n_context, *, per_weight=6, head=1, scores=12, heads=None, size=None,
                keys=None, matrices=None, embedding=0):  # fmt: skip
    d = config.d_model
    heads, size = heads or config.n_head, size or config.head_size
    attention = 2 * d * config.n_head * config.head_size
    attention += 2 * d * (keys or config.kv_heads) * config.head_size
    mlp = (matrices or (3 if config.gated else 2)) * d * config.hidden
    weights = config.n_layer * (attention + mlp) + (head + embedding) * config.vocab_size * d
    return per_weight * weights + scores * config.n_layer * heads * size * n_context


@mistake(
    FLOPS,
    "Only the way forward is counted. Training goes back as well, which costs twice as much: "
    "three times in all.",
)
def forward_only(config, n_context):
    return _operations(config, n_context, per_weight=2, scores=4)


@mistake(FLOPS, "A multiplication and an addition are counted as one operation: they are two.")
def multiply_adds(config, n_context):
    return _operations(config, n_context, per_weight=3, scores=6)


@mistake(
    FLOPS,
    "Scores and averages are not counted: they have no weights, but they are products, and the "
    "longer the text the more.",
)
def without_scores(config, n_context):
    return _operations(config, n_context, scores=0)


@mistake(
    FLOPS,
    "Only the scores are counted in attention, or only the seen half: computing scores and "
    "averages takes 12 · n_layer · n_head · head_size · n_context, the masked half too.",
)
def half_the_scores(config, n_context):
    return _operations(config, n_context, scores=6)


@mistake(FLOPS, "The head is left out: scoring every possible next token is a large product.")
def without_head(config, n_context):
    return _operations(config, n_context, head=0)


@mistake(
    FLOPS,
    "The embedding table is counted as a product. It is only looked up; the head multiplies.",
)
def lookup_counted(config, n_context):
    return _operations(config, n_context, embedding=0 if config.tied else 1)


@mistake(
    FLOPS,
    "Every learnt number is counted, norms, biases and positions too: only matrices multiply.",
)
def all_parameters(config, n_context):
    scores = _operations(config, n_context, per_weight=0)
    return 6 * add_up_shapes(config) + scores


@mistake(
    FLOPS,
    "Scores are counted for key-value heads only. Every query head compares, whoever it shares "
    "its keys with: n_head.",
)
def shared_scores(config, n_context):
    return _operations(config, n_context, heads=config.kv_heads)


@mistake(
    FLOPS,
    "Scores are counted with d_model. What is compared are n_head · head_size numbers, which "
    "may be more.",
)
def scores_of_d_model(config, n_context):
    return _operations(config, n_context, heads=1, size=config.d_model)


@mistake(FLOPS, "Keys and values are counted as wide as queries: there are only kv_heads of them.")
def wide_keys(config, n_context):
    return _operations(config, n_context, keys=config.n_head)


@mistake(FLOPS, "This is the cost of a whole text: for each token it is n_context times less.")
def whole_text(config, n_context):
    return _operations(config, n_context) * n_context
