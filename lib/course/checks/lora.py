"""Checks of the floor `lib.lora`. Oracles: the update multiplied out in float64, a count that walks
through the modules, and lists of names.

Layers are not square (but for one), alpha is never the rank, and the model's layers called "query"
and "output" happen to be square while others are not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lib.course.bank import Case, Exercise, with_method
from lib.course.checks.attention import randn
from lib.course.checks.ngram import came_back
from lib.lora import LAYERS, LoRALinear, QuantisedLinear
from lib.transformer import Config, Transformer

# --- LoRALinear.forward ---------------------------------------------------------------------------

N_IN, N_OUT, RANK, ALPHA = 5, 7, 3, 6.0


def fill(module: nn.Module, scale: float = 0.5, seed: int = 0) -> Any:
    """Fixed numbers in every parameter that has fractions, B included."""
    for i, parameter in enumerate(module.parameters()):
        if parameter.is_floating_point():
            parameter.data.copy_(randn(*parameter.shape, seed=seed + 40 + i, scale=scale))
    return module


def layer_of(forward: Any, n_in: int = N_IN, n_out: int = N_OUT, bias: bool = True,
             rank: int = RANK, alpha: float = ALPHA, dropout: float = 0.0) -> Any:  # fmt: skip
    """A layer with fixed weights whose forward is the learner's."""
    base = nn.Linear(n_in, n_out, bias=bias)
    layer = with_method(LoRALinear, "forward", forward)(base, rank, alpha, dropout)
    return fill(layer).eval()


def multiplied_out(self: LoRALinear, x: Tensor) -> Tensor:
    """The whole weight with its update, in float64."""
    assert isinstance(self.base, nn.Linear)
    update = torch.einsum("or,ri->oi", self.B.double(), self.A.double())
    weight = self.base.weight.double() + update * (self.alpha / self.A.shape[0])
    y = torch.einsum("...i,oi->...o", x.double(), weight)
    return (y if self.base.bias is None else y + self.base.bias.double()).to(x.dtype)


def run_layer(**options: Any) -> Any:
    return lambda forward, x: layer_of(forward, **options)(x)


def run_at_start(forward: Any, x: Tensor) -> Tensor:
    layer = layer_of(forward)
    nn.init.zeros_(layer.B)
    return layer(x)


class MultipliedOut(TorchDispatchMode):
    """Notes whether a matrix is computed that is as large as a layer's weight."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.shape, self.found = sorted(weight.shape), False
        self.weight = weight.untyped_storage().data_ptr()

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = op(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and sorted(result.shape[-2:]) == self.shape:
            self.found |= result.untyped_storage().data_ptr() != self.weight  # no view of it
        return result


def run_twice(forward: Any, x: Tensor) -> tuple[Tensor, Tensor, bool]:
    """Both results, and whether B A was multiplied out for them."""
    layer = layer_of(forward)
    with torch.no_grad(), MultipliedOut(layer.base.weight) as watched:
        return layer(x), layer(x), watched.found


def right_twice(x: Tensor) -> tuple[Tensor, Tensor, bool]:
    y = layer_of(multiplied_out)(x).detach()
    return y, y, False


def run_learning(forward: Any, x: Tensor) -> tuple[Any, ...]:
    """The gradients of A and B, and whether the base has been left alone."""
    layer = layer_of(forward)
    total = (layer(x) * torch.linspace(-1, 1, N_OUT)).sum()
    if total.requires_grad:
        total.backward()
    nothing = torch.zeros(0)
    gradients = [nothing if p.grad is None else p.grad for p in (layer.A, layer.B)]
    alone = layer.base.weight.grad is None and layer.base.bias.grad is None
    return (*gradients, alone)


def run_bfloat16(forward: Any, x: Tensor) -> Tensor:
    return layer_of(forward).bfloat16()(x)


def exact_bfloat16(x: Tensor) -> Tensor:
    return layer_of(multiplied_out).bfloat16()(x)


def run_autocast(forward: Any, x: Tensor) -> Tensor:
    layer = layer_of(forward)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return layer(x)


def run_dropout(forward: Any, x: Tensor) -> tuple[Tensor, bool]:
    """Rows with a single number each, dropout of a half: the shares of updates that are gone, that
    are doubled, that are as without dropout, and of their single numbers that are gone; and whether
    there is nothing else."""
    layer = layer_of(forward, dropout=0.5).train()
    with torch.no_grad():
        found = layer(x) - layer.base(x)
        whole = layer_of(multiplied_out)(x) - layer.base(x)
    gone = (found.abs() < 1e-4).all(dim=1)
    doubled = ((found - 2 * whole).abs() < 1e-4).all(dim=1)
    as_before = ((found - whole).abs() < 1e-4).all(dim=1)
    numbers = found.abs() < 1e-4
    shares = torch.stack([x.float().mean() for x in (gone, doubled, as_before, numbers)])
    return shares, bool((gone | doubled).all())


def run_dropout_off(forward: Any, x: Tensor) -> Tensor:
    return layer_of(forward, dropout=0.5).eval()(x)


def layer_case(title: str, call: str, x: Callable[[], Tensor], run: Any, **more: Any) -> Case:
    more.setdefault("expected", lambda x: run(multiplied_out, x))
    return Case(title, lambda: (x(),), run=run, call=call, **more)


MADE = "LoRALinear(nn.Linear(5, 7), rank=3, alpha=6)"

FORWARD = Exercise(
    "lib.lora.LoRALinear.forward",
    cases=[
        layer_case(
            "2 texts of 4 vectors, 5 numbers in, 7 out, rank 3, alpha 6",
            f"{MADE}(x)    # x: (2, 4, 5)",
            lambda: randn(2, 4, N_IN),
            run_layer(),
            gradient=True,
        ),
        layer_case(
            "no bias, rank 2, alpha 5, a single vector",
            "LoRALinear(nn.Linear(5, 7, bias=False), rank=2, alpha=5)(x)    # x: (5)",
            lambda: randn(N_IN),
            run_layer(bias=False, rank=2, alpha=5.0),
        ),
        layer_case(
            "a square layer of 6, rank 6",
            "LoRALinear(nn.Linear(6, 6), rank=6, alpha=3)(x)",
            lambda: randn(3, 6),
            run_layer(n_in=6, n_out=6, rank=6, alpha=3.0),
        ),
        layer_case(
            "at the start, when B is zero: the base's own result",
            f"{MADE}(x)    # B is zero",
            lambda: randn(3, N_IN),
            run_at_start,
        ),
        layer_case(
            "called twice: the same both times, and B A is never multiplied out",
            "layer(x), layer(x)    # both results; was a matrix as large as the weight computed?",
            lambda: randn(3, N_IN),
            run_twice,
            expected=right_twice,
        ),
        layer_case(
            "what is learnt: gradients of A and B, none of the base",
            "layer(x) goes backward    # A.grad, B.grad, is the base left alone?",
            lambda: randn(4, N_IN),
            run_learning,
        ),
        layer_case(
            "all in bfloat16",
            f"{MADE}.bfloat16()(x)",
            lambda: randn(3, N_IN, dtype=torch.bfloat16),
            run_bfloat16,
            expected=exact_bfloat16,
            rtol=3e-2,
            atol=6e-2,
        ),
        layer_case(
            "in float32, with autocast to bfloat16",
            f"with torch.autocast('cpu', dtype=torch.bfloat16): {MADE}(x)",
            lambda: randn(3, N_IN),
            run_autocast,
            expected=lambda x: layer_of(multiplied_out)(x).bfloat16(),
            rtol=3e-2,
            atol=6e-2,
        ),
        layer_case(
            "dropout of a half, in evaluation: off",
            "LoRALinear(nn.Linear(5, 7), 3, 6, dropout=0.5).eval()(x)",
            lambda: randn(6, N_IN),
            run_dropout_off,
        ),
        layer_case(
            "dropout of a half, in training, 2,000 vectors of a single number each",
            "LoRALinear(nn.Linear(5, 7), 3, 6, dropout=0.5).train()(x)    # shares of updates "
            "gone, doubled, as without, of numbers gone; nothing else?",
            lambda: torch.eye(N_IN).repeat(400, 1),
            run_dropout,
            expected=lambda x: (torch.tensor([0.5, 0.5, 0.0, 0.5]), True),
            rtol=0.0,
            atol=0.06,  # 2,000 draws: five times √(1/4 / 2,000) is .056
        ),
    ],
    speed=lambda: (randn(4, 64, 256),),
    speed_run=lambda forward, x: layer_of(forward, 256, 512, rank=8)(x),
    hints=(
        "Two paths start at x and meet in a sum. One is the layer as it was, which you need not "
        "open. The other is narrow in its middle: which shape does x have there?",
        "A is (r in) and B (out r): torch keeps a linear layer's weight as (out in) too, and applies "
        "it as x @ weight.T. Only the narrow path is scaled, and only it has dropout.",
        "self.base(x) + (self.alpha / self.rank) * (...), and in the brackets self.dropout(x), "
        "through A, through B, each of them transposed.",
    ),
)

# --- models to adapt ------------------------------------------------------------------------------


def small_model(**changes: Any) -> Transformer:
    """A Qwen3 with 2 layers in which "query" and "output" are square (16 × 16), others are not."""
    settings: dict[str, Any] = dict(
        vocab_size=11, d_model=16, n_layer=2, n_head=4, n_kv_head=2, d_hidden=20, n_context=16
    )
    return fill(Transformer(Config(**(settings | changes))), scale=0.3)


class Odd(nn.Module):
    """Names that only look like others, and containers that are called like layers."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(4, 6)
        self.query_norm = nn.Linear(6, 6)  # not "query"
        self.prequery = nn.Linear(6, 6)
        self.value = nn.Sequential(nn.Linear(6, 3), nn.LayerNorm(3))  # no linear layer itself
        self.deep = nn.ModuleList([nn.ModuleDict({"query": nn.Linear(3, 2, bias=False)})])


def tokens() -> Tensor:
    return torch.tensor([[1, 7, 3, 0, 10], [2, 2, 9, 5, 4]])


def says(function: Callable[[], Any]) -> str:
    try:
        function()
    except ValueError:
        return "ValueError"
    return "nothing was raised"


def names_of(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, LoRALinear)]


def trained(model: nn.Module) -> list[str]:
    return sorted(name for name, p in model.named_parameters() if p.requires_grad)


# --- add_lora -------------------------------------------------------------------------------------


def expected_names(model: nn.Module, where: Sequence[str]) -> list[str]:
    """By the last part of their names, in order; the model is not yet adapted."""
    plain = [name for name, module in model.named_modules() if type(module) is nn.Linear]
    return [name for name in plain if name.split(".")[-1] in where]


def run_names(add: Any, model: nn.Module, *more: Any) -> tuple[list[str], list[str]]:
    """What was returned, and which layers have LoRA now."""
    answer = add(model, 2, 6.0, *more)
    return answer, names_of(model)


def right_names(model: nn.Module, where: Sequence[str] = LAYERS) -> tuple[list[str], list[str]]:
    found = expected_names(model, where)
    return found, found


def run_trained(add: Any, model: nn.Module, *more: Any) -> list[str]:
    add(model, 2, 6.0, *more)
    return trained(model)


def right_trained(model: nn.Module, where: Sequence[str] = LAYERS) -> list[str]:
    return sorted(f"{name}.{kind}" for name in expected_names(model, where) for kind in "AB")


def run_start(add: Any, model: Transformer, x: Tensor) -> tuple[Tensor, int, int, int]:
    """The model's logits at the start, how many As and Bs are all zero, and how many Bs get a
    gradient: those of layers that the model really goes through."""
    add(model, 2, 6.0)
    layers = [module for module in model.modules() if isinstance(module, LoRALinear)]
    zeros = [sum(not p.any() for p in (x.A for x in layers)), sum(not x.B.any() for x in layers)]
    logits = model(x)
    if logits.requires_grad:
        logits.square().sum().backward()
    learning = sum(module.B.grad is not None for module in layers)
    return logits.detach(), zeros[0], zeros[1], learning


def right_start(model: Transformer, x: Tensor) -> tuple[Tensor, int, int, int]:
    with torch.no_grad():
        return model(x), 0, 14, 14


def run_settings(add: Any, model: nn.Module) -> list[tuple[Any, ...]]:
    """Rank, alpha, dropout, shapes, and training of each layer of an evaluating model."""
    add(model.eval(), 2, 6.0, ("query",), 0.25)
    layers = [module for module in model.modules() if isinstance(module, LoRALinear)]
    return [
        (x.rank, x.alpha, x.dropout.p, tuple(x.A.shape), tuple(x.B.shape), x.training)
        for x in layers
    ]


def run_refused(add: Any, model: nn.Module, where: Sequence[str]) -> tuple[str, int, bool]:
    """Whether it is refused, how many layers have LoRA, and whether all can still be trained."""
    said = says(lambda: add(model, 2, 6.0, where))
    return said, len(names_of(model)), all(p.requires_grad for p in model.parameters())


def run_again(add: Any, model: nn.Module) -> tuple[str, list[str], list[str]]:
    """First the queries, then the values."""
    add(model, 2, 6.0, ("query",))
    said = says(lambda: add(model, 2, 6.0, ("value",)))
    return said, names_of(model), trained(model)


def right_again(model: nn.Module) -> tuple[str, list[str], list[str]]:
    where = ("query",)
    return "ValueError", expected_names(model, where), right_trained(model, where)


def run_kept(add: Any, model: nn.Module) -> tuple[bool, list[bool]]:
    """Whether the weights inside are the very tensors that were there before."""
    before = {name: m.weight for name, m in model.named_modules() if type(m) is nn.Linear}
    add(model, 2, 6.0, ("value", "down"))
    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, LoRALinear)]
    return bool(layers), [m.base.get_parameter("weight") is before[n] for n, m in layers]


def model_case(title: str, call: str, run: Any, expected: Any, model: Any = small_model,
               *more: Any) -> Case:  # fmt: skip
    return Case(title, lambda: (model(), *more), run=run, expected=expected, call=call,
                keeps_inputs=False)  # fmt: skip


ADD_LORA = Exercise(
    "lib.lora.add_lora",
    cases=[
        model_case(
            "all layers of the blocks: what is returned, what has LoRA",
            "add_lora(model, 2, 6.0)    # its result; the names of all LoRALinear in the model",
            run_names,
            right_names,
        ),
        model_case(
            "queries and values only",
            "add_lora(model, 2, 6.0, ('value', 'query'))    # its result; all LoRALinear",
            run_names,
            right_names,
            small_model,
            ("value", "query"),
        ),
        model_case(
            "names that only look like 'query', and a container called 'value'",
            "add_lora(model, 2, 6.0, ('query',))    # its result; all LoRALinear",
            run_names,
            right_names,
            Odd,
            ("query",),
        ),
        model_case(
            "what can be trained now",
            "add_lora(model, 2, 6.0)    # the names of all parameters that require gradients",
            run_trained,
            right_trained,
        ),
        model_case(
            "what can be trained now, with biases and a head of its own",
            "add_lora(model, 2, 6.0, ('key',))    # names of parameters that require gradients",
            run_trained,
            right_trained,
            lambda: small_model(bias=True, tied=False, qk_norm=False, norm="layer"),
            ("key",),
        ),
        model_case(
            "at the start: logits as before, no A is zero, every B is, and can learn",
            "add_lora(model, 2, 6.0)    # model(tokens), number of As that are zero, of Bs, of Bs "
            "that get a gradient",
            run_start,
            right_start,
            small_model,
            tokens(),
        ),
        model_case(
            "rank, alpha and dropout arrive, in an evaluating model",
            "add_lora(model.eval(), 2, 6.0, ('query',), dropout=0.25)    # (rank, alpha, dropout, "
            "shape of A, of B, training?) of each",
            run_settings,
            lambda _: [(2, 6.0, 0.25, (2, 16), (16, 2), False)] * 2,
        ),
        model_case(
            "the weights inside are the old ones, not copies",
            "add_lora(model, 2, 6.0, ('value', 'down'))    # is there LoRA? is base.weight the old?",
            run_kept,
            lambda _: (True, [True] * 4),
        ),
        model_case(
            "one name is right and one is not",
            "add_lora(model, 2, 6.0, ('query', 'valeu'))    # raised?, layers with LoRA, all "
            "parameters still trained?",
            run_refused,
            lambda *_: ("ValueError", 0, True),
            small_model,
            ("query", "valeu"),
        ),
        model_case(
            "a head that shares its weight with the embedding",
            "add_lora(model, 2, 6.0, ('head',))    # raised?, layers with LoRA, all parameters "
            "still trained?",
            run_refused,
            lambda *_: ("ValueError", 0, True),
            small_model,
            ("head",),
        ),
        model_case(
            "a second time, for other layers",
            "add_lora(model, 2, 6.0, ('query',)), then ('value',)    # raised?, LoRALinear, what "
            "is trained",
            run_again,
            right_again,
        ),
    ],
    speed=lambda: (small_model(n_layer=4),),
    speed_run=lambda add, model: add(model, 2, 6.0),
    hints=(
        "First look, then touch: find the layers and whatever should be refused before anything is "
        "changed. linear_layers(model) gives all candidates by their whole names.",
        "\"blocks.0.attention.query\".rpartition('.')[2] is 'query'. Every name in `where` must "
        "be the last part of some layer's name. Freeze the whole model before you add what is to "
        "be trained, not after.",
        "model.requires_grad_(False); for each name found: replace_module(model, name, "
        "LoRALinear(its layer, rank, alpha, dropout)); return the names. Before that a ValueError "
        "if lora_layers(model) is not empty, and one if a name in `where` is nobody's.",
    ),
)

# --- merge_lora -----------------------------------------------------------------------------------


def adapted(make: Callable[[], nn.Module], where: Sequence[str] = LAYERS, scale: float = 0.5,
            rank: int = 3, alpha: float = 7.5) -> Any:  # fmt: skip
    """A model with LoRA that has learnt something; made by hand."""
    model = make().requires_grad_(False)
    for i, name in enumerate(expected_names(model, where)):
        parent, _, last = name.rpartition(".")
        layer = LoRALinear(model.get_submodule(name), rank, alpha)  # type: ignore[arg-type]
        layer.A.data.copy_(randn(*layer.A.shape, seed=2 * i, scale=scale))
        layer.B.data.copy_(randn(*layer.B.shape, seed=2 * i + 1, scale=scale))
        setattr(model.get_submodule(parent), last, layer)
    return model.eval()


def run_merged(merge: Any, model: Transformer, x: Tensor) -> tuple[Tensor, list[str]]:
    """Its logits, and which of its modules are no plain ones."""
    merge(model)
    with torch.no_grad():
        return model(x), names_of(model)


def right_merged(model: Transformer, x: Tensor) -> tuple[Tensor, list[str]]:
    model = model.double()
    for module in model.modules():
        if isinstance(module, LoRALinear):
            module.forward = lambda x, layer=module: multiplied_out(layer, x)  # type: ignore
    with torch.no_grad():
        return model(x).float(), []


def run_weights(merge: Any, model: nn.Module) -> dict[str, Tensor]:
    merge(model)
    return {name: p.detach() for name, p in model.state_dict().items()}


def right_weights(model: nn.Module) -> dict[str, Tensor]:
    """Each weight with its update, in float64 and then in the weight's precision."""
    layers = {n: m for n, m in model.named_modules() if isinstance(m, LoRALinear)}
    found = {}
    for name, p in model.state_dict().items():
        layer, _, kind = name.replace(".base.", ".").rpartition(".")
        if kind in "AB":
            continue
        if layer in layers and kind == "weight":
            part = layers[layer]
            update = torch.einsum("or,ri->oi", part.B.double(), part.A.double())
            p = (p.double() + part.alpha / part.A.shape[0] * update).to(p.dtype)
        found[f"{layer}.{kind}"] = p
    return found


class Pair(nn.Module):
    """One layer with a bias and one without, neither square."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(3, 5)
        self.down = nn.Linear(5, 2, bias=False)


def pair() -> Any:
    return adapted(lambda: fill(Pair()), rank=2, alpha=5.0)


def cancelling() -> Any:
    """In bfloat16, with an update that nearly takes the weight away: what is left shows every
    rounding on the way."""
    model = adapted(lambda: fill(Pair()).bfloat16(), rank=2, alpha=5.0)
    for layer in (model.up, model.down):
        update = layer.alpha / 2 * layer.B.double() @ layer.A.double()
        layer.base.weight.data.copy_(-update)
    return model


def run_twice_merged(merge: Any, model: nn.Module) -> tuple[str, list[bool]]:
    merge(model)
    before = {name: p.clone() for name, p in model.state_dict().items()}
    said = says(lambda: merge(model))
    after = model.state_dict()
    return said, [name in after and p.equal(after[name]) for name, p in before.items()]


class PairAndNorm(Pair):
    """And a layer that LoRA never touches, but freezes."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2)


def run_plain_again(merge: Any, model: nn.Module) -> tuple[list[str], list[str], list[str]]:
    """The kinds of modules, the parameters that are frozen, and those that are no leaves: results
    of a recorded sum, which no optimizer takes."""
    merge(model)
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    results = [name for name, p in model.named_parameters() if not p.is_leaf]
    return [type(module).__name__ for module in model.modules()], frozen, results


def quantised_pair() -> Any:
    """The second of its layers: whoever merges the first and looks then has changed the model."""
    model = pair()
    model.down.base = QuantisedLinear(model.down.base)
    return model


def run_quantised(merge: Any, model: Any) -> tuple[str, list[str]]:
    return says(lambda: merge(model)), names_of(model)


MERGE_LORA = Exercise(
    "lib.lora.merge_lora",
    cases=[
        model_case(
            "logits as before, nothing of LoRA left",
            "merge_lora(model); model(tokens)    # logits; names of all LoRALinear",
            run_merged,
            right_merged,
            lambda: adapted(small_model, scale=0.2),
            tokens(),
        ),
        model_case(
            "with biases and a head of its own",
            "merge_lora(model); model(tokens)    # logits; names of all LoRALinear",
            run_merged,
            right_merged,
            lambda: adapted(
                lambda: small_model(bias=True, tied=False), ("query", "down"), scale=0.3
            ),
            tokens(),
        ),
        model_case(
            "every weight, of a layer with a bias and of one without",
            "merge_lora(model); model.state_dict()",
            run_weights,
            right_weights,
            pair,
        ),
        model_case(
            "every weight in bfloat16, where updates nearly cancel weights",
            "merge_lora(model.bfloat16()); model.state_dict()",
            run_weights,
            right_weights,
            cancelling,
        ),
        model_case(
            "plain again: kinds of modules, and what cannot be trained",
            "merge_lora(model)    # kinds of all modules; names of frozen parameters; of parameters "
            "with a grad_fn, which no optimizer takes",
            run_plain_again,
            lambda _: (["PairAndNorm", "Linear", "Linear", "LayerNorm"], [], []),
            lambda: adapted(lambda: fill(PairAndNorm()), rank=2, alpha=5.0),
        ),
        model_case(
            "merged a second time",
            "merge_lora(model), merge_lora(model)    # raised?, is each weight as after the first?",
            run_twice_merged,
            lambda _: ("ValueError", [True] * 3),
            pair,
        ),
        Case(
            "a model without LoRA",
            lambda: (Pair(),),
            run=came_back,
            raises=ValueError,
        ),
        model_case(
            "a quantised base",
            "merge_lora(model)    # raised?, names of all LoRALinear",
            run_quantised,
            lambda _: ("ValueError", ["up", "down"]),
            quantised_pair,
        ),
    ],
    speed=lambda: (adapted(lambda: small_model(n_layer=4)),),
    hints=(
        "On paper: base(x) is W x + b. What must be added to W so that W x gives what base(x) and "
        "the narrow path give together? And who must not go on adding it afterwards?",
        "The update has the shape of the weight, (out in): alpha / rank times B @ A. Make it in "
        "float32, add it to weight.float(), and let weight.copy_ bring the sum back to the "
        "weight's own precision. All of it under torch.no_grad().",
        "For each name, layer of lora_layers(model): change layer.base.weight in place, then "
        "replace_module(model, name, layer.base). At the end model.requires_grad_(True). Refuse "
        "first: a model without LoRA, and one that has a QuantisedLinear among its modules.",
    ),
)

# --- trainable_parameters -------------------------------------------------------------------------


def counted_by_walking(model: nn.Module) -> tuple[int, int]:
    """Every module's own parameters, each object once."""
    seen: dict[int, Any] = {}
    for module in model.modules():
        for parameter in module._parameters.values():
            if parameter is not None:
                seen[id(parameter)] = parameter
    numbers = [(p.numel(), p.requires_grad) for p in seen.values()]
    return sum(n for n, needed in numbers if needed), sum(n for n, _ in numbers)


class Twins(nn.Module):
    """Two layers with equal numbers, and a third that is the first under another name."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(3, 4)
        self.second.load_state_dict(self.first.state_dict())
        self.again = self.first
        self.norm = nn.BatchNorm1d(4)  # has buffers: they are no parameters


def half_frozen() -> nn.Module:
    model = Twins()
    model.second.requires_grad_(False)
    return model


def frozen() -> nn.Module:
    return small_model().requires_grad_(False)


def count_case(title: str, call: str, model: Callable[[], nn.Module]) -> Case:
    return Case(title, lambda: (model(),), call=f"trainable_parameters(model)    # {call}")


TRAINABLE = Exercise(
    "lib.lora.trainable_parameters",
    oracle=counted_by_walking,
    cases=[
        count_case(
            "a tied model with LoRA on queries and values",
            "with LoRA",
            lambda: adapted(small_model, ("query", "value")),
        ),
        count_case(
            "a model with biases and a head of its own, with LoRA everywhere",
            "with LoRA",
            lambda: adapted(lambda: small_model(bias=True, tied=False)),
        ),
        count_case("a tied model, all of it trained", "head is tied", small_model),
        count_case("nothing is trained", "all frozen", frozen),
        count_case(
            "a layer under two names, another with equal numbers, a norm with buffers",
            "a layer under two names",
            half_frozen,
        ),
        count_case(
            "only norms and biases are trained",
            "all matrices frozen",
            lambda: freeze_matrices(small_model(bias=True, qk_norm=False)),
        ),
    ],
    speed=lambda: (small_model(n_layer=4),),
    hints=(
        "Two sums over the same list. A parameter that two modules share must stand in that list "
        "once: does model.parameters() do that? Try it on a tied model.",
        "p.numel() is how many numbers a parameter holds; p.requires_grad says whether it is "
        "trained. state_dict() lists shared ones twice, and buffers besides.",
        "params = list(model.parameters()); the sum of p.numel() over those with p.requires_grad, "
        "then over all; return both, the trained ones first.",
    ),
)


def freeze_matrices(model: nn.Module) -> nn.Module:
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.ndim < 2)
    return model
