"""Hugging Face's `config.json`, read into a `Config`.

Published files leave out what equals the default of their architecture, so the defaults that they
rely on stand here. What a `Transformer` cannot compute is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib._transformer_config import Config, RopeScaling

MODEL_TYPES = {
    "gpt2": "gpt2",
    "llama": "llama",  # SmolLM2 too
    "qwen3": "qwen3",
    "gemma": "gemma",
    "gemma3_text": "gemma3_text",
    "gemma3": "gemma3_text",  # text and images; the text model lies inside
}
"""What `model_type` may say, and whose names the tensors then bear."""

ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu2": "relu_squared",
}

HARMLESS: dict[str, tuple[Any, ...]] = {
    "add_cross_attention": (None, False),
    "attn_logit_softcapping": (None,),
    "final_logit_softcapping": (None,),
    "n_routed_experts": (None, 0),
    "num_experts": (None, 0),
    "num_local_experts": (None, 0),
    "partial_rotary_factor": (None, 1),
    "quantization_config": (None,),
    "rope_interleaved": (None, False),
    "scale_attn_by_inverse_layer_idx": (None, False),
    "scale_attn_weights": (None, True),
    "use_bidirectional_attention": (None, False),
}
"""Settings that change what a model computes: with any other value than these it is refused."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "gpt2": {
        "n_positions": 1024,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
    },
    "llama": {
        "hidden_act": "silu",
        "max_position_embeddings": 2048,
        "tie_word_embeddings": False,
    },
    "qwen3": {
        "num_key_value_heads": 32,
        "head_dim": 128,
        "hidden_act": "silu",
        "max_position_embeddings": 32_768,
        "max_window_layers": 28,
        "sliding_window": 4096,
        "tie_word_embeddings": False,
    },
    "gemma": {
        "num_key_value_heads": 16,
        "head_dim": 256,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    },
    "gemma3_text": {
        "vocab_size": 262_208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 131_072,
        "query_pre_attn_scalar": 256,
        "sliding_window": 4096,
        "sliding_window_pattern": 6,
        "rope_theta": 1_000_000.0,
        "rope_local_base_freq": 10_000.0,
        "tie_word_embeddings": True,
    },
}
"""What each architecture means by a setting that is not in the file."""


def read_config(content: Mapping[str, Any]) -> tuple[str, Config]:
    """What a `config.json` describes.

    Returns:
        The architecture whose names the tensors bear, and the model's shape.

    Raises:
        ValueError: it is no such model, or a setting is missing or not supported; one line.
    """
    kind = content.get("model_type")
    if kind not in MODEL_TYPES:
        raise ValueError(
            f"config.json: model_type {kind!r} is not supported; known are {', '.join(MODEL_TYPES)}"
        )
    architecture = MODEL_TYPES[kind]
    refuse_unsupported(content)
    if kind == "gemma3":
        text = content.get("text_config")
        if not isinstance(text, Mapping):
            raise ValueError("config.json: a model of type gemma3 needs a text_config")
        tied = content.get("tie_word_embeddings")
        content = text if tied is None else {**text, "tie_word_embeddings": tied}
        refuse_unsupported(content)
    values = {**DEFAULTS[architecture], **content}
    try:
        read = _read_gpt2 if architecture == "gpt2" else _read_llama_like
        return architecture, read(values, architecture)
    except ValueError as error:
        message = str(error)
        prefix = "" if message.startswith("config.json") else "config.json: "
        raise ValueError(prefix + message) from None


def refuse_unsupported(values: Mapping[str, Any]) -> None:
    """Raise `ValueError` for the first setting that a `Transformer` would silently get wrong."""
    for name, harmless in HARMLESS.items():
        value = values.get(name)
        if value not in harmless:
            shown = value if isinstance(value, (bool, int, float, str)) else type(value).__name__
            raise ValueError(f"config.json: {name}={shown!r} is not supported")


def _read_gpt2(values: Mapping[str, Any], architecture: str) -> Config:
    d_model = _whole(values, "n_embd")
    return Config(
        vocab_size=_whole(values, "vocab_size"),
        d_model=d_model,
        n_layer=_whole(values, "n_layer"),
        n_head=_whole(values, "n_head"),
        d_hidden=4 * d_model if values.get("n_inner") is None else _whole(values, "n_inner"),
        n_context=_whole(values, "n_positions"),
        norm="layer",
        norm_eps=_number(values, "layer_norm_epsilon"),
        qk_norm=False,
        gated=False,
        activation=_activation(values, "activation_function"),
        bias=True,
        position="learned",
        tied=_flag(values, "tie_word_embeddings"),
    )


def _read_llama_like(values: Mapping[str, Any], architecture: str) -> Config:
    gemma, third = architecture.startswith("gemma"), architecture == "gemma3_text"
    d_model, n_head = _whole(values, "hidden_size"), _whole(values, "num_attention_heads")
    n_layer, n_context = (
        _whole(values, "num_hidden_layers"),
        _whole(values, "max_position_embeddings"),
    )
    local = _local_layers(values, architecture, n_layer)
    base, scaling, base_local = _rotary(values, third, n_context)
    if local and not third:
        if scaling is not None:
            raise ValueError("rope scaling together with sliding windows is not supported")
        base_local = base
    return Config(
        vocab_size=_whole(values, "vocab_size"),
        d_model=d_model,
        n_layer=n_layer,
        n_head=n_head,
        n_kv_head=_whole(values, "num_key_value_heads", otherwise=n_head),
        d_head=_whole(values, "head_dim", otherwise=0) or None,
        d_hidden=_whole(values, "intermediate_size"),
        n_context=n_context,
        norm="rms_plus_one" if gemma else "rms",
        norm_eps=_number({"rms_norm_eps": 1e-6, **values}, "rms_norm_eps"),
        post_norm=third,
        qk_norm=third or architecture == "qwen3",
        activation=_gemma_activation(values) if gemma else _activation(values, "hidden_act"),
        bias=_bias(values, architecture),
        rope_base=base,
        rope_scaling=scaling,
        window=_whole(values, "sliding_window") if local else None,
        local_layers=local,
        rope_base_local=base_local,
        query_scale=_number(values, "query_pre_attn_scalar") if third else None,
        scale_embedding=gemma,
        tied=_flag(values, "tie_word_embeddings"),
    )


def _local_layers(values: Mapping[str, Any], architecture: str, n_layer: int) -> tuple[int, ...]:
    """Which layers look back through a window only."""
    kinds = values.get("layer_types")
    if kinds is None:
        if architecture == "gemma3_text":
            every = _whole(values, "sliding_window_pattern")
            return tuple(layer for layer in range(n_layer) if (layer + 1) % every)
        if architecture == "qwen3" and values.get("use_sliding_window"):
            return tuple(range(_whole(values, "max_window_layers", least=0), n_layer))
        return ()
    if not isinstance(kinds, list) or len(kinds) != n_layer:
        raise ValueError(f"expected one of layer_types for each of {n_layer} layers, got {kinds!r}")
    for kind in kinds:
        if kind not in ("full_attention", "sliding_attention"):
            raise ValueError(f"layer_types with {kind!r} is not supported")
    local = tuple(layer for layer, kind in enumerate(kinds) if kind == "sliding_attention")
    if local and architecture not in ("qwen3", "gemma3_text"):
        raise ValueError(f"layer_types with 'sliding_attention' is not supported in {architecture}")
    if local and architecture == "qwen3" and not values.get("use_sliding_window"):
        raise ValueError("layer_types has 'sliding_attention', but use_sliding_window is off")
    return local


def _rotary(
    values: Mapping[str, Any], by_layer: bool, n_context: int
) -> tuple[float, RopeScaling | None, float]:
    """Base, scaling and local base, from the newer `rope_parameters` or the older three fields."""
    rope = values.get("rope_parameters") or {}
    near: Mapping[str, Any] = {}
    if by_layer:
        near, rope = rope.get("sliding_attention") or {}, rope.get("full_attention") or {}
        if near.get("rope_type", "default") != "default":
            raise ValueError(f"rope_type {near['rope_type']!r} in local layers is not supported")
    rope = {**rope, **(values.get("rope_scaling") or {})}
    refuse_unsupported(rope)
    base = _number({"rope_theta": 10_000.0, **values, **rope}, "rope_theta")
    local = {"rope_theta": values.get("rope_local_base_freq", 10_000.0), **near}
    kind = rope.get("rope_type") or rope.get("type") or "default"
    scaling = None
    if kind == "linear":
        scaling = RopeScaling("linear", _number(rope, "factor"))
    elif kind == "llama3":
        original = "original_max_position_embeddings"
        places = {original: n_context, **rope, **{k: values[k] for k in (original,) if k in values}}
        scaling = RopeScaling(
            "llama3",
            _number(rope, "factor"),
            _number(rope, "low_freq_factor"),
            _number(rope, "high_freq_factor"),
            _whole(places, original),
        )
    elif kind != "default":
        raise ValueError(f"rope_type {kind!r} is not supported: only default, linear and llama3")
    return base, scaling, _number(local, "rope_theta")


def _bias(values: Mapping[str, Any], architecture: str) -> bool:
    attention, mlp = bool(values.get("attention_bias")), bool(values.get("mlp_bias"))
    if architecture == "llama" and attention == mlp:
        return attention
    if attention or mlp:
        name = "attention_bias" if attention else "mlp_bias"
        raise ValueError(f"{name}=True is not supported in {architecture}: all biases, or none")
    return False


def _activation(values: Mapping[str, Any], name: str) -> str:
    if values.get(name) not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ValueError(f"{name}={values.get(name)!r} is not supported: only {known}")
    return ACTIVATIONS[values[name]]


def _gemma_activation(values: Mapping[str, Any]) -> str:
    """Gemma's first files say "gelu" and mean its approximation with tanh."""
    name = values.get("hidden_activation") or values.get("hidden_act") or "gelu"
    return _activation({"hidden_act": "gelu_new" if name == "gelu" else name}, "hidden_act")


def _whole(
    values: Mapping[str, Any], name: str, otherwise: int | None = None, least: int = 1
) -> int:
    value = values.get(name)
    if value is None and otherwise is not None:
        return otherwise
    if type(value) is not int or value < least:
        raise ValueError(f"expected a whole number of at least {least} for {name}, got {value!r}")
    return value


def _number(values: Mapping[str, Any], name: str) -> float:
    value = values.get(name)
    if type(value) not in (int, float):
        raise ValueError(f"expected a number for {name}, got {value!r}")
    return float(values[name])


def _flag(values: Mapping[str, Any], name: str) -> bool:
    if type(values.get(name)) is not bool:
        raise ValueError(f"expected true or false for {name}, got {values.get(name)!r}")
    return bool(values[name])
