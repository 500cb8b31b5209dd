"""Other right answers for the floor `lib.lora`."""

import torch
import torch.nn.functional as F
from einops import einsum
from torch import nn

from lib.lora import LAYERS, LoRALinear, QuantisedLinear, linear_layers
from tests.variants import right

FORWARD = "lib.lora.LoRALinear.forward"


@right(FORWARD)
def with_two_linear_layers(self, x):
    narrow = F.linear(self.dropout(x), self.A)
    return self.base(x) + F.linear(narrow * (self.alpha / len(self.A)), self.B)


@right(FORWARD)
def with_einsum(self, x):
    y = self.base(x)
    update = einsum(self.dropout(x), self.A, self.B, "... i, r i, o r -> ... o")
    return y + update * self.alpha / self.rank


@right(FORWARD)
def with_a_dropout_of_its_own(self, x):
    some = F.dropout(x, self.dropout.p, training=self.training)
    return torch.matmul(some @ self.A.mT, self.B.mT).mul(self.alpha / self.rank) + self.base(x)


ADD = "lib.lora.add_lora"


@right(ADD)
def with_a_loop(model, rank, alpha, where=LAYERS, dropout=0.0):
    layers, names = linear_layers(model), []
    for module in model.modules():
        if isinstance(module, LoRALinear):
            raise ValueError("LoRA is there already")
    for wanted in where:
        if not any(name.split(".")[-1] == wanted for name in layers):
            raise ValueError(f"there is no {wanted}")
    for p in model.parameters():
        p.requires_grad = False
    for name, layer in layers.items():
        *path, last = name.split(".")
        if last in where:
            parent = model.get_submodule(".".join(path))
            setattr(parent, last, LoRALinear(layer, rank, alpha, dropout))
            names.append(name)
    return names


@right(ADD)
def from_every_parent(model, rank, alpha, where=LAYERS, dropout=0.0):
    """Without the helpers: children of every module, and what shares weights counted by hand."""
    shared = [id(p) for m in model.modules() for p in m.parameters(recurse=False)]
    places, seen = [], set()
    for prefix, parent in model.named_modules():
        if isinstance(parent, LoRALinear):
            raise ValueError("merge first")
        for last, child in parent.named_children():
            if last in where and isinstance(child, nn.Linear):
                if shared.count(id(child.weight)) == 1:
                    places.append((f"{prefix}.{last}".lstrip("."), parent, last, child))
                    seen.add(last)
    if seen != set(where):
        raise ValueError(f"nothing is called {set(where) - seen}")
    order = {name: i for i, (name, _) in enumerate(model.named_modules())}
    places.sort(key=lambda place: order[place[0]])
    for p in model.parameters():
        p.requires_grad_(False)
    for _, parent, last, child in places:
        setattr(parent, last, LoRALinear(child, rank, alpha, dropout=dropout))
    return [name for name, *_ in places]


MERGE = "lib.lora.merge_lora"


@right(MERGE)
@torch.no_grad()
def with_new_layers(model):
    modules = dict(model.named_modules())
    if any(isinstance(m, QuantisedLinear) for m in modules.values()):
        raise ValueError("quantised")
    names = [name for name, m in modules.items() if isinstance(m, LoRALinear)]
    if len(names) == 0:
        raise ValueError("there is no LoRA")
    for name in names:
        lora, old = modules[name], modules[name].base
        new = nn.Linear(old.in_features, old.out_features, bias=old.bias is not None)
        new = new.to(old.weight.device, old.weight.dtype).train(old.training)
        weight = old.weight.double() + lora.B.double() @ lora.A.double() * lora.alpha / lora.rank
        new.weight.copy_(weight)
        if old.bias is not None:
            new.bias.copy_(old.bias)
        parent = model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], new)
    for p in model.parameters():
        p.requires_grad = True


@right(MERGE)
def with_addmm(model):
    found = 0
    if any(type(m) is QuantisedLinear for m in model.modules()):
        raise ValueError("it would be rounded a second time")
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoRALinear):
                weight = child.base.weight
                merged = torch.addmm(
                    weight.data.float(),
                    child.B.data.float(),
                    child.A.data.float(),
                    alpha=child.alpha / child.rank,
                )
                child.base.weight = nn.Parameter(merged.to(weight.dtype))
                setattr(parent, name, child.base)
                found += 1
    if not found:
        raise ValueError("merged already?")
    model.requires_grad_()


COUNT = "lib.lora.trainable_parameters"


@right(COUNT)
def by_identity(model):
    once = {id(p): p for _, p in model.named_parameters(remove_duplicate=False)}
    trainable = total = 0
    for p in once.values():
        total += p.numel()
        trainable += p.numel() * p.requires_grad
    return trainable, total


@right(COUNT)
def with_products_of_shapes(model):
    counts = {True: 0, False: 0}
    for p in model.parameters():
        counts[p.requires_grad] += torch.Size(p.shape).numel()
    return counts[True], counts[True] + counts[False]
