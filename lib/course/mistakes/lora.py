"""Classic mistakes on the floor `lib.lora`."""

import math

import torch
import torch.nn.functional as F
from torch import nn

import lib.course.checks.lora  # the exercises must be known first
from lib.course.bank import mistake
from lib.lora import (
    LAYERS,
    LoRALinear,
    QuantisedLinear,
    linear_layers,
    lora_layers,
    replace_module,
)

# --- LoRALinear.forward ---------------------------------------------------------------------------

FORWARD = "lib.lora.LoRALinear.forward"


def _narrow(self, x):
    return x @ self.A.T @ self.B.T


@mistake(
    FORWARD,
    "The update is multiplied by alpha, not by alpha / rank: with a higher rank it becomes stronger, "
    "and every rank wants a learning rate of its own.",
    seen_in="LLMs-from-scratch#821",
)
def alpha_without_rank(self, x):
    return self.base(x) + self.alpha * _narrow(self, self.dropout(x))


@mistake(FORWARD, "The scale is upside down: it is alpha / rank, not rank / alpha.")
def upside_down(self, x):
    return self.base(x) + self.rank / self.alpha * _narrow(self, self.dropout(x))


@mistake(FORWARD, "The update is not scaled at all: multiply it by alpha / rank.")
def not_scaled(self, x):
    return self.base(x) + _narrow(self, self.dropout(x))


@mistake(
    FORWARD,
    "The update is divided by √rank: that is rsLoRA (Kalajdzievski 2023). Here it is alpha / rank.",
)
def root_of_rank(self, x):
    return self.base(x) + self.alpha / math.sqrt(self.rank) * _narrow(self, self.dropout(x))


@mistake(
    FORWARD,
    "The update is scaled twice, after A and again after B: once is enough, alpha / rank.",
)
def scaled_twice(self, x):
    scale = self.alpha / self.rank
    return self.base(x) + scale * ((scale * (self.dropout(x) @ self.A.T)) @ self.B.T)


@mistake(
    FORWARD,
    "The scale multiplies the base as well: it is for the update alone.",
)
def all_scaled(self, x):
    return self.alpha / self.rank * (self.base(x) + _narrow(self, self.dropout(x)))


@mistake(
    FORWARD,
    "x meets B A untransposed. That runs only where a layer is square, and is wrong even there: a "
    "weight is (out in), so it is x @ (B @ A).T.",
)
def untransposed(self, x):
    return self.base(x) + self.alpha / self.rank * (self.dropout(x) @ (self.B @ self.A))


@mistake(
    FORWARD,
    "B A x is written as on paper, where x is one column. Here x is (... in), a vector in each row: it "
    "is x @ A.T @ B.T.",
)
def for_one_column(self, x):
    return self.base(x) + self.alpha / self.rank * (self.B @ (self.A @ self.dropout(x)))


@mistake(
    FORWARD,
    "The result is right, but B and A are multiplied out, a matrix as large as the weight at every "
    "call. Take x through A first, and what comes out through B.",
)
def whole_update(self, x):
    update = self.alpha / self.rank * (self.B @ self.A)
    return self.base(x) + F.linear(self.dropout(x), update)


@mistake(FORWARD, "The base is missing: the update comes on top of base(x), not in its place.")
def base_missing(self, x):
    return self.alpha / self.rank * _narrow(self, self.dropout(x))


@mistake(
    FORWARD,
    "The bias of the base is lost: call the base as a whole, self.base(x), not its weight alone.",
)
def bias_lost(self, x):
    return F.linear(x, self.base.weight) + self.alpha / self.rank * _narrow(self, self.dropout(x))


@mistake(FORWARD, "The bias of the base counts twice: the narrow path has none.")
def bias_twice(self, x):
    update = self.alpha / self.rank * _narrow(self, self.dropout(x))
    return F.linear(self.base(x) + update, torch.eye(self.B.size(0)).to(x.dtype), self.base.bias)


@mistake(
    FORWARD,
    "The narrow path starts from base(x): both paths start from x itself.",
)
def after_the_base(self, x):
    y = self.base(x)
    return y + self.alpha / self.rank * _narrow(self, y)


@mistake(
    FORWARD,
    "The base reads x after dropout as well: the frozen layer should see all of x, dropout is for A "
    "alone.",
)
def dropout_for_all(self, x):
    x = self.dropout(x)
    return self.base(x) + self.alpha / self.rank * _narrow(self, x)


@mistake(
    FORWARD,
    "Dropout stays on in evaluation: F.dropout does so unless it is told. self.dropout(x) knows "
    "whether the model is training.",
)
def dropout_always(self, x):
    return self.base(x) + self.alpha / self.rank * _narrow(self, F.dropout(x, self.dropout.p))


@mistake(FORWARD, "Dropout is never used: A should see self.dropout(x).")
def no_dropout(self, x):
    return self.base(x) + self.alpha / self.rank * _narrow(self, x)


@mistake(
    FORWARD,
    "Dropout acts on what comes out of A: it belongs before A, on x.",
)
def dropout_between(self, x):
    update = self.dropout(x @ self.A.T) @ self.B.T
    return self.base(x) + self.alpha / self.rank * update


@mistake(
    FORWARD,
    "Dropout acts on what comes out of B: it belongs before A, on x.",
)
def dropout_after(self, x):
    return self.base(x) + self.alpha / self.rank * self.dropout(_narrow(self, x))


@mistake(
    FORWARD,
    "The update is added to the base's weight itself, again at every call: the base must stay as it "
    "is, add the two results.",
)
def into_the_weight(self, x):
    with torch.no_grad():
        self.base.weight += self.alpha / self.rank * (self.B @ self.A)
    return self.base(x)


@mistake(
    FORWARD,
    "No gradient reaches A and B, so that nothing is ever learnt: leave out .detach(), .data and "
    "no_grad here. The base is frozen by its own parameters.",
)
def nothing_learnt(self, x):
    with torch.no_grad():
        update = self.alpha / self.rank * _narrow(self, self.dropout(x))
    return self.base(x) + update


@mistake(
    FORWARD,
    "A and B are taken as plain numbers, so that nothing is ever learnt: use them as they are, without "
    ".data or .detach().",
)
def plain_matrices(self, x):
    update = self.dropout(x) @ self.A.data.T @ self.B.data.T
    return self.base(x) + self.alpha / self.rank * update


@mistake(
    FORWARD,
    "The base runs under no_grad, which also cuts the way back to x: layers below would learn from "
    "the narrow path alone. Its parameters are frozen, that is enough.",
)
def base_cut_off(self, x):
    with torch.no_grad():
        y = self.base(x)
    return y + self.alpha / self.rank * _narrow(self, self.dropout(x))


@mistake(
    FORWARD,
    "The update comes in float32, and so does the sum: it should stay in the precision of the base.",
)
def always_float(self, x):
    with torch.autocast("cpu", enabled=False):
        narrow = self.dropout(x).float() @ self.A.float().T
        update = self.alpha / self.rank * (narrow @ self.B.float().T)
    return self.base(x) + update


# --- add_lora -------------------------------------------------------------------------------------

ADD = "lib.lora.add_lora"


def _by_name(layers, where):
    return [name for name in layers if name.rpartition(".")[2] in where]


def _add(model, rank, alpha, where, dropout, *, find=_by_name, refuse_second=True,
         refuse_missing="any", freeze="all", layers=linear_layers, after=None, make=None,
         freeze_first=False, freeze_at_once=False, put=replace_module,
         answer="names"):  # fmt: skip
    """The right steps, with one thing wrong."""
    if freeze_at_once:
        model.requires_grad_(False)
    if refuse_second and lora_layers(model):
        raise ValueError("LoRA is there already")
    if freeze_first:
        model.requires_grad_(False)
    linear = layers(model)
    found = find(linear, where)
    last = {name.rpartition(".")[2] for name in linear}
    if refuse_missing == "any" and not set(where) <= last:
        raise ValueError("missing")
    if refuse_missing == "all" and not found:
        raise ValueError("missing")
    if freeze == "all":
        model.requires_grad_(False)
    if freeze == "matrices":
        for p in model.parameters():
            p.requires_grad_(p.ndim < 2)
    if freeze == "no embeddings":
        for module in model.modules():
            for p in module.parameters(recurse=False):
                p.requires_grad_(isinstance(module, nn.Embedding))
    for name in found:
        layer = (make or LoRALinear)(linear[name], rank, alpha, dropout)
        if after:
            after(layer)
        put(model, name, layer)
    if freeze == "after":
        model.requires_grad_(False)
    if answer == "none":
        return None
    return found if answer == "names" else [name.rpartition(".")[2] for name in found]


@mistake(
    ADD,
    "Layers are picked by their shape: only square ones have LoRA, whatever they are called. Pick "
    "them by name.",
    seen_in="MiniMind",
)
def squares_only(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, find=lambda layers, where: [
        name for name, x in layers.items() if x.in_features == x.out_features])  # fmt: skip


@mistake(
    ADD,
    "Every linear layer has LoRA: only those whose name ends in one of `where` should.",
)
def everything(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, find=lambda layers, where: list(layers))


@mistake(
    ADD,
    "A layer is taken if its name contains a word of `where` anywhere, so that 'query' finds "
    "'query_norm' too: compare the last part of the name as a whole.",
)
def contains(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, find=lambda layers, where: [
        name for name in layers if any(w in name for w in where)])  # fmt: skip


@mistake(
    ADD,
    "A layer is taken if its name ends with a word of `where`, so that 'query' finds 'prequery' too: "
    "compare the last part of the name, after the last dot.",
)
def ends_with(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, find=lambda layers, where: [
        name for name in layers if name.endswith(tuple(where))])  # fmt: skip


@mistake(
    ADD,
    "Nothing but the adapted layers is frozen: embedding, norms and biases are trained as well. "
    "Freeze the whole model first.",
)
def others_not_frozen(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, freeze="nothing")


@mistake(
    ADD,
    "The embedding is left trainable: it is most of a small model's parameters, and a tied head "
    "moves with it.",
)
def embedding_not_frozen(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, freeze="no embeddings")


@mistake(
    ADD,
    "Matrices are frozen, norms and biases are not: freeze everything that was there before.",
)
def norms_not_frozen(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, freeze="matrices")


@mistake(
    ADD,
    "The model is frozen after LoRA was added, and the As and Bs with it: nothing can be trained. "
    "Freeze first, then add.",
)
def frozen_after(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, freeze="after")


@mistake(
    ADD,
    "The base inside each layer is not frozen: requires_grad_(True) on the whole layer wakes its "
    "base up again. A and B require gradients by themselves.",
)
def base_not_frozen(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, after=lambda x: x.requires_grad_(True))


@mistake(
    ADD,
    "A and B are both zero: then neither has a gradient, and nothing is ever learnt. Only B starts "
    "at zero.",
)
def both_zero(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, after=lambda x: nn.init.zeros_(x.A))


@mistake(
    ADD,
    "B is random at the start, so that the model is another one before any training: leave it at "
    "zero.",
)
def b_random(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, after=lambda x: nn.init.normal_(x.B, std=0.1))


@mistake(ADD, "rank and alpha are exchanged: it is LoRALinear(layer, rank, alpha, dropout).")
def exchanged(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout,
                make=lambda layer, r, a, p: LoRALinear(layer, int(a), float(r), p))  # fmt: skip


@mistake(ADD, "The dropout does not arrive: hand it on to LoRALinear.")
def dropout_lost(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, 0.0)


@mistake(
    ADD,
    "New layers train even in a model that evaluates, and their dropout is on: LoRALinear takes the "
    "mode of its base by itself, leave it so.",
)
def always_training(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, after=lambda x: x.train())


@mistake(
    ADD,
    "A name in `where` that is nobody's is passed over: a slip of the pen, and half of the layers "
    "are never adapted. Raise a ValueError before anything is changed.",
)
def misspelt_passed_over(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, refuse_missing="never")


@mistake(
    ADD,
    "It is an error only if no layer at all is found: every single name in `where` must be "
    "somebody's.",
)
def one_name_will_do(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, refuse_missing="all")


@mistake(
    ADD,
    "The model is frozen before a wrong name is refused, and stays frozen: look first, then touch.",
)
def frozen_before_the_error(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, freeze_first=True)


@mistake(
    ADD,
    "The first thing done is to freeze the model, so that whatever is refused leaves it frozen, or "
    "freezes LoRA that is there already: look first, then touch.",
)
def frozen_at_once(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, freeze_at_once=True)


@mistake(
    ADD,
    "LoRA is added a second time: refuse a model that has it already, merge_lora comes first.",
)
def second_time(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, refuse_second=False)


@mistake(
    ADD,
    "A tied head is adapted: its weight is the embedding's too, and merging would change both. "
    "linear_layers leaves it out.",
)
def tied_head(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, layers=lambda model: {
        n: m for n, m in model.named_modules() if isinstance(m, nn.Linear)})  # fmt: skip


@mistake(
    ADD,
    "The layers are made, but never put into the model: replace_module(model, name, layer).",
)
def never_put_in(model, rank, alpha, where=LAYERS, dropout=0.0):
    linear = linear_layers(model)
    if lora_layers(model) or not set(where) <= {name.rpartition(".")[2] for name in linear}:
        raise ValueError("refused")
    model.requires_grad_(False)
    found = _by_name(linear, where)
    for name in found:
        linear[name] = LoRALinear(linear[name], rank, alpha, dropout)
    return found


@mistake(
    ADD,
    "The new layers hang at the model itself, by a name with dots in it, and nobody calls them: setattr "
    "goes down no path. replace_module(model, name, layer) does.",
)
def name_with_dots(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, put=setattr)


@mistake(
    ADD,
    "A fresh nn.Linear is wrapped, and the old weights are gone: wrap the layer that is there.",
)
def fresh_base(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, make=lambda old, *more: LoRALinear(
        nn.Linear(old.in_features, old.out_features, old.bias is not None).train(old.training),
        *more))  # fmt: skip


@mistake(ADD, "Only the last parts of the names are returned: return whole names.")
def short_names(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, answer="short")


@mistake(
    ADD,
    "Nothing is returned: the model is changed in place, but the whole names of the adapted layers are "
    "asked for.",
)
def no_names(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, answer="none")


@mistake(
    ADD,
    "The names come in the order of `where`: asked for is the order of the model, block after block.",
)
def in_the_order_asked(model, rank, alpha, where=LAYERS, dropout=0.0):
    return _add(model, rank, alpha, where, dropout, find=lambda layers, where: [
        name for w in where for name in layers if name.rpartition(".")[2] == w])  # fmt: skip


# --- merge_lora -----------------------------------------------------------------------------------

MERGE = "lib.lora.merge_lora"


def _scale(layer):
    return layer.alpha / layer.rank


def _update(layer):
    return _scale(layer) * (layer.B.float() @ layer.A.float())


def _sum(layer, update):
    with torch.no_grad():
        layer.base.weight.copy_(layer.base.weight.float() + update(layer))
    return layer.base


def _merge(model, *, update=_update, merged=None, refuse_none=True, refuse_quantised=True,
           put=True, first_only=False, thaw=True):  # fmt: skip
    """The right steps, with one thing wrong."""
    layers = lora_layers(model)
    if refuse_none and not layers:
        raise ValueError("nothing to merge")
    if any(isinstance(module, QuantisedLinear) for module in model.modules()):
        if refuse_quantised:
            raise ValueError("quantised")
        for name, layer in layers.items():
            if isinstance(layer.base, QuantisedLinear):
                replace_module(model, f"{name}.base", layer.base.linear())
    for name, layer in layers.items():
        base = merged(layer) if merged else _sum(layer, update)
        if put:
            replace_module(model, name, base)
        if first_only:
            break
    if thaw:
        model.requires_grad_(True)


@mistake(
    MERGE,
    "The update is multiplied by alpha, not by alpha / rank: the merged model is not the one that "
    "was trained.",
    seen_in="LLMs-from-scratch#821",
)
def merged_without_rank(model):
    _merge(model, update=lambda x: x.alpha * (x.B.float() @ x.A.float()))


@mistake(MERGE, "The update is not scaled: it is alpha / rank times B A.")
def merged_unscaled(model):
    _merge(model, update=lambda x: x.B.float() @ x.A.float())


@mistake(MERGE, "The update is scaled twice: alpha / rank counts once.")
def merged_scaled_twice(model):
    _merge(model, update=lambda x: _scale(x) * _update(x))


@mistake(
    MERGE,
    "The update is transposed, Aᵀ Bᵀ: it fits square layers only, and is wrong even there. A weight "
    "is (out in), and so is B A.",
)
def merged_transposed(model):
    _merge(model, update=lambda x: _update(x).T)


@mistake(
    MERGE,
    "The update is taken away from the weight: add it.",
)
def unmerged(model):
    _merge(model, update=lambda x: -_update(x))


@mistake(
    MERGE,
    "The layers of LoRA stay in the model after their update was added to the weights, and add it "
    "again at every call: put the plain layer in their place.",
)
def not_removed(model):
    _merge(model, put=False)


@mistake(
    MERGE,
    "The layers of LoRA are taken out, but what they learnt is lost: add it to the weights first.",
)
def only_removed(model):
    _merge(model, merged=lambda layer: layer.base)


@mistake(
    MERGE,
    "The bias is dropped: keep the layer that is there, and change its weight alone.",
)
def bias_dropped(model):
    def merged(layer):
        new = nn.Linear(layer.base.in_features, layer.base.out_features, bias=False)
        new.to(layer.base.weight.dtype).weight.data.copy_(_sum(layer, _update).weight)
        return new

    _merge(model, merged=merged)


@mistake(
    MERGE,
    "Every merged layer has a bias now, a random one where there was none, as a new nn.Linear comes "
    "with it: keep the layer that is there.",
)
def bias_for_all(model):
    def merged(layer):
        new = nn.Linear(layer.base.in_features, layer.base.out_features)
        new.to(layer.base.weight.dtype).weight.data.copy_(_sum(layer, _update).weight)
        if layer.base.bias is not None:
            new.bias.data.copy_(layer.base.bias)
        return new

    _merge(model, merged=merged)


@mistake(
    MERGE,
    "In half precision the update is rounded before it is added: make the product and the sum in "
    "float32, and go back at the end.",
)
def merged_in_half(model):
    def merged(layer):
        layer.base.weight.data += _scale(layer) * (layer.B @ layer.A)
        return layer.base

    _merge(model, merged=merged)


@mistake(
    MERGE,
    "The product is made in float32, but rounded before it is added: add in float32 as well, and go back "
    "at the end.",
)
def added_in_half(model):
    def merged(layer):
        layer.base.weight.data += _update(layer).to(layer.base.weight.dtype)
        return layer.base

    _merge(model, merged=merged)


@mistake(
    MERGE,
    "The sum is recorded for gradients, so that the merged weight is a result, not a parameter, and no "
    "optimizer takes it: work under torch.no_grad().",
)
def recorded(model):
    def merged(layer):
        layer.base.weight.copy_(layer.base.weight.float() + _update(layer))
        return layer.base

    _merge(model, merged=merged)


@mistake(
    MERGE,
    "Merged weights stay in float32 beside others in half precision: bring them back, as "
    "weight.copy_ does.",
)
def stays_float(model):
    def merged(layer):
        layer.base.weight.data = layer.base.weight.float() + _update(layer)
        return layer.base

    _merge(model, merged=merged)


@mistake(MERGE, "Only the first layer is merged: go through all of them.")
def first_only(model):
    _merge(model, first_only=True)


@mistake(
    MERGE,
    "Merging a model that has no LoRA, or none any more, passes silently: whoever merges twice "
    "should be told. Raise a ValueError.",
)
def merges_nothing(model):
    _merge(model, refuse_none=False)


@mistake(
    MERGE,
    "The merged model is still frozen: a plain model can be trained, model.requires_grad_(True).",
)
def still_frozen(model):
    _merge(model, thaw=False)


@mistake(
    MERGE,
    "Only the merged layers can be trained again: what add_lora froze besides, embedding and norms, stays "
    "frozen. model.requires_grad_(True) wakes all.",
)
def others_still_frozen(model):
    def merged(layer):
        return _sum(layer, _update).requires_grad_(True)

    _merge(model, merged=merged, thaw=False)


@mistake(
    MERGE,
    "A quantised base is refused when its turn comes, and the layers before it are merged by then: look "
    "through all of them first.",
)
def refused_on_the_way(model):
    layers = lora_layers(model)
    if not layers:
        raise ValueError("nothing to merge")
    for name, layer in layers.items():
        if isinstance(layer.base, QuantisedLinear):
            raise ValueError("quantised")
        replace_module(model, name, _sum(layer, _update))
    model.requires_grad_(True)


@mistake(
    MERGE,
    "A quantised base is unpacked and merged without a word, with the rounding in it: refuse it, so "
    "that whoever wants that says so.",
)
def quantised_merged(model):
    _merge(model, refuse_quantised=False)


# --- trainable_parameters -------------------------------------------------------------------------

COUNT = "lib.lora.trainable_parameters"


def _total(params):
    return sum(p.numel() for p in params)


def _trained(params):
    return [p for p in params if p.requires_grad]


def _all_names(model):
    return [p for _, p in model.named_parameters(remove_duplicate=False)]


@mistake(
    COUNT,
    "Shared parameters count twice, as embedding and as tied head: model.parameters() gives each "
    "once.",
)
def tied_twice(model):
    params = _all_names(model)
    return _total(_trained(params)), _total(params)


@mistake(
    COUNT,
    "The total comes from state_dict(), which lists shared parameters twice, and buffers besides.",
)
def from_state_dict(model):
    return _total(_trained(model.parameters())), _total(model.state_dict().values())


@mistake(COUNT, "Frozen parameters count as trained: ask p.requires_grad.")
def frozen_counted(model):
    return _total(model.parameters()), _total(model.parameters())


@mistake(COUNT, "The second number counts frozen parameters alone: it should count all.")
def only_frozen(model):
    params = list(model.parameters())
    return _total(_trained(params)), _total(p for p in params if not p.requires_grad)


@mistake(COUNT, "The two numbers are exchanged: trained ones first, then all.")
def exchanged_numbers(model):
    params = list(model.parameters())
    return _total(params), _total(_trained(params))


@mistake(COUNT, "Tensors are counted, not the numbers in them: p.numel().")
def tensors_counted(model):
    params = list(model.parameters())
    return len(_trained(params)), len(params)


@mistake(
    COUNT,
    "Every module's parameters are added up with those of the modules in it, so that most count "
    "several times: model.parameters() goes through all levels by itself.",
)
def at_every_level(model):
    params = [p for module in model.modules() for p in module.parameters()]
    return _total(_trained(params)), _total(params)


@mistake(
    COUNT,
    "Only parameters called A and B count as trained: whether one is trained its requires_grad says, "
    "not its name.",
)
def by_name(model):
    named = [p for name, p in model.named_parameters() if name.rpartition(".")[2] in ("A", "B")]
    return _total(named), _total(model.parameters())


@mistake(COUNT, "Only matrices are counted: biases and norms have parameters too.")
def matrices_only(model):
    params = [p for p in model.parameters() if p.ndim > 1]
    return _total(_trained(params)), _total(params)


@mistake(
    COUNT,
    "Parameters with equal numbers count once: what matters is whether they are the same parameter, "
    "not whether they look alike.",
)
def equal_once(model):
    params = []
    for p in model.parameters():
        if not any(p.shape == q.shape and torch.equal(p, q) for q in params):
            params.append(p)
    return _total(_trained(params)), _total(params)


@mistake(COUNT, "A share is returned: asked for are two whole numbers, trained and all.")
def a_share(model):
    params = list(model.parameters())
    return _total(_trained(params)) / max(1, _total(params)), _total(params)
