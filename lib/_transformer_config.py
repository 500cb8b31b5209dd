"""What a transformer looks like: one description for GPT-2, Llama, Qwen3, SmolLM2 and Gemma."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

NORMS = ("rms", "rms_plus_one", "layer")
ACTIVATIONS = ("silu", "gelu", "gelu_tanh", "relu_squared")
POSITIONS = ("rotary", "learned")


@dataclass(frozen=True)
class RopeScaling:
    """How rotary frequencies are slowed down so that a model reads further than it was trained to.

    "linear" divides every frequency by `factor` (Chen et al. 2023, arXiv 2306.15595). "llama3"
    leaves those alone that turn often enough within the original context, divides the slow ones,
    and blends in between (Llama 3 herd of models, arXiv 2407.21783; defined by its code).
    """

    kind: str
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_n_context: int = 8192

    def __post_init__(self) -> None:
        if self.kind not in ("linear", "llama3"):
            raise ValueError(f"rope scaling is 'linear' or 'llama3', got {self.kind!r}")
        if self.factor < 1:
            raise ValueError(f"expected a rope scaling factor of at least 1, got {self.factor}")


@dataclass(frozen=True)
class Config:
    """The shape of a transformer. What is left out is as in Qwen3 (arXiv 2505.09388).

    Attributes:
        vocab_size: different tokens, v.
        d_model: numbers in the vector of a token.
        n_layer: blocks.
        n_head: query heads.
        n_kv_head: key-value heads; left out, as many as query heads.
        d_head: numbers in a head; left out, d_model / n_head.
        d_hidden: width of the MLP; left out, 3 · d_model if gated, else 4 · d_model.
        n_context: tokens it reads at once, at most.
        norm: "rms", "rms_plus_one" (Gemma's, which multiplies by 1 + weight) or "layer" (GPT-2's).
        norm_eps: what keeps a norm from dividing by zero.
        post_norm: normalise also what attention and MLP give back (Gemma 3).
        qk_norm: normalise queries and keys head by head (Qwen3, Gemma 3).
        gated: MLP with a gate (Llama and after) or without (GPT-2).
        activation: "silu", "gelu", "gelu_tanh" or "relu_squared".
        bias: whether projections have one (GPT-2).
        position: "rotary", or "learned" as one vector for each place (GPT-2).
        rope_base: base of the rotary frequencies, θ.
        rope_scaling: how they were stretched, if they were.
        window: how many tokens a local layer looks back, its own included (Gemma 3).
        local_layers: which layers are local, counted from 0.
        rope_base_local: θ in local layers, never stretched.
        query_scale: divide scores by √query_scale instead of √d_head (Gemma 3).
        scale_embedding: multiply embeddings by √d_model (Gemma).
        tied: the head reads the embedding table.
    """

    vocab_size: int
    d_model: int
    n_layer: int
    n_head: int
    n_kv_head: int | None = None
    d_head: int | None = None
    d_hidden: int | None = None
    n_context: int = 512
    norm: str = "rms"
    norm_eps: float = 1e-6
    post_norm: bool = False
    qk_norm: bool = True
    gated: bool = True
    activation: str = "silu"
    bias: bool = False
    position: str = "rotary"
    rope_base: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    window: int | None = None
    local_layers: tuple[int, ...] = ()
    rope_base_local: float = 10_000.0
    query_scale: float | None = None
    scale_embedding: bool = False
    tied: bool = True

    def __post_init__(self) -> None:
        fill = object.__setattr__  # frozen: what was left out is filled in here, once
        if self.n_head < 1 or (self.d_head is None and self.d_model % self.n_head):
            raise ValueError(
                f"d_model={self.d_model} does not divide into n_head={self.n_head} heads: change "
                "one, or give d_head"
            )
        fill(self, "n_kv_head", self.n_kv_head or self.n_head)
        fill(self, "d_head", self.d_head or self.d_model // self.n_head)
        fill(self, "d_hidden", self.d_hidden or (3 if self.gated else 4) * self.d_model)
        fill(self, "local_layers", tuple(self.local_layers))
        for name in ("vocab_size", "d_model", "n_layer", "d_hidden", "n_context", "n_kv_head"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if self.n_head % self.kv_heads:
            raise ValueError(f"n_head={self.n_head} does not divide by n_kv_head={self.n_kv_head}")
        for name, known in (("norm", NORMS), ("activation", ACTIVATIONS), ("position", POSITIONS)):
            if getattr(self, name) not in known:
                got = getattr(self, name)
                raise ValueError(f"{name} is one of {', '.join(known)}, got {got!r}")
        if self.position == "rotary" and self.head_size % 2:
            raise ValueError(f"rotary positions turn pairs: d_head={self.d_head} should be even")
        if self.local_layers and not self.window:
            raise ValueError("local_layers needs a window: how many tokens do they look back?")
        if any(not 0 <= layer < self.n_layer for layer in self.local_layers):
            raise ValueError(f"local_layers {self.local_layers} are not all below {self.n_layer}")

    @property
    def kv_heads(self) -> int:
        """`n_kv_head`, filled in."""
        return self.n_kv_head or self.n_head

    @property
    def head_size(self) -> int:
        """`d_head`, filled in."""
        return self.d_head or self.d_model // self.n_head

    @property
    def hidden(self) -> int:
        """`d_hidden`, filled in."""
        return self.d_hidden or 4 * self.d_model

    @classmethod
    def of_size(cls, size: str, vocab_size: int, **changes: Any) -> Config:
        """One of the course's own sizes: "nano", "mini", "small" or "base".

        >>> Config.of_size("nano", vocab_size=2048, n_context=256).d_model
        128
        """
        if size not in SIZES:
            raise ValueError(f"there is no size {size!r}; there are: {', '.join(SIZES)}")
        return cls(**{"vocab_size": vocab_size, **SIZES[size], **changes})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for a JSON file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Config:
        """The other way round.

        Raises:
            ValueError: a name is unknown or missing.
        """
        values = dict(values)
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"a transformer has no setting {', '.join(unknown)}")
        scaling = values.get("rope_scaling")
        if isinstance(scaling, dict):
            values["rope_scaling"] = RopeScaling(**scaling)
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"the description of the model is incomplete: {error}") from None


SIZES: dict[str, dict[str, int]] = {
    "nano": {"d_model": 128, "n_layer": 4, "n_head": 4, "n_kv_head": 2},
    "mini": {"d_model": 256, "n_layer": 6, "n_head": 4, "n_kv_head": 2},
    "small": {"d_model": 512, "n_layer": 9, "n_head": 8, "n_kv_head": 4},
    "base": {"d_model": 768, "n_layer": 18, "n_head": 12, "n_kv_head": 4},
}
"""The course's sizes: about 1, 6, 30 and 125 million parameters."""
