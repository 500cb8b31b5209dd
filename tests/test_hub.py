"""`lib.hub`: weights in and out, against `transformers`, on small random models, offline."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers
from huggingface_hub import errors
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from lib import _hub_files, hub
from lib._transformer_config import Config
from lib.transformer import Transformer, count_parameters

ROOT = Path(__file__).parents[1]
VOCAB = 61
NO_IDS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 44,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 12,  # not hidden_size / num_attention_heads
    **NO_IDS,
}
GPT2 = {"vocab_size": VOCAB, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64, **NO_IDS}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 3.0,
    "original_max_position_embeddings": 16,
}
LINEAR = {"rope_type": "linear", "rope_theta": 500.0, "factor": 3.0}
GEMMA3: dict[str, Any] = SIZES | {
    "sliding_window": 5,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    "query_pre_attn_scalar": 23,
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "rope_theta": 5000.0, "factor": 2.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 70.0},
    },
}
VISION = {
    "model_type": "siglip_vision_model",
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", GPT2),
    "gpt2 untied": (
        "gpt2",
        GPT2 | {"tie_word_embeddings": False, "n_inner": 40, "activation_function": "gelu"},
    ),
    "llama": ("llama", SIZES | {"rms_norm_eps": 1e-3}),
    "llama scaled": ("llama", SIZES | {"rope_parameters": LLAMA3}),
    "llama linear": ("llama", SIZES | {"rope_parameters": LINEAR}),
    "llama with biases": ("llama", SIZES | {"attention_bias": True, "mlp_bias": True}),
    "smollm2": ("llama", SIZES | {"tie_word_embeddings": True}),
    "qwen3": ("qwen3", SIZES | {"hidden_size": 30}),
    "qwen3 tied": ("qwen3", SIZES | {"tie_word_embeddings": True}),
    "qwen3 windowed": (
        "qwen3",
        SIZES
        | {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}
        | {"rope_parameters": {"rope_type": "default", "rope_theta": 300.0}},
    ),
    "gemma": ("gemma", SIZES),
    "gemma untied": ("gemma", SIZES | {"tie_word_embeddings": False}),
    "gemma3_text": ("gemma3_text", GEMMA3),
    "gemma3": (
        "gemma3",
        {
            "text_config": {"model_type": "gemma3_text", **GEMMA3},
            "vision_config": VISION,
            "mm_tokens_per_image": 4,
            **NO_IDS,
        },
    ),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    with torch.no_grad():
        yield
    torch.set_num_threads(before)


def in_older_fields(settings: dict[str, Any]) -> dict[str, Any]:
    """Rotary settings as `transformers` 4 knows them."""
    if "text_config" in settings:
        return settings | {"text_config": in_older_fields(settings["text_config"])}
    rope = settings.pop("rope_parameters", {})
    near = rope.get("sliding_attention", {})
    rope = rope.get("full_attention", rope)
    if near:
        settings["rope_local_base_freq"] = near["rope_theta"]
    if "rope_theta" in rope:
        settings["rope_theta"] = rope["rope_theta"]
    if rope.get("rope_type", "default") != "default":
        settings["rope_scaling"] = {key: rope[key] for key in rope if key != "rope_theta"}
    return settings


def build(kind: str, settings: dict[str, Any]) -> Any:
    """A model of `transformers` in which every weight is random: norms and biases too."""
    settings = json.loads(json.dumps(settings))  # transformers changes what it is given
    if transformers.__version__ < "5":
        settings = in_older_fields(settings)
    config = AutoConfig.for_model(kind, **settings)
    model = (
        transformers.Gemma3ForConditionalGeneration(config)
        if kind == "gemma3"
        else AutoModelForCausalLM.from_config(config)
    )
    torch.manual_seed(sum(map(ord, kind)))
    for parameter in model.parameters():
        noise = torch.randn_like(parameter) * 0.2
        around_one = parameter.ndim == 1 and bool((parameter == 1).all()) and "gemma" not in kind
        parameter.copy_(1 + noise if around_one else noise)
    return model.eval()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Path]]:
    """Model and folder by name, each built once."""
    built: dict[str, tuple[Any, Path]] = {}

    def get(name: str) -> tuple[Any, Path]:
        if name not in built:
            folder = tmp_path_factory.mktemp("published")
            with torch.no_grad():
                model = build(*MODELS[name])
            model.save_pretrained(folder)
            built[name] = model, folder
        return built[name]

    return get


def random_text(n_tokens: int, batch: int = 2) -> Tensor:
    return torch.randint(VOCAB, (batch, n_tokens), generator=torch.Generator().manual_seed(1))


def largest_difference(left: Tensor, right: Tensor) -> float:
    assert left.shape == right.shape
    assert right.abs().max() > 0.5  # something to be wrong about
    return (left - right).abs().max().item()


class SimpleCache:
    """Keys and values of one layer, all kept."""

    def __init__(self) -> None:
        self.key = self.value = torch.empty(0)

    def __len__(self) -> int:
        return self.key.size(-2) if self.key.ndim == 4 else 0

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        if len(self):
            key, value = torch.cat([self.key, key], -2), torch.cat([self.value, value], -2)
        self.key, self.value = key, value
        return key, value


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    message = str(error.value)
    assert message
    assert "\n" not in message
    return message


# --- the same numbers -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_same_logits(name: str, published: Any) -> None:
    theirs, folder = published(name)
    tokens = random_text(40)
    model = hub.load(folder)
    assert largest_difference(model(tokens), theirs(tokens).logits) <= 1e-4
    assert model.config == hub.config_of(folder) == hub.config_of(folder / "config.json")
    assert not [name for name, weight in model.named_parameters() if weight.is_meta]
    assert (model.head.weight is model.embedding.weight) == model.config.tied


@pytest.mark.parametrize("name", MODELS)
def test_same_greedy_tokens_with_a_cache(name: str, published: Any) -> None:
    theirs, folder = published(name)
    prompt = random_text(9)
    expected = theirs.generate(
        prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=20
    )
    model = hub.load(folder)
    cache = [SimpleCache() for _ in range(model.config.n_layer)]
    text, new = prompt, prompt
    for _ in range(20):
        new = model(new, cache=cache)[:, -1:].argmax(-1)
        text = torch.cat([text, new], -1)
    assert text.tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["gpt2", "llama scaled", "qwen3 windowed", "gemma3_text"])
def test_left_padding_changes_nothing(name: str, published: Any) -> None:
    theirs, folder = published(name)
    model = hub.load(folder)
    long, short = random_text(14)[0], random_text(14)[1, :8]
    tokens = torch.stack([long, torch.cat([torch.zeros(6, dtype=torch.long), short])])
    real = torch.ones_like(tokens, dtype=torch.bool)
    real[1, :6] = False
    positions = (real.cumsum(-1) - 1).clamp(min=0)
    eye = torch.eye(14, dtype=torch.bool)  # padding looks at itself: an average over nothing is nan
    mask = (real[:, None] & torch.ones(14, 14, dtype=torch.bool).tril() | eye)[:, None]
    padded = model(tokens, positions=positions, mask=mask)
    assert largest_difference(padded[0], model(long[None])[0]) <= 1e-5
    assert largest_difference(padded[1, 6:], model(short[None])[0]) <= 1e-5
    other = theirs(tokens, attention_mask=real.long(), position_ids=positions).logits
    assert largest_difference(padded[1, 6:], other[1, 6:]) <= 1e-4


@pytest.mark.parametrize("name", MODELS)
def test_what_we_write_transformers_reads(name: str, published: Any, tmp_path: Path) -> None:
    theirs, folder = published(name)
    model = hub.load(folder)
    hub.save(model, tmp_path / "out")
    tokens = random_text(40)
    again, report = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(report.values()), report
    expected = {"gemma3": "Gemma3ForCausalLM"}.get(name, type(theirs).__name__)
    assert type(again).__name__ == expected
    assert largest_difference(again(tokens).logits, theirs(tokens).logits) <= 1e-4
    back = hub.load(tmp_path / "out")
    assert back.config == model.config
    ours = dict(model.named_parameters())
    assert {name: weight.shape for name, weight in back.named_parameters()} == {
        name: weight.shape for name, weight in ours.items()
    }
    for parameter, weight in back.named_parameters():
        assert torch.equal(weight, ours[parameter]), parameter
    tensors, original = load_file(tmp_path / "out" / "model.safetensors"), theirs.state_dict()
    if name != "gemma3":  # whose names differ between the text model alone and within
        assert all(torch.equal(tensor, original[key]) for key, tensor in tensors.items())


@pytest.mark.parametrize("name", ["llama scaled", "llama linear", "gemma3_text", "qwen3 windowed"])
@pytest.mark.parametrize("form", ["older", "newer"])
def test_each_form_of_rotary_settings_is_whole(
    name: str, form: str, published: Any, tmp_path: Path
) -> None:
    """Readers know `rope_parameters` or the fields before it; each alone must be enough."""
    if form == "newer" and transformers.__version__ < "5":
        pytest.skip("transformers 4 knows the older fields only")
    theirs, folder = published(name)
    hub.save(hub.load(folder), tmp_path / "out")
    content = json.loads((tmp_path / "out" / "config.json").read_text())
    older = ["rope_theta", "rope_scaling", "rope_local_base_freq"]
    for field in ["rope_parameters"] if form == "older" else older:
        content.pop(field, None)
    (tmp_path / "out" / "config.json").write_text(json.dumps(content))
    tokens = random_text(40)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert largest_difference(again(tokens).logits, theirs(tokens).logits) <= 1e-4
    assert largest_difference(hub.load(tmp_path / "out")(tokens), theirs(tokens).logits) <= 1e-4


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen3", "gemma", "gemma3_text"])
def test_what_a_config_leaves_out(kind: str, tmp_path: Path) -> None:
    """With its sizes alone in config.json, a model is what `transformers` takes it for."""
    if kind == "gpt2":
        sizes: dict[str, Any] = {"vocab_size": VOCAB, "n_embd": 32, "n_layer": 2, "n_head": 2}
    else:
        sizes = {name: SIZES[name] for name in list(SIZES)[:5]} | {"num_hidden_layers": 7}
        sizes |= {"gemma3_text": {}, "qwen3": {"num_key_value_heads": None}}.get(
            kind, {"num_key_value_heads": 4}
        )
    theirs = build(kind, sizes)
    theirs.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, **sizes}))
    tokens = random_text(60)
    assert largest_difference(hub.load(tmp_path)(tokens), theirs(tokens).logits) <= 1e-4


def test_older_fields_say_the_same() -> None:
    sizes = {name: value for name, value in SIZES.items() if name not in NO_IDS}
    older = {"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 3.0}}
    llama = {"model_type": "llama", **sizes}
    assert hub.config_of(llama | older) == hub.config_of(llama | {"rope_parameters": LINEAR})
    assert hub.config_of(llama | {"head_dim": None, "num_key_value_heads": None}).kv_heads == 4
    scaled = {"rope_theta": 1000.0, "rope_scaling": LLAMA3}
    assert hub.config_of(llama | scaled) == hub.config_of(llama | {"rope_parameters": LLAMA3})
    gemma = {"model_type": "gemma", **sizes}
    assert hub.config_of(gemma | {"hidden_act": "gelu"}) == hub.config_of(gemma)
    third = {"model_type": "gemma3_text", **GEMMA3}
    plain = {name: third[name] for name in third if name not in ("rope_parameters", "layer_types")}
    plain |= {"rope_theta": 5000.0, "rope_local_base_freq": 70.0, "sliding_window_pattern": 2}
    plain |= {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}
    assert hub.config_of(plain) == hub.config_of(third)
    assert hub.config_of(plain).local_layers == (0, 2)


def test_published_shapes() -> None:
    """Their parameters are counted without a weight: as `transformers` counts them."""
    smollm2 = {
        "model_type": "llama",
        "vocab_size": 49_152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "rope_interleaved": False,
        "rope_scaling": None,
        "rope_theta": 100_000,
        "tie_word_embeddings": True,
    }
    gpt2 = {"model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12}
    gpt2 |= {"vocab_size": 50_257, "n_positions": 1024}
    gemma3 = {  # 4B: most is left to the defaults
        "model_type": "gemma3",
        "text_config": {
            "model_type": "gemma3_text",
            "hidden_size": 2560,
            "intermediate_size": 10_240,
            "num_hidden_layers": 34,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
            "sliding_window": 1024,
        },
    }
    for content in (smollm2, gpt2, gemma3):
        counted = count_parameters(hub.config_of(content))
        inner = content.get("text_config", content)
        assert isinstance(inner, dict)
        with torch.device("meta"):
            kind = str(inner["model_type"])
            rest = {key: value for key, value in inner.items() if key != "model_type"}
            model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **rest))
        assert counted == model.num_parameters()
    assert count_parameters(hub.config_of(smollm2)) == 134_515_008
    assert count_parameters(hub.config_of(gpt2)) == 124_439_808
    config = hub.config_of(gemma3)
    assert (config.n_head, config.kv_heads, config.d_head, config.vocab_size) == (8, 4, 256, 262208)


# --- what files look like -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma3_text"])
def test_without_the_prefix(name: str, published: Any, tmp_path: Path) -> None:
    """GPT-2's own file lacks it, and carries the causal masks; others have old leftovers."""
    theirs, folder = published(name)
    tensors = load_file(folder / "model.safetensors")
    bare = {key.split(".", 1)[1]: t for key, t in tensors.items() if key != "lm_head.weight"}
    bare |= {key: t for key, t in tensors.items() if key == "lm_head.weight"}
    extra = {"h.0.attn.bias": torch.ones(1, 1, 64, 64), "h.1.attn.masked_bias": torch.tensor(-1e4)}
    if name != "gpt2":
        extra = {"layers.0.self_attn.rotary_emb.inv_freq": torch.ones(6)}
    shutil.copy(folder / "config.json", tmp_path)
    save_file(bare | extra, tmp_path / "model.safetensors")
    tokens = random_text(20)
    assert largest_difference(hub.load(tmp_path)(tokens), theirs(tokens).logits) <= 1e-4


@pytest.mark.parametrize("name", ["gpt2", "qwen3"])
def test_sharded(name: str, published: Any, tmp_path: Path) -> None:
    theirs, folder = published(name)
    model = hub.load(folder)
    hub.save(model, tmp_path / "ours", shard_bytes=20_000)
    parts = sorted(file.name for file in (tmp_path / "ours").glob("*.safetensors"))
    assert len(parts) > 3
    assert parts[0] == f"model-00001-of-{len(parts):05}.safetensors"
    for part in parts:
        tensors = load_file(tmp_path / "ours" / part)
        assert len(tensors) == 1 or sum(4 * t.numel() for t in tensors.values()) <= 20_000
    index = json.loads((tmp_path / "ours" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 4 * sum(p.numel() for p in model.parameters())
    tokens = random_text(20)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    assert torch.equal(again(tokens).logits, theirs(tokens).logits)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size=20_000)
    assert len(list((tmp_path / "theirs").glob("*.safetensors"))) > 3
    for where in ("ours", "theirs"):
        assert torch.equal(hub.load(tmp_path / where)(tokens), model(tokens))
    (tmp_path / "ours" / parts[1]).unlink()
    with pytest.raises(ValueError, match=f"lacks {parts[1]}"):
        hub.load(tmp_path / "ours")
    index["weight_map"] = dict.fromkeys(index["weight_map"], "../model.safetensors")
    (tmp_path / "ours" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="no safetensors file of this folder"):
        hub.load(tmp_path / "ours")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype, tmp_path: Path) -> None:
    theirs = build(*MODELS["gemma3_text"]).to(dtype)
    theirs.save_pretrained(tmp_path / "theirs")
    model = hub.load(tmp_path / "theirs")
    assert {weight.dtype for weight in model.parameters()} == {dtype}
    hub.save(model, tmp_path / "ours")
    content = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert content["dtype"] == content["torch_dtype"] == str(dtype).removeprefix("torch.")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "ours", dtype="auto")
    for name, weight in again.named_parameters():
        assert weight.dtype == dtype
        assert torch.equal(weight, theirs.get_parameter(name)), name
    exact = hub.load(tmp_path / "theirs", dtype=torch.float32, device="cpu")
    # Not theirs.float(): it rounded its frequencies too.
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "theirs", dtype=torch.float32)
    tokens = random_text(30)
    assert largest_difference(exact(tokens), theirs(tokens).logits) <= 1e-4
    assert exact(tokens).dtype == torch.float32
    with pytest.raises(ValueError, match="expected a floating dtype"):
        hub.load(tmp_path / "theirs", dtype=torch.int8)


def test_weights_of_several_kinds(published: Any, tmp_path: Path) -> None:
    _, folder = published("llama")
    shutil.copy(folder / "config.json", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    save_file(
        tensors | {"lm_head.weight": tensors["lm_head.weight"].bfloat16()},
        tmp_path / "model.safetensors",
    )
    with pytest.raises(ValueError, match=r"BF16 \(lm_head.weight\).*say which dtype") as error:
        hub.load(tmp_path)
    one_line(error)
    assert hub.load(tmp_path, dtype=torch.float32).head.weight.dtype == torch.float32
    save_file(
        tensors | {"lm_head.weight": tensors["lm_head.weight"].to(torch.int8)},
        tmp_path / "model.safetensors",
    )
    with pytest.raises(ValueError, match=r"lm_head.weight is stored as I8: only F64, F32"):
        hub.load(tmp_path)


def test_a_tied_head_that_is_there_twice(published: Any, tmp_path: Path) -> None:
    theirs, folder = published("smollm2")
    shutil.copy(folder / "config.json", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    assert "lm_head.weight" not in tensors
    head = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors | {"lm_head.weight": head}, tmp_path / "model.safetensors")
    tokens = random_text(20)
    assert largest_difference(hub.load(tmp_path)(tokens), theirs(tokens).logits) <= 1e-4
    head[3, 4] += 1
    save_file(tensors | {"lm_head.weight": head}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"but lm_head\.weight differs"):
        hub.load(tmp_path)


def test_loading_leaves_the_generator_and_the_file_alone(published: Any, tmp_path: Path) -> None:
    _, folder = published("smollm2")
    shutil.copytree(folder, tmp_path / "copy")
    torch.manual_seed(7)
    state = torch.get_rng_state()
    model = hub.load(tmp_path / "copy")
    assert torch.equal(torch.get_rng_state(), state)
    before = (tmp_path / "copy" / "model.safetensors").read_bytes()
    copy = model.embedding.weight.clone()
    for weight in model.parameters():
        weight.add_(1)
    assert (tmp_path / "copy" / "model.safetensors").read_bytes() == before
    (tmp_path / "copy" / "model.safetensors").write_bytes(bytes(len(before)))
    assert torch.equal(model.embedding.weight, copy + 1)


# --- what does not fit ----------------------------------------------------------------------------


def test_tensors_that_do_not_fit(published: Any, tmp_path: Path) -> None:
    _, folder = published("llama")
    shutil.copy(folder / "config.json", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    query = "model.layers.1.self_attn.q_proj.weight"

    def fails(changed: dict[str, Tensor], says: str) -> None:
        save_file(changed, tmp_path / "model.safetensors")
        with pytest.raises(ValueError, match=says) as error:
            hub.load(tmp_path)
        one_line(error)

    fails({k: t for k, t in tensors.items() if k != query}, f"lacks tensors .*: {query}$")
    fails({k: t for k, t in tensors.items() if ".mlp." not in k}, "mlp.* and 5 more")
    fails({k: t for k, t in tensors.items() if k != "lm_head.weight"}, "lacks .*lm_head.weight")
    fails(tensors | {"model.layers.1.wrong": torch.ones(1)}, "no use for: model.layers.1.wrong")
    fails(tensors | {query: torch.ones(32, 48)}, rf"{query} has .*\(32, 48\), .*says \(48, 32\)")
    fails({"x": torch.ones(1)}, "lacks tensors .*: model.embed_tokens.weight, .* and")


def test_fused_tensors_that_do_not_fit(published: Any, tmp_path: Path) -> None:
    _, folder = published("gpt2")
    shutil.copy(folder / "config.json", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    name = "transformer.h.0.attn.c_attn.weight"
    save_file(tensors | {name: tensors[name].t().contiguous()}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=rf"{name} has .*\(96, 32\), .*says \(32, 96\)"):
        hub.load(tmp_path)


def test_damaged_files(published: Any, tmp_path: Path) -> None:
    _, folder = published("llama")
    whole = (folder / "model.safetensors").read_bytes()
    shutil.copy(folder / "config.json", tmp_path)
    for cut in (whole[:-1], whole[:-4000], whole[:100], whole[:4], b""):
        (tmp_path / "model.safetensors").write_bytes(cut)
        with pytest.raises(ValueError, match="is damaged or was cut short") as error:
            hub.load(tmp_path)
        one_line(error)
    for content, says in [
        (b"{", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", "expected an object, got list"),
        (b"{}", "model_type None is not supported; known are gpt2, llama, qwen3"),
    ]:
        (tmp_path / "config.json").write_bytes(content)
        with pytest.raises(ValueError, match=says) as error:
            hub.load(tmp_path)
        one_line(error)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ValueError, match=r"holds no config\.json"):
        hub.load(tmp_path)


def test_pickles_stay_closed(published: Any, tmp_path: Path) -> None:
    _, folder = published("llama")
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(ValueError, match=r"holds no model\.safetensors and no"):
        hub.load(tmp_path)
    trap = b"cos\nsystem\n(S'touch " + str(tmp_path / "opened").encode() + b"'\ntR."
    (tmp_path / "pytorch_model.bin").write_bytes(trap)
    with pytest.raises(ValueError, match=r"pytorch_model\.bin, which is a pickle") as error:
        hub.load(tmp_path)
    one_line(error)
    assert not (tmp_path / "opened").exists()


YARN = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4}
UNSUPPORTED: list[tuple[str, dict[str, Any], str]] = [
    ("mistral", {}, "model_type 'mistral' is not supported; known are gpt2, llama"),
    ("llama", {"rope_parameters": YARN}, "rope_type 'yarn' is not supported"),
    ("llama", {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "'dynamic' is not supported"),
    ("llama", {"rope_scaling": {"rope_type": "linear"}}, "expected a number for factor, got None"),
    ("llama", {"partial_rotary_factor": 0.5}, "partial_rotary_factor=0.5 is not supported"),
    (
        "llama",
        {"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.25}},
        "partial_rotary_factor=0.25 is not supported",
    ),
    ("llama", {"attention_bias": True}, "attention_bias=True is not supported in llama"),
    ("llama", {"mlp_bias": True}, "mlp_bias=True is not supported in llama"),
    ("qwen3", {"attention_bias": True}, "attention_bias=True is not supported in qwen3"),
    ("gemma", {"attention_bias": True}, "attention_bias=True is not supported in gemma"),
    ("llama", {"hidden_act": "tanh"}, "hidden_act='tanh' is not supported: only silu"),
    ("llama", {"num_local_experts": 8}, "num_local_experts=8 is not supported"),
    ("llama", {"quantization_config": {"bits": 4}}, "quantization_config='dict' is not supported"),
    ("llama", {"hidden_size": None}, "expected a whole number of at least 1 for hidden_size"),
    ("llama", {"hidden_size": "32"}, "for hidden_size, got '32'"),
    ("llama", {"num_key_value_heads": 3}, "n_head=4 does not divide by n_kv_head=3"),
    ("llama", {"tie_word_embeddings": "no"}, "expected true or false for tie_word_embeddings"),
    ("llama", {"layer_types": ["sliding_attention"] * 3}, "'sliding_attention' is not supported"),
    ("qwen3", {"layer_types": ["chunked_attention"] * 3}, "'chunked_attention' is not supported"),
    ("qwen3", {"layer_types": ["full_attention"]}, "for each of 3 layers"),
    (
        "qwen3",
        {"use_sliding_window": True, "max_window_layers": 0, "rope_parameters": LINEAR},
        "rope scaling together with sliding windows",
    ),
    ("gemma3_text", {"final_logit_softcapping": 30.0}, "final_logit_softcapping=30.0"),
    ("gemma3_text", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping=50.0"),
    ("gemma3_text", {"use_bidirectional_attention": True}, "use_bidirectional_attention=True"),
    ("gemma3", {}, "needs a text_config"),
    ("gemma3", {"text_config": SIZES | {"attn_logit_softcapping": 5.0}}, "attn_logit_softcapping"),
    ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True"),
    ("gpt2", {"scale_attn_weights": False}, "scale_attn_weights=False"),
    ("gpt2", {"add_cross_attention": True}, "add_cross_attention=True"),
]


@pytest.mark.parametrize(("kind", "changes", "says"), UNSUPPORTED)
def test_unsupported_settings(kind: str, changes: dict[str, Any], says: str) -> None:
    base = GPT2 if kind == "gpt2" else SIZES
    with pytest.raises(ValueError, match=says) as error:
        hub.config_of({"model_type": kind, **base, **changes})
    assert one_line(error).startswith("config.json: ")


# --- writing --------------------------------------------------------------------------------------


def small(**changes: Any) -> Transformer:
    return Transformer(
        Config(**{"vocab_size": VOCAB, "d_model": 32, "n_layer": 2, "n_head": 4} | changes)
    )


def test_our_own_models_become_qwen3(tmp_path: Path) -> None:
    model = Transformer(Config.of_size("nano", vocab_size=300, n_context=128))
    hub.save(model, tmp_path / "new" / "nano", eos_token_id=7, bos_token_id=5)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "new" / "nano")
    assert type(again).__name__ == "Qwen3ForCausalLM"
    tokens = random_text(50)
    assert (again(tokens).logits - model(tokens)).abs().max() <= 1e-4
    assert again.num_parameters() == count_parameters(model.config)
    assert (again.config.eos_token_id, again.config.bos_token_id) == (7, 5)
    assert again.config.max_position_embeddings == 128
    assert hub.load(tmp_path / "new" / "nano").config == model.config
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "new" / "nano").stat().st_mode & 0o777 == 0o777 & ~umask


def test_no_token_ends_a_text_unless_told(tmp_path: Path) -> None:
    """Llama's class would stop at token 2, Gemma's at 1."""
    hub.save(small(qk_norm=False), tmp_path / "llama")
    config = AutoConfig.from_pretrained(tmp_path / "llama")
    assert (config.model_type, config.eos_token_id, config.bos_token_id) == ("llama", None, None)
    hub.save(small(qk_norm=False), tmp_path / "stops", eos_token_id=[3, 4])
    assert AutoConfig.from_pretrained(tmp_path / "stops").eos_token_id == [3, 4]


def test_settings_that_no_architecture_has(tmp_path: Path) -> None:
    def fails(model: Transformer, says: str, architecture: str | None = None) -> None:
        with pytest.raises(ValueError, match=says) as error:
            hub.save(model, tmp_path / "out", architecture)
        one_line(error)
        assert list(tmp_path.iterdir()) == []

    fails(small(activation="relu_squared"), "no architecture .* knows activation='relu_squared'")
    fails(small(norm="layer"), "nearest is qwen3, but norm='layer', where it has 'rms'")
    fails(small(gated=False), "the nearest is qwen3, but gated=False, where it has True")
    fails(small(query_scale=5.0), "query_scale=5.0, where it has d_head")
    fails(small(window=8, local_layers=(0,), rope_base=50.0), "differ between local layers")
    fails(small(), "cannot be written as llama: qk_norm=True, where it has False", "llama")
    fails(small(), "there is no architecture 'bert'; there are: qwen3, llama", "bert")
    learned = {"norm": "layer", "qk_norm": False, "gated": False, "activation": "gelu_tanh"}
    learned |= {"bias": True, "position": "learned"}
    fails(small(**learned, n_kv_head=2), "as many key-value heads as heads", "gpt2")
    fails(small(d_model=30, d_head=8, qk_norm=False), "does not divide by n_head=4", "llama")
    hub.save(small(qk_norm=False), tmp_path / "out", "smollm2")
    assert hub.config_of(tmp_path / "out").qk_norm is False


def test_a_model_that_is_not_plain(tmp_path: Path) -> None:
    model = small()
    model.blocks[0].attention.query = torch.nn.Sequential(model.blocks[0].attention.query)
    with pytest.raises(ValueError, match=r"query\.0\.weight' is none .* merge them first"):
        hub.save(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_writing_again(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    hub.save(small(), folder, shard_bytes=5_000)  # an empty one will do
    assert len(list(folder.glob("*.safetensors"))) > 1
    (folder / "tokenizer.json").write_text("{}")
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("kept")
    newer = small(d_hidden=50)
    hub.save(newer, str(folder))
    assert sorted(file.name for file in folder.iterdir()) == [
        "config.json", "model.safetensors", "notes", "tokenizer.json"
    ]  # fmt: skip
    assert (folder / "notes" / "a.txt").read_text() == "kept"
    assert torch.equal(hub.load(folder).head.weight, newer.head.weight)
    assert list(tmp_path.iterdir()) == [folder]
    hub.save(hub.load(folder), folder)  # over the file that it came from
    assert torch.equal(hub.load(folder).head.weight, newer.head.weight)


def test_a_folder_of_others_is_left_alone(published: Any, tmp_path: Path) -> None:
    _, theirs = published("qwen3")
    shutil.copytree(theirs, tmp_path / "theirs")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("x")
    for name, says in [
        ("theirs", "holds config.json, generation_config.json, .*, which this library did not"),
        ("other", "holds thesis.txt, which this library did not write"),
        ("file", "is a file"),
    ]:
        with pytest.raises(ValueError, match=says) as error:
            hub.save(small(), tmp_path / name)
        one_line(error)
    assert (tmp_path / "other" / "thesis.txt").read_text() == "years of work"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "other", "theirs"]


def test_a_broken_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    first = small()

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(_hub_files, "write_json", full)
        with pytest.raises(OSError, match="no space"):
            hub.save(first, folder)
    assert list(tmp_path.iterdir()) == []
    hub.save(first, folder)
    (folder / "tokenizer.json").write_text("{}")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(_hub_files, "write_json", full)
        with pytest.raises(OSError, match="no space"):
            hub.save(small(), folder)
    replace = os.replace

    def fails_to_move_in(source: Path, target: Path) -> None:
        if str(source).endswith(".part"):
            raise OSError("no space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fails_to_move_in)
        with pytest.raises(OSError, match="no space"):
            hub.save(small(), folder)
    assert list(tmp_path.iterdir()) == [folder]
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


# --- the hub --------------------------------------------------------------------------------------


def test_a_name_on_the_hub(published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder = published("llama")
    asked: list[tuple[str, dict[str, Any]]] = []

    def download(name: str, **options: Any) -> str:
        asked.append((name, options))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert hub.folder_of("someone/a-model") == folder
    assert hub.load("someone/a-model").config == hub.config_of("someone/a-model")
    assert [name for name, _ in asked] == ["someone/a-model"] * 3
    patterns = [options["allow_patterns"] for _, options in asked]
    assert patterns == [["*.json", "model*.safetensors"]] * 2 + [["config.json"]]


def test_out_of_reach(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(source: str | Path, says: str) -> None:
        with pytest.raises(hub.HubError, match=says) as error:
            hub.load(source)
        assert isinstance(error.value, ValueError)
        one_line(error)

    def raises(kind: type[BaseException]) -> None:
        def download(*_: object, **__: object) -> str:
            raise kind.__new__(kind)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", download)

    raises(errors.GatedRepoError)
    fails("meta-llama/Llama-3.2-1B", "accepted its terms")
    raises(errors.RepositoryNotFoundError)
    fails("someone/nothing", "no such model on the hub")
    raises(errors.HFValidationError)
    fails("a model", "is neither a folder nor the name")
    raises(ConnectionError)
    fails("someone/a-model", r"the hub is out of reach \(ConnectionError\): go online")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    fails("someone/a-model", "pip install huggingface_hub")
    for local in (tmp_path / "nowhere", "./nowhere", "/no/where", "a/b/c", "~/nowhere", ""):
        fails(local, "is no folder")
    (tmp_path / "file").write_text("x")
    fails(str(tmp_path / "file"), "is a file: give the folder")


def test_offline(tmp_path: Path) -> None:
    """Nothing is patched here: the package itself is told that there is no network."""
    code = (
        "from lib import hub\n"
        "try:\n"
        "    hub.load('HuggingFaceTB/SmolLM2-135M')\n"
        "except hub.HubError as error:\n"
        "    print(error)\n"
        "import sys\n"
        "print('transformers' in sys.modules)\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    says, imported = run.stdout.splitlines()
    assert "the hub is out of reach" in says
    assert imported == "False"
