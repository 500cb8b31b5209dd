"""Other right answers for the floor `lib.transformer`."""

import math

import torch
import torch.nn.functional as F

from lib.transformer import activate
from tests.variants import right

NORM = "lib.transformer.RMSNorm.forward"


@right(NORM)
def norm_by_torch(self, x):
    weight = self.weight.float() + self.offset
    return F.rms_norm(x.float(), x.shape[-1:], weight, self.eps).type_as(x)


@right(NORM)
def norm_by_length(self, x):
    """The length of a vector is √d times its root mean square."""
    y = x.to(torch.float32)
    length = torch.linalg.vector_norm(y, dim=-1, keepdim=True)
    size = torch.sqrt(length**2 / x.shape[-1] + self.eps)
    return ((y / size) * (self.weight.float() + self.offset)).to(x.dtype)


@right(NORM)
def norm_weighted_in_half(self, x):
    """As in Llama: back to half precision first, then the weights."""
    y = x.float()
    y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)
    return (y.type_as(x) * (self.weight + self.offset)).to(x.dtype)


ANGLES = "lib.transformer.rotary_angles"


@right(ANGLES)
def angles_by_outer(positions, d_head, base=10_000.0, stretch=None):
    i = torch.arange(d_head // 2, device=positions.device)
    frequencies = 1.0 / base ** (2 * i.float() / d_head)
    if stretch:
        frequencies = stretch(frequencies)
    return torch.einsum("...t,i->...ti", positions.float(), frequencies)


@right(ANGLES)
def angles_by_exp(positions, d_head, base=10_000.0, stretch=None):
    steps = torch.linspace(0, 1 - 2 / d_head, d_head // 2, device=positions.device)
    frequencies = torch.exp(-steps * math.log(base))
    frequencies = frequencies if stretch is None else stretch(frequencies)
    return positions.unsqueeze(-1) * frequencies


APPLY = "lib.transformer.apply_rotary"


@right(APPLY)
def apply_by_rotate_half(x, cos, sin):
    """As in transformers: every angle twice."""
    half = x.shape[-1] // 2
    rotated = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
    cos = torch.cat((cos, cos), dim=-1).to(x.dtype)
    sin = torch.cat((sin, sin), dim=-1).to(x.dtype)
    return x * cos + rotated * sin


@right(APPLY)
def apply_by_complex_numbers(x, cos, sin):
    half = x.shape[-1] // 2
    pairs = torch.complex(x[..., :half].float(), x[..., half:].float())
    turned = pairs * torch.complex(cos, sin)
    return torch.cat((turned.real, turned.imag), dim=-1).type_as(x)


@right(APPLY, slow=True)
def apply_by_matrices(x, cos, sin):
    """A little matrix for each pair, as the paper draws it."""
    pairs = torch.stack(x.float().chunk(2, dim=-1), dim=-1)
    matrix = torch.stack((torch.stack((cos, -sin), -1), torch.stack((sin, cos), -1)), -2)
    turned = (matrix @ pairs[..., None])[..., 0]
    return torch.cat((turned[..., 0], turned[..., 1]), dim=-1).to(x.dtype)


MLP = "lib.transformer.GatedMLP.forward"


@right(MLP)
def mlp_in_steps(self, x):
    gate = activate(self.gate(x), self.activation)
    up = self.up(x)
    return self.down(gate.mul(up))


@right(MLP)
def mlp_by_functions(self, x):
    gate = F.linear(x, self.gate.weight, self.gate.bias)
    if self.activation == "silu":
        gate = gate * torch.sigmoid(gate)
    elif self.activation == "relu_squared":
        gate = torch.relu(gate) ** 2
    else:
        gate = F.gelu(gate, approximate="tanh" if "tanh" in self.activation else "none")
    return F.linear(gate * self.up(x), self.down.weight, self.down.bias)


BLOCK = "lib.transformer.Block.forward"


@right(BLOCK)
def block_in_steps(self, x, mask=None, rotate=None, cache=None):
    read = self.attention_norm(x)
    news = self.attend(read, mask=mask, rotate=rotate, cache=cache)
    middle = torch.add(x, self.attention_post_norm(news))
    thought = self.mlp(self.mlp_norm(middle))
    return self.mlp_post_norm(thought) + middle


@right(BLOCK)
def block_in_a_loop(self, x, mask=None, rotate=None, cache=None):
    parts = [
        (self.attention_norm, lambda y: self.attend(y, mask, rotate, cache),
         self.attention_post_norm),
        (self.mlp_norm, self.mlp, self.mlp_post_norm),
    ]  # fmt: skip
    for norm, part, after in parts:
        x = x + after(part(norm(x)))
    return x


MODEL = "lib.transformer.Transformer.forward"


@right(MODEL)
def model_with_zip(self, tokens, positions=None, mask=None, cache=None, head=None):
    start = len(cache[0]) if cache is not None else 0
    end = start + tokens.shape[1]
    if positions is None:
        positions = torch.arange(start, end, device=tokens.device)
    x = self.embed(tokens, positions)
    memories = cache if cache is not None else [None] * len(self.blocks)
    for block, memory, (sight, rotate) in zip(
        self.blocks, memories, self.sights(positions, end, mask)
    ):
        x = block(x, mask=sight, rotate=rotate, cache=memory)
    return (head or self.head)(self.norm(x))


@right(MODEL)
def model_with_a_product(self, tokens, positions=None, mask=None, cache=None, head=None):
    held = 0
    if cache:
        held = len(cache[0])
    n = tokens.size(1)
    where = torch.arange(n, device=tokens.device) + held if positions is None else positions
    x = self.embed(tokens, where)
    sights = self.sights(where, held + n, mask)
    for i in range(len(self.blocks)):
        x = self.blocks[i](x, sights[i][0], sights[i][1], cache[i] if cache else None)
    x = self.norm(x)
    if head is not None:
        return head(x)
    return x @ self.head.weight.mT


COUNT, FLOPS = "lib.transformer.count_parameters", "lib.transformer.flops_per_token"


@right(COUNT)
def count_in_parts(config):
    d, q, kv = config.d_model, config.n_head * config.d_head, config.n_kv_head * config.d_head
    bias = int(config.bias)

    def linear(a, b):
        return a * b + bias * b

    def norm(size):
        return size + size * (config.norm == "layer")

    block = linear(d, q) + 2 * linear(d, kv) + linear(q, d)
    block += (1 + config.gated) * linear(d, config.d_hidden) + linear(config.d_hidden, d)
    block += 2 * norm(d) * (1 + config.post_norm) + 2 * norm(config.d_head) * config.qk_norm
    total = config.n_layer * block + norm(d) + config.vocab_size * d * (2 - config.tied)
    return total + (config.n_context * d if config.position == "learned" else 0)


@right(COUNT, slow=True)
def count_by_building(config):
    """A model without memory for its numbers."""
    from lib.transformer import Transformer

    with torch.device("meta"):
        return sum(p.numel() for p in Transformer(config).parameters())


@right(FLOPS)
def flops_by_products(config, n_context):
    wide = config.n_head * config.head_size
    narrow = config.kv_heads * config.head_size
    forward = 2 * config.d_model * (2 * wide + 2 * narrow)
    forward += 2 * config.d_model * config.hidden * (3 if config.gated else 2)
    forward += 2 * 2 * wide * n_context
    return 3 * (config.n_layer * forward + 2 * config.d_model * config.vocab_size)


@right(FLOPS, slow=True)
def flops_by_matrices(config, n_context):
    d, h = config.d_model, config.head_size
    shapes = [(d, config.n_head * h), (d, config.kv_heads * h), (d, config.kv_heads * h)]
    shapes += [(config.n_head * h, d)] + [(d, config.hidden)] * (3 if config.gated else 2)
    weights = sum(a * b for a, b in shapes * config.n_layer) + d * config.vocab_size
    scores = 2 * config.n_layer * config.n_head * h * n_context
    return 6 * (weights + scores)
