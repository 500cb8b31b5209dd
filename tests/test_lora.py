"""`lib.lora`: a low-rank update beside frozen layers, against the whole weight and against PEFT."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lib import checkpoint, hub
from lib._lora_quantised import QuantisedLinear
from lib.generation import generate
from lib.lora import (
    LAYERS,
    LoRALinear,
    LowRank,
    adapter_weights,
    add_lora,
    combine_adapters,
    dequantise_base,
    linear_layers,
    load_adapter,
    load_adapter_weights,
    lora_layers,
    merge_lora,
    model_bytes,
    quantise_base,
    quantise_rows,
    save_adapter,
    trainable_parameters,
    without_lora,
)
from lib.optim import make_optimizer
from lib.training import next_token_batch, train
from lib.transformer import Config, Transformer

VOCAB = 61


def model_of(**changes: Any) -> Transformer:
    settings: dict[str, Any] = dict(
        vocab_size=VOCAB, d_model=24, n_layer=3, n_head=4, n_kv_head=2, d_head=10, d_hidden=36,
        n_context=32,
    )  # fmt: skip
    torch.manual_seed(3)
    model = Transformer(Config(**(settings | changes)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


def learn(model: nn.Module, seed: int = 0, std: float = 0.3) -> None:
    """Numbers in all Bs, as if something had been learnt."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in lora_layers(model).values():
            layer.B.copy_(torch.randn(layer.B.shape, generator=generator) * std)


def text(b: int = 2, t: int = 9) -> Tensor:
    return torch.randint(VOCAB, (b, t), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def logits(model: nn.Module, tokens: Tensor | None = None) -> Tensor:
    return model(text() if tokens is None else tokens)


def adapted(
    rank: int = 3, alpha: float = 7.0, where: Sequence[str] = LAYERS, **changes: Any
) -> Any:
    model = model_of(**changes)
    add_lora(model, rank, alpha, where)
    learn(model)
    return model


# --- the layer ------------------------------------------------------------------------------------


def test_b_starts_at_zero_and_a_is_of_the_size_of_its_input() -> None:
    layer = LoRALinear(nn.Linear(400, 300), 16, 8)
    assert not layer.B.any()
    assert abs(layer.A.std().item() * 20 - 1) < 0.05  # 6,400 numbers of deviation 1/√400
    assert not any(p.requires_grad for p in layer.base.parameters())
    assert set(layer.state_dict()) == {"A", "B", "base.weight", "base.bias"}
    assert "rank=16, alpha=8" in repr(layer)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((nn.Linear(2, 3), 0, 1.0), "rank of at least 1, got 0"),
        ((nn.Linear(2, 3), 2, 0.0), "alpha above 0, got 0.0"),
        ((nn.Linear(2, 3), 2, float("nan")), "alpha above 0, got nan"),
        ((nn.Linear(2, 3), 2, 1.0, 1.0), "dropout from 0 to below 1, got 1.0"),
        ((nn.Embedding(2, 3), 2, 1.0), "linear layers, got a Embedding"),
    ],
)
def test_layers_that_cannot_be(arguments: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        LoRALinear(*arguments)


def test_a_wrong_rank_leaves_the_model_as_it_is() -> None:
    model = model_of()
    with pytest.raises(ValueError, match="rank"):
        add_lora(model, 0, 1.0)
    assert not lora_layers(model)
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_adapters_are_in_the_precision_of_the_base(dtype: torch.dtype) -> None:
    model = model_of().to(dtype)
    add_lora(model, 2, 5.0)
    assert all(p.dtype == dtype for p in model.parameters())
    assert logits(model).dtype == dtype


# --- a model --------------------------------------------------------------------------------------


def test_the_tied_head_is_no_candidate() -> None:
    names = linear_layers(model_of())
    assert len(names) == 3 * 7
    assert "head" not in names
    assert "head" in linear_layers(model_of(tied=False))
    with pytest.raises(ValueError, match="'head'; there are: query, key, value, output, gate"):
        add_lora(model_of(), 2, 4.0, ("query", "head"))


def test_gpt2_has_no_gate() -> None:
    model = model_of(gated=False, activation="gelu_tanh", bias=True)
    with pytest.raises(ValueError, match="called 'gate'; there are: query"):
        add_lora(model, 2, 4.0)
    assert len(add_lora(model, 2, 4.0, [name for name in LAYERS if name != "gate"])) == 18


@pytest.mark.parametrize(
    "changes", [{}, {"bias": True, "tied": False}, {"norm": "layer", "position": "learned"}]
)
def test_merged_equals_unmerged(changes: dict[str, Any]) -> None:
    model = adapted(**changes)
    before, base = logits(model), logits(model_of(**changes))
    assert (before - base).abs().max() > 0.1
    merge_lora(model)
    torch.testing.assert_close(logits(model), before, rtol=1e-5, atol=1e-5)
    assert set(model.state_dict()) == set(model_of(**changes).state_dict())
    assert trainable_parameters(model)[0] == trainable_parameters(model)[1]
    if model.config.tied:
        assert model.head.weight is model.embedding.weight


def test_merged_in_bfloat16_rounds_once() -> None:
    model = adapted().bfloat16()
    layer = model.blocks[0].mlp.up
    exact = layer.base.weight.double() + 7 / 3 * layer.B.double() @ layer.A.double()
    merge_lora(model)
    assert type(model.blocks[0].mlp.up) is nn.Linear
    assert model.blocks[0].mlp.up.weight.dtype == torch.bfloat16
    differ = model.blocks[0].mlp.up.weight != exact.bfloat16()
    assert differ.float().mean() < 0.01  # float32 and float64 may fall to two sides of a border


def test_share_of_the_parameters() -> None:
    model = model_of()
    whole = trainable_parameters(model)
    assert whole == (sum(p.numel() for p in set(model.parameters())),) * 2
    add_lora(model, 2, 4.0, ("query", "value"))
    expected = 3 * 2 * ((24 + 40) + (24 + 20))
    assert trainable_parameters(model) == (expected, whole[1] + expected)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_training_moves_the_adapter_alone(name: str, tmp_path: Path) -> None:
    model = model_of()
    add_lora(model, 3, 6.0, dropout=0.1)
    before = {n: p.clone() for n, p in model.state_dict().items()}
    tokens = torch.arange(400) % 7
    history = train(
        model,
        lambda step, generator: next_token_batch(tokens, 4, 16, generator),
        20,
        make_optimizer(model, name, lr=0.02),
        progress=False,
        loss_limit=1e9,
    )
    losses = [record["loss"] for record in history.records if "loss" in record]
    assert losses[-1] < 0.5 * losses[0]
    for n, p in model.state_dict().items():
        learnt = n.endswith((".A", ".B"))
        assert p.equal(before[n]) != learnt, n


def test_training_in_bfloat16_and_resumed(tmp_path: Path) -> None:
    """Training checkpoints hold LoRA as it is, for a model that has it again."""
    tokens = torch.arange(400) % 7

    def run(n_steps: int, folder: Path | None) -> Transformer:
        model = model_of()
        torch.manual_seed(8)
        add_lora(model, 3, 6.0)
        train(
            model,
            lambda step, generator: next_token_batch(tokens, 4, 16, generator),
            n_steps,
            make_optimizer(model, "muon", lr=0.02),
            schedule=lambda step: 1.0,
            precision="bfloat16",
            folder=folder,
            save_every=3,
            progress=False,
            loss_limit=1e9,
        )
        return model

    whole = run(6, None)
    run(3, tmp_path)
    resumed = run(6, tmp_path)
    for name, p in whole.state_dict().items():
        assert p.equal(resumed.state_dict()[name]), name
    with pytest.raises(checkpoint.CheckpointError, match="saved with LoRA, so add_lora before"):
        checkpoint.load(tmp_path / "step-000006")


def test_checkpoints_hold_plain_models(tmp_path: Path) -> None:
    model = adapted()
    with pytest.raises(ValueError, match=r"save_adapter\(model, folder\), or merge_lora"):
        checkpoint.save(tmp_path / "model", model)
    assert not (tmp_path / "model").exists()
    with pytest.raises(ValueError, match="merge them first"):
        hub.save(model, tmp_path / "hub")
    before = logits(model)
    merge_lora(model)
    checkpoint.save(tmp_path / "model", model)
    loaded = checkpoint.load(tmp_path / "model").eval()
    torch.testing.assert_close(logits(loaded), before, rtol=1e-5, atol=1e-5)


def test_generation_with_a_cache() -> None:
    model = adapted()
    plain = model_of()
    load_adapter_weights(plain, adapter_weights(model))
    merge_lora(plain)
    prompts = [[3, 1, 4, 1, 5], [9, 2]]
    written = generate(model, prompts, 8, temperature=0)
    assert written == generate(plain, prompts, 8, temperature=0)
    assert written != generate(model_of(), prompts, 8, temperature=0)
    assert len(written[0]) == 8


# --- several adapters -----------------------------------------------------------------------------


def test_without_lora_is_the_base() -> None:
    model = adapted()
    before, layers = logits(model), lora_layers(model)
    with without_lora(model):
        assert logits(model).equal(logits(model_of()))
        assert not lora_layers(model)
    assert logits(model).equal(before)
    assert all(lora_layers(model)[name] is layer for name, layer in layers.items())


def test_without_lora_ends_after_an_error_and_keeps_modes() -> None:
    model = adapted()
    model.train()
    with pytest.raises(KeyError), without_lora(model):
        model.eval()
        raise KeyError
    assert len(lora_layers(model)) == 21
    assert not any(module.training for layer in lora_layers(model).values()
                   for module in layer.modules())  # fmt: skip
    with pytest.raises(ValueError, match="no LoRA to leave out"), without_lora(model_of()):
        pass


def test_switching_adapters_costs_no_base() -> None:
    model = model_of()
    bases = [layer.weight for layer in linear_layers(model).values()]
    add_lora(model, 3, 7.0)
    learn(model, seed=1)
    first, one = adapter_weights(model), logits(model)
    learn(model, seed=2)
    second, two = adapter_weights(model), logits(model)
    assert (one - two).abs().max() > 0.1
    parameters = [layer.A for layer in lora_layers(model).values()]
    load_adapter_weights(model, first)
    assert logits(model).equal(one)
    assert all(a is b for a, b in zip(parameters, [x.A for x in lora_layers(model).values()]))
    load_adapter_weights(model, second)
    assert logits(model).equal(two)
    assert first["blocks.0.mlp.up"].B.any()  # a copy: what came after has not changed it
    assert all(
        a is b for a, b in zip(bases, [layer.base.weight for layer in lora_layers(model).values()])
    )


def test_an_adapter_of_another_rank_and_other_layers() -> None:
    model = adapted(rank=2, alpha=3.0, where=("query", "down"))
    wanted, adapter = logits(model), adapter_weights(model)
    other = adapted(rank=5, alpha=1.0, where=("query", "value"))
    load_adapter_weights(other, adapter)
    assert logits(other).equal(wanted)
    assert {name.rpartition(".")[2] for name in lora_layers(other)} == {"query", "down"}
    plain = model_of()
    load_adapter_weights(plain, adapter)
    assert logits(plain).equal(wanted)
    assert trainable_parameters(plain) == trainable_parameters(model)
    assert trainable_parameters(other) == trainable_parameters(model)


def test_adapters_that_do_not_fit() -> None:
    model = model_of()
    with pytest.raises(ValueError, match="no LoRA: add_lora"):
        adapter_weights(model)
    with pytest.raises(ValueError, match=r"for blocks\.7\.mlp\.up, and the model has no such"):
        load_adapter_weights(
            model, {"blocks.7.mlp.up": LowRank(torch.ones(2, 24), torch.ones(36, 2), 1.0)}
        )
    fits = LowRank(torch.ones(2, 24), torch.ones(36, 2), 1.0)
    wrong = LowRank(torch.ones(2, 24), torch.ones(35, 2), 1.0)
    with pytest.raises(ValueError, match=r"up is 36 × 24, the adapter's B is \(35, 2\)"):
        load_adapter_weights(model, {"blocks.0.mlp.up": fits, "blocks.1.mlp.up": wrong})
    with pytest.raises(ValueError, match="alpha above 0, got -1"):
        load_adapter_weights(model, {"blocks.0.mlp.up": LowRank(fits.A, fits.B, -1.0)})
    with pytest.raises(ValueError, match="the adapter is empty"):
        load_adapter_weights(model, {})
    assert not lora_layers(model)
    assert all(p.requires_grad for p in model.parameters())


def test_arithmetic_of_adapters_is_exact() -> None:
    first = adapter_weights(adapted(rank=2, alpha=3.0, where=("query", "down")))
    model = adapted(rank=4, alpha=9.0, where=("down", "up"))
    learn(model, seed=5)
    second = adapter_weights(model)
    both = combine_adapters([first, second], [1.0, -0.5])
    assert both["blocks.0.mlp.down"].rank == 6
    for name, part in both.items():
        expected = torch.zeros_like(part.update())
        if name in first:
            expected += first[name].update()
        if name in second:
            expected -= 0.5 * second[name].update()
        torch.testing.assert_close(part.update(), expected)
    plain = model_of()
    load_adapter_weights(plain, both)
    unmerged = logits(plain)
    merge_lora(plain)
    torch.testing.assert_close(logits(plain), unmerged, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="one weight for each adapter, got 1 for 2"):
        combine_adapters([first, second], [1.0])


# --- PEFT -----------------------------------------------------------------------------------------


def theirs(folder: Path, **options: Any) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options).eval()


@torch.no_grad()
def their_logits(model: Any) -> Tensor:
    return model(text()).logits


KINDS: dict[str, dict[str, Any]] = {
    "qwen3": {},
    "llama": {"qk_norm": False, "bias": True, "tied": False, "d_head": 6},
    "gemma": {
        "qk_norm": False,
        "norm": "rms_plus_one",
        "activation": "gelu_tanh",
        "scale_embedding": True,
    },
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", [LAYERS, ("query", "value")])
def test_peft_reads_our_adapter(kind: str, where: tuple[str, ...], tmp_path: Path) -> None:
    from peft import PeftModel

    hub.save(model_of(**KINDS[kind]), tmp_path / "base")
    model = adapted(3, 7.0, where, **KINDS[kind])
    save_adapter(model, tmp_path / "adapter", base=str(tmp_path / "base"))
    read = PeftModel.from_pretrained(theirs(tmp_path / "base"), tmp_path / "adapter")
    torch.testing.assert_close(their_logits(read), logits(model), rtol=1e-5, atol=1e-5)
    n_peft = sum(p.numel() for n, p in read.named_parameters() if "lora_" in n)
    assert n_peft == trainable_parameters(model)[0]
    merged = read.merge_and_unload()
    torch.testing.assert_close(their_logits(merged), logits(model), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rslora", [False, True])
def test_we_read_what_peft_writes(rslora: bool, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    hub.save(model_of(), tmp_path / "base")
    torch.manual_seed(5)
    config = LoraConfig(
        r=3, lora_alpha=8, target_modules=["q_proj", "up_proj"], use_rslora=rslora,
        init_lora_weights=False, task_type="CAUSAL_LM", lora_dropout=0.1,
    )  # fmt: skip
    peft_model = get_peft_model(theirs(tmp_path / "base"), config).eval()
    peft_model.save_pretrained(tmp_path / "adapter")
    model = model_of()
    adapter = load_adapter(model, tmp_path / "adapter")
    assert (logits(model) - logits(model_of())).abs().max() > 0.1
    torch.testing.assert_close(logits(model), their_logits(peft_model), rtol=1e-5, atol=1e-5)
    again = model_of()
    load_adapter_weights(again, adapter)
    assert logits(again).equal(logits(model))
    assert trainable_parameters(model)[0] == sum(
        p.numel() for p in peft_model.parameters() if p.requires_grad
    )


def test_patterns_of_ranks_and_alphas_both_ways(tmp_path: Path) -> None:
    from peft import LoraConfig, PeftModel, get_peft_model

    hub.save(model_of(), tmp_path / "base")
    config = LoraConfig(
        r=3, lora_alpha=8, target_modules=["q_proj", "up_proj", "down_proj"],
        rank_pattern={"up_proj": 2, "layers.1.self_attn.q_proj": 5},
        alpha_pattern={r"layers\.[02]\.self_attn\.q_proj": 1, "down_proj": 20},
        init_lora_weights=False,
    )  # fmt: skip
    torch.manual_seed(5)
    peft_model = get_peft_model(theirs(tmp_path / "base"), config).eval()
    peft_model.save_pretrained(tmp_path / "adapter")
    model = model_of()
    load_adapter(model, tmp_path / "adapter")
    assert {layer.rank for layer in lora_layers(model).values()} == {2, 3, 5}
    torch.testing.assert_close(logits(model), their_logits(peft_model), rtol=1e-5, atol=1e-5)
    save_adapter(model, tmp_path / "ours")
    read = PeftModel.from_pretrained(theirs(tmp_path / "base"), tmp_path / "ours")
    torch.testing.assert_close(their_logits(read), logits(model), rtol=1e-5, atol=1e-5)


def test_layers_in_some_blocks_only(tmp_path: Path) -> None:
    from peft import PeftModel

    hub.save(model_of(), tmp_path / "base")
    model = adapted(where=("query", "up"))
    some = {n: x for n, x in adapter_weights(model).items() if n != "blocks.1.mlp.up"}
    load_adapter_weights(model, some)
    save_adapter(model, tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert "model.layers.2.mlp.up_proj" in config["target_modules"]
    read = PeftModel.from_pretrained(theirs(tmp_path / "base"), tmp_path / "adapter")
    torch.testing.assert_close(their_logits(read), logits(model), rtol=1e-5, atol=1e-5)


def test_our_own_way_there_and_back(tmp_path: Path) -> None:
    model = adapted(3, 0.5)
    save_adapter(model, tmp_path / "adapter")
    save_adapter(model, tmp_path / "adapter")  # over what was written here
    names = sorted(load_file(tmp_path / "adapter" / "adapter_model.safetensors"))
    assert names[0] == "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight"
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (3, 0.5)
    assert config["target_modules"] == sorted(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    )
    back = model_of()
    load_adapter(back, tmp_path / "adapter")
    assert logits(back).equal(logits(model))


def test_folders_that_are_no_place_for_an_adapter(tmp_path: Path) -> None:
    hub.save(model_of(), tmp_path / "base")
    with pytest.raises(ValueError, match="holds a model: give the adapter a folder of its own"):
        save_adapter(adapted(), tmp_path / "base")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="did not write"):
        save_adapter(adapted(), tmp_path / "notes")
    with pytest.raises(ValueError, match="no LoRA"):
        save_adapter(model_of(), tmp_path / "new")
    gpt2 = {
        "norm": "layer", "position": "learned", "gated": False, "activation": "gelu_tanh",
        "bias": True, "qk_norm": False, "n_kv_head": 4, "d_head": 6,
    }  # fmt: skip
    with pytest.raises(ValueError, match="GPT-2 keeps query, key and value in one matrix"):
        save_adapter(adapted(where=("query",), **gpt2), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"peft_type": "LOHA"}, "of the kind LOHA: only LORA"),
        ({"peft_type": None}, "of the kind None"),
        ({"use_dora": True}, "not plain LoRA but DoRA"),
        ({"use_something_new": {"a": 1}}, "not plain LoRA but use_something_new"),
        ({"bias": "lora_only"}, "trained biases"),
        ({"lora_bias": True}, "biases beside B"),
        ({"modules_to_save": ["lm_head"]}, "whole modules beside LoRA"),
        ({"fan_in_fan_out": True}, "transposed weights"),
        ({"init_lora_weights": "pissa"}, "started as 'pissa', which changes the base"),
        ({"r": None}, "does not say r"),
        ({"r": 4}, "its config says rank 4"),
    ],
)
def test_other_kinds_of_adapters_are_refused(
    change: dict[str, Any], says: str, tmp_path: Path
) -> None:
    save_adapter(adapted(), tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    model = model_of()
    with pytest.raises(ValueError, match=says):
        load_adapter(model, tmp_path / "adapter")
    assert not lora_layers(model)
    assert all(p.requires_grad for p in model.parameters())


def test_damaged_adapters_are_refused(tmp_path: Path) -> None:
    save_adapter(adapted(), tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    tensors = load_file(path)
    first = min(tensors)

    def says(message: str) -> None:
        model = model_of()
        with pytest.raises(ValueError, match=message):
            load_adapter(model, tmp_path / "adapter")
        assert not lora_layers(model)

    save_file({n: x for n, x in tensors.items() if n != first}, path)
    says("not complete: .* has lora_B alone")
    save_file(tensors | {"base_model.model.lm_head.weight": torch.ones(2)}, path)
    says("lm_head.weight is not part of a plain LoRA adapter")
    other = first.replace("layers.0", "layers.9")
    save_file(tensors | {other: tensors[first].clone()}, path)
    says("model has no such linear layer: is the adapter for another model?")
    path.write_bytes(path.read_bytes()[:-40])
    says("damaged or was cut short")
    path.rename(path.with_name("adapter_model.bin"))
    says("a pickle and is not opened")
    with pytest.raises(hub.HubError, match="is no folder"):
        load_adapter(model_of(), tmp_path / "nothing")


# --- a base in 8 bits -----------------------------------------------------------------------------


def test_rows_are_rounded_by_half_a_step_at_most() -> None:
    weight = torch.randn(20, 30, generator=torch.Generator().manual_seed(0))
    weight[3] = 0
    weight[5] *= 1000
    rounded, scale = quantise_rows(weight)
    assert rounded.dtype == torch.int8
    assert rounded.abs().amax(dim=1).tolist() == [127 if i != 3 else 0 for i in range(20)]
    assert ((rounded * scale - weight).abs() <= 0.5001 * scale).all()


def test_a_quantised_base_is_small_and_nearly_the_same() -> None:
    model = adapted()
    before, counted = logits(model), trainable_parameters(model)
    weights = torch.cat([x.base.weight.flatten() for x in lora_layers(model).values()])
    found = quantise_base(model)
    assert found.layers == 21
    assert found.bytes_after == model_bytes(model)
    rows = sum(x.base.out_features for x in lora_layers(model).values())
    assert found.bytes_before - found.bytes_after == 3 * weights.numel() - 4 * rows
    assert 0 < found.error < 0.01
    error = (logits(model) - before).norm() / before.norm()
    assert 0 < error < 0.02
    assert trainable_parameters(model) == counted
    again = torch.cat(
        [x.base.unpacked(torch.float32).flatten() for x in lora_layers(model).values()]
    )
    assert abs((again - weights).norm() / weights.norm() - found.error) < 1e-6


@pytest.mark.parametrize("autocast", [False, True])
def test_gradients_flow_through_a_quantised_base(autocast: bool) -> None:
    """The same as through a plain base with the rounded weights."""
    model = adapted(bias=True)
    quantise_base(model)
    plain = adapted(bias=True)
    quantise_base(plain)
    dequantise_base(plain)
    gradients = []
    for each in (model, plain):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = each(text())
        assert out.dtype == (torch.bfloat16 if autocast else torch.float32)
        out.float().square().sum().backward()
        gradients.append([p.grad for p in each.parameters() if p.requires_grad])
    assert len(gradients[0]) == 42
    for a, b in zip(*gradients):
        assert a is not None and b is not None
        error = (a - b).norm() / b.norm()
        assert error < (1e-3 if autocast else 1e-5)


def test_a_quantised_base_is_merged_only_when_told() -> None:
    model = adapted(where=("query", "value"))
    quantise_base(model)
    before = logits(model)
    with pytest.raises(ValueError, match=r"quantised: dequantise_base\(model\) first"):
        merge_lora(model)
    with pytest.raises(ValueError, match="a quantised base"):
        checkpoint.save("never written", model)
    dequantise_base(model)
    torch.testing.assert_close(logits(model), before, rtol=1e-5, atol=1e-5)
    merge_lora(model)
    torch.testing.assert_close(logits(model), before, rtol=1e-5, atol=1e-5)
    assert not any(isinstance(module, QuantisedLinear) for module in model.modules())
    with pytest.raises(ValueError, match="no quantised layers"):
        dequantise_base(model)


def test_adapters_come_and_go_on_a_quantised_base(tmp_path: Path) -> None:
    model = adapted(where=("query", "value"))
    adapter = adapter_weights(model)
    quantise_base(model)
    wanted = logits(model)
    save_adapter(model, tmp_path / "adapter")
    learn(model, seed=9)
    other = adapter_weights(adapted(rank=5, alpha=2.0, where=("query",)))
    load_adapter_weights(model, other)
    assert not logits(model).allclose(wanted)
    with pytest.raises(ValueError, match="no such linear layer"):
        load_adapter_weights(model, adapter)  # "value" is quantised and has no LoRA any more
    again = adapted(where=("query", "value"))
    quantise_base(again)
    learn(again, seed=4)
    load_adapter(again, tmp_path / "adapter")
    assert logits(again).equal(wanted)


def test_only_frozen_layers_are_quantised() -> None:
    with pytest.raises(ValueError, match="query is not frozen, and whole numbers cannot"):
        quantise_base(model_of())
    with pytest.raises(ValueError, match="no linear layer called nothing"):
        quantise_base(adapted(), where=("nothing",))
