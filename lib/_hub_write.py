"""A `Config` as Hugging Face's `config.json`: which architecture it is, and in its words."""

from __future__ import annotations

from typing import Any

from lib._transformer_config import Config
from lib.tokenizer import Tokenizer

CLASSES = {
    "qwen3": "Qwen3ForCausalLM",
    "llama": "LlamaForCausalLM",
    "gemma": "GemmaForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
    "gpt2": "GPT2LMHeadModel",
}
"""What can be written, and the class of `transformers` that reads it. The first that fits wins."""

ALIASES = {"smollm2": "llama", "gemma3": "gemma3_text"}

_LLAMA: dict[str, tuple[Any, ...]] = {
    "norm": ("rms",),
    "post_norm": (False,),
    "qk_norm": (False,),
    "gated": (True,),
    "activation": ("silu",),
    "bias": (False, True),
    "position": ("rotary",),
    "scale_embedding": (False,),
}
_GEMMA = _LLAMA | {
    "norm": ("rms_plus_one",),
    "activation": ("gelu_tanh",),
    "bias": (False,),
    "scale_embedding": (True,),
}
FITS: dict[str, dict[str, tuple[Any, ...]]] = {
    "qwen3": _LLAMA | {"qk_norm": (True,), "bias": (False,)},
    "llama": _LLAMA,
    "gemma": _GEMMA,
    "gemma3_text": _GEMMA | {"qk_norm": (True,), "post_norm": (True,)},
    "gpt2": _LLAMA
    | {
        "norm": ("layer",),
        "gated": (False,),
        "activation": ("gelu_tanh", "gelu"),
        "bias": (True,),
        "position": ("learned",),
    },
}
"""The values that each architecture knows for our settings."""

SETTINGS = tuple(_LLAMA)


def choose_architecture(config: Config, wanted: str | None = None) -> str:
    """The architecture to write a model as: the wanted one if it fits, or the first that does.

    Raises:
        ValueError: none fits, or not the wanted one; the message says which setting is to blame.
    """
    if wanted is not None:
        wanted = ALIASES.get(wanted, wanted)
        if wanted not in CLASSES:
            raise ValueError(
                f"there is no architecture {wanted!r}; there are: {', '.join(CLASSES)}"
            )
        if wrong := misfits(config, wanted):
            raise ValueError(f"the model cannot be written as {wanted}: {'; '.join(wrong)}")
        return wanted
    reasons = {architecture: misfits(config, architecture) for architecture in CLASSES}
    for architecture, wrong in reasons.items():
        if not wrong:
            return architecture
    unknown = [
        f"{name}={getattr(config, name)!r}"
        for name in SETTINGS
        if not any(getattr(config, name) in fits[name] for fits in FITS.values())
    ]
    if unknown:
        raise ValueError(
            f"no architecture that others can read knows {', '.join(unknown)}: such a model stays "
            "in this course's own checkpoints"
        )
    nearest = min(reasons, key=lambda architecture: len(reasons[architecture]))
    raise ValueError(
        f"no architecture that others can read has these settings together; the nearest is "
        f"{nearest}, but {'; '.join(reasons[nearest])}"
    )


def misfits(config: Config, architecture: str) -> list[str]:
    """What keeps a model from being written as this architecture, in words."""
    wrong = []
    for name, known in FITS[architecture].items():
        value = getattr(config, name)
        if value not in known:
            wrong.append(f"{name}={value!r}, where it has {' or '.join(map(repr, known))}")
    return wrong + [reason for rule in (_heads, _windows) if (reason := rule(config, architecture))]


def _heads(config: Config, architecture: str) -> str | None:
    scale, width = config.query_scale, config.n_head * config.head_size
    if architecture == "gemma3_text":
        if scale is not None and scale != int(scale):
            return f"query_scale={scale}, where it has a whole number"
    elif scale not in (None, config.head_size):
        return f"query_scale={scale}, where it has d_head"
    if architecture == "gpt2" and (config.kv_heads != config.n_head or width != config.d_model):
        return (
            f"n_head={config.n_head}, n_kv_head={config.kv_heads}, d_head={config.head_size}, "
            "where it has as many key-value heads as heads, of d_model / n_head numbers"
        )
    if architecture in ("llama", "gemma3_text") and config.d_model % config.n_head:
        return f"d_model={config.d_model} does not divide by n_head={config.n_head}"
    return None


def _windows(config: Config, architecture: str) -> str | None:
    if not config.local_layers or architecture == "gemma3_text":
        return None
    if architecture != "qwen3":
        return f"local_layers={config.local_layers}, where all layers look back all the way"
    if config.rope_scaling is not None or config.rope_base_local != config.rope_base:
        return "rotary positions that differ between local layers and others, where they are equal"
    return None


def write_config(
    config: Config, architecture: str, dtype: str, ids: dict[str, Any]
) -> dict[str, Any]:
    """What goes into `config.json`.

    Args:
        config: the model's shape.
        architecture: a name from `CLASSES` that fits.
        dtype: of the weights, as torch names it: "bfloat16" for instance.
        ids: bos_token_id, eos_token_id, pad_token_id. Those that are None are written as such, or
            readers would take the architecture's default and stop at some token of ours.
    """
    gpt2 = architecture == "gpt2"
    fields = _gpt2_fields(config) if gpt2 else _llama_fields(config, architecture)
    return {
        "architectures": [CLASSES[architecture]],
        "model_type": architecture,
        "vocab_size": config.vocab_size,
        **fields,
        "tie_word_embeddings": config.tied,
        "use_cache": True,
        **ids,
        "dtype": dtype,  # what transformers reads from 4.56 on, and before
        "torch_dtype": dtype,
    }


def _gpt2_fields(config: Config) -> dict[str, Any]:
    return {
        "n_embd": config.d_model,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_inner": config.hidden,
        "n_positions": config.n_context,
        "n_ctx": config.n_context,
        "activation_function": "gelu" if config.activation == "gelu" else "gelu_new",
        "layer_norm_epsilon": float(config.norm_eps),
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
    }


def _llama_fields(config: Config, architecture: str) -> dict[str, Any]:
    activation = {"silu": "silu", "gelu_tanh": "gelu_pytorch_tanh"}[config.activation]
    fields: dict[str, Any] = {
        "hidden_size": config.d_model,
        "intermediate_size": config.hidden,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_size,
        "max_position_embeddings": config.n_context,
        "rms_norm_eps": float(config.norm_eps),
        "attention_bias": config.bias,
        "attention_dropout": 0.0,
        **_rotary_fields(config, architecture),
    }
    if architecture == "llama":
        fields["mlp_bias"] = config.bias
    if architecture != "gemma3_text":
        fields["hidden_act"] = activation
    if architecture.startswith("gemma"):
        fields["hidden_activation"] = activation
    if architecture in ("qwen3", "gemma3_text"):
        local = config.local_layers
        kinds = ("full_attention", "sliding_attention")
        fields["layer_types"] = [kinds[layer in local] for layer in range(config.n_layer)]
        fields["sliding_window"] = config.window if local else None
    if architecture == "qwen3":
        fields["use_sliding_window"] = bool(config.local_layers)
    if architecture == "gemma3_text":
        fields["sliding_window"] = config.window or config.n_context
        fields["query_pre_attn_scalar"] = int(config.query_scale or config.head_size)
        fields["final_logit_softcapping"] = fields["attn_logit_softcapping"] = None
    return fields


def _rotary_fields(config: Config, architecture: str) -> dict[str, Any]:
    """In the newer form and in the older one: readers know one or the other."""
    scaling: dict[str, Any] | None = None
    if config.rope_scaling is not None:
        scaling = {
            "rope_type": config.rope_scaling.kind,
            "factor": float(config.rope_scaling.factor),
        }
        if config.rope_scaling.kind == "llama3":
            scaling |= {
                "low_freq_factor": float(config.rope_scaling.low_freq_factor),
                "high_freq_factor": float(config.rope_scaling.high_freq_factor),
                "original_max_position_embeddings": config.rope_scaling.original_n_context,
            }
    base, near = float(config.rope_base), float(config.rope_base_local)
    parameters = {"rope_type": "default", "rope_theta": base, **(scaling or {})}
    older = {"rope_theta": base, "rope_scaling": scaling}
    if architecture != "gemma3_text":
        return {**older, "rope_parameters": parameters}
    local = {"rope_type": "default", "rope_theta": near}
    both = {"full_attention": parameters, "sliding_attention": local}
    return {**older, "rope_local_base_freq": near, "rope_parameters": both}


def tokenizer_config(
    config: Config, tokenizer: Tokenizer, ids: dict[str, Any], chat_template: str | None
) -> dict[str, Any]:
    """What goes into `tokenizer_config.json`.

    Args:
        config: the model's shape.
        tokenizer: stands beside it, in `tokenizer.json`.
        ids: bos_token_id, eos_token_id, pad_token_id; of several ends of a text, the first.
        chat_template: how messages become a text, if the model is one to talk to.
    """
    described: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config.n_context,
        "clean_up_tokenization_spaces": False,
    }
    for name, i in ids.items():
        i = i[0] if isinstance(i, list) else i
        text = None if i is None else tokenizer.token_bytes(i).decode("utf-8", "replace")
        described[name.removesuffix("_id")] = text
    if chat_template is not None:
        described["chat_template"] = chat_template
    return described
