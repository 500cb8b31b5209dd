"""Classic mistakes on the floor `lib.optim`."""

import math

import torch

import lib.course.checks.optim  # the exercises must be known first
from lib.course.bank import mistake
from lib.optim import gathered

# --- AdamW.step -----------------------------------------------------------------------------------

STEP = "lib.optim.AdamW.step"


def _step(self, *, l2=False, corrected=True, eps="outside", first=1, decay="before", swapped=False,
          scheduled=True, share=None, without=False, weighted=True, one_group=False, sign=-1,
          remember=True, counter=None, square="squares", complement=False, hats=False,
          rebound=False, count=None):  # fmt: skip
    """The right step, with one thing wrong."""
    if count is not None:
        self.n_steps = getattr(self, "n_steps", 0) + 1
    for group in self.groups:
        settings = self.groups[0] if one_group else group
        rate = settings["lr"] * (self.scale if scheduled else 1.0)
        beta1, beta2 = settings["betas"][::-1] if swapped else settings["betas"]
        wd = settings["weight_decay"]
        for p in group["params"]:
            g = p.grad
            if g is None:
                if not without:
                    continue
                g = torch.zeros_like(p)
            g = g.detach()
            key = p if share is None else share
            if key not in self.state or not remember:
                fresh = {"step": 0, "mean": torch.zeros_like(p.detach())}
                self.state[key] = {**fresh, "square": torch.zeros_like(p.detach())}
            state = self.state[key]
            if counter is not None:
                state["step"] = self.state[counter] = self.state.get(counter, 0) + 1
            elif count is not None:
                state["step"] = self.n_steps
            else:
                state["step"] += 1
            t = state["step"] - 1 + first
            if count == "kept apart":
                del state["step"]
            if l2:
                g = g + wd * p.detach()
            mean, sq = state["mean"], state["square"]
            kept1, kept2 = (1 - beta1, 1 - beta2) if complement else (beta1, beta2)
            mean.mul_(kept1).add_(g, alpha=(1 - kept1) if weighted else 1.0)
            inner = g.square() if square == "squares" else mean.square()
            sq.mul_(kept2).add_(inner, alpha=(1 - kept2) if weighted else 1.0)
            if hats:
                mean.div_(1 - beta1**t)
                sq.div_(1 - beta2**t)
                corrected = False
            m = mean / torch.tensor(1 - beta1**t, dtype=p.dtype) if corrected else mean
            correction = torch.tensor(1 - beta2**t, dtype=p.dtype) if corrected else 1.0
            v = sq / correction
            if eps == "outside":
                size = v.sqrt() + settings["eps"]
            elif eps == "inside":
                size = (v + settings["eps"]).sqrt()
            elif eps == "before the correction":
                size = (sq.sqrt() + settings["eps"]) / correction**0.5
            elif eps == "no root":
                size = v + settings["eps"]
            else:
                size = v.sqrt() + 1e-8
            shrink = {"unscaled": wd, "peak": settings["lr"] * wd, "none": 0.0}.get(
                decay, rate * wd
            )
            if rebound:
                p = p.detach().clone()
            with torch.no_grad():
                if not l2 and decay != "after":
                    p.mul_(1 - shrink)
                p.add_(m / size, alpha=sign * rate)
                if decay == "after":
                    p.mul_(1 - shrink)


@mistake(
    STEP,
    "Weight decay is added to the gradient. There it is divided by √v̂ like everything else, and "
    "hardly shrinks what has large gradients: multiply the weights themselves by 1 − lr · "
    "weight_decay. That is the W in AdamW.",
    seen_in="torch.optim.Adam(weight_decay=…)",
)
def decay_in_the_gradient(self):
    _step(self, l2=True)


@mistake(
    STEP,
    "The running means are used as they are. They start at 0 and are too small at first: divide by "
    "1 − βᵗ.",
)
def no_bias_correction(self):
    _step(self, corrected=False)


@mistake(
    STEP,
    "eps stands under the root: it belongs outside, √v̂ + ε. Under the root it counts as its square "
    "root, 1e-8 as 1e-4.",
)
def eps_under_the_root(self):
    _step(self, eps="inside")


@mistake(
    STEP,
    "eps is added before the bias correction of v, and is then divided along with it: correct "
    "first, take the root, add eps last.",
    seen_in="TensorFlow's Adam, which calls it epsilon hat",
)
def eps_before_the_correction(self):
    _step(self, eps="before the correction")


@mistake(STEP, "eps is always 1e-8 here: every group has its own, group['eps'].")
def eps_of_its_own(self):
    _step(self, eps="1e-8")


@mistake(
    STEP,
    "t is still 0 at the first step, so the bias correction divides by 1 − β⁰ = 0: count first, then "
    "correct.",
)
def counted_from_zero(self):
    _step(self, first=0)


@mistake(STEP, "The root is missing: m̂ is divided by v̂ itself, which is a gradient squared.")
def no_root(self):
    _step(self, eps="no root")


@mistake(
    STEP,
    "Weight decay is not multiplied by the learning rate: each step takes away weight_decay of every "
    "weight, ten or a thousand times too much.",
)
def decay_without_rate(self):
    _step(self, decay="unscaled")


@mistake(
    STEP,
    "Weight decay uses the rate at the peak: it should follow the schedule too, group['lr'] * "
    "self.scale * weight_decay.",
)
def decay_without_schedule(self):
    _step(self, decay="peak")


@mistake(
    STEP, "Weights decay after the move, and with them the move itself. Decay comes first in AdamW."
)
def decay_after(self):
    _step(self, decay="after")


@mistake(STEP, "Weight decay is never applied: multiply the weights by 1 − lr · weight_decay.")
def no_decay(self):
    _step(self, decay="none")


@mistake(STEP, "The betas are swapped: the first is for the mean, the second for the square.")
def betas_swapped(self):
    _step(self, swapped=True)


@mistake(STEP, "The schedule is ignored: the rate is group['lr'] * self.scale.")
def schedule_ignored(self):
    _step(self, scheduled=False)


@mistake(
    STEP,
    "All parameters share one memory, so that each moves by the gradients of the others: "
    "self.state[p] is p's own.",
)
def one_memory(self):
    _step(self, share="all")


@mistake(
    STEP,
    "One counter for all: it grows with every parameter, not with every step. Each has its own, "
    "self.state[p]['step'].",
)
def one_counter(self):
    _step(self, counter="count")


@mistake(
    STEP,
    "A parameter without a gradient is treated as if its gradient were 0: it decays, coasts on and "
    "is counted. It should be left alone.",
)
def moved_without_gradient(self):
    _step(self, without=True)


@mistake(
    STEP,
    "The new gradient and its square are added whole: only 1 − β of them goes into the running means.",
)
def whole_gradient_added(self):
    _step(self, weighted=False)


@mistake(
    STEP, "v is made from the running mean, squared: it is the running mean of the squares of g."
)
def square_of_the_mean(self):
    _step(self, square="mean")


@mistake(
    STEP, "The settings of the first group are used for all: read them in the loop over groups."
)
def settings_of_the_first_group(self):
    _step(self, one_group=True)


@mistake(STEP, "It walks uphill: the gradient points to where the loss grows, so subtract.")
def uphill(self):
    _step(self, sign=+1)


@mistake(
    STEP,
    "The running means start at 0 again at every step: make them only if p is not in self.state yet.",
)
def nothing_remembered(self):
    _step(self, remember=False)


@mistake(
    STEP,
    "self.state is an ordinary dictionary, and has no entry for a parameter at its first step: make "
    "one there, with step 0 and two tensors of zeros. (torch's own optimizers make theirs unasked.)",
)
def no_entry_made(self):
    for group in self.groups:
        for p in group["params"]:
            if p.grad is not None:
                self.state[p]["step"] += 1


@mistake(
    STEP,
    "The parameter has not moved. p = p − … makes a new tensor and calls it p too; change the one "
    "that is there, in place: p.mul_, p.sub_, p -= ….",
)
def rebound(self):
    _step(self, rebound=True)


@mistake(
    STEP,
    "The means are remembered after their correction, and corrected again at the next step: the hats "
    "are for this step's move, what is remembered goes without.",
)
def hats_remembered(self):
    _step(self, hats=True)


@mistake(
    STEP,
    "One count for all parameters, which grows at every step of the optimizer: a parameter without a "
    "gradient at some steps should not count those. Each has its own, self.state[p]['step'].",
)
def one_count_of_steps(self):
    _step(self, count="for all")


@mistake(
    STEP,
    "The steps are counted on the optimizer, for all parameters at once: each needs a count of its "
    "own, kept as self.state[p]['step'].",
)
def one_count_kept_apart(self):
    _step(self, count="kept apart")


@mistake(
    STEP,
    "β and 1 − β are swapped: the larger share, β, is what is kept of the mean, and the gradient comes "
    "in with 1 − β.",
)
def complement(self):
    _step(self, complement=True)


@mistake(
    STEP,
    "The weights are moved while torch records what is done to them, which it forbids in place: put "
    "the move under torch.no_grad().",
)
def recorded(self):
    for group in self.groups:
        for p in group["params"]:
            if p.grad is not None:
                p.mul_(1 - group["lr"] * group["weight_decay"])


@mistake(
    STEP,
    "A parameter may have no gradient, p.grad is None: pass it over, before anything is counted.",
)
def none_times_beta(self):
    _none(self, lambda mean, g: mean * 0.9 + (1 - 0.9) * g)


@mistake(
    STEP,
    "A parameter may have no gradient, p.grad is None, and None is no tensor that could be added: pass "
    "it over, before anything is counted.",
)
def none_added(self):
    _none(self, lambda mean, g: mean.add_(g, alpha=1 - 0.9))


@mistake(
    STEP,
    "A parameter may have no gradient, p.grad is None, and has no methods of a tensor: pass it over, "
    "before anything is counted.",
)
def none_detached(self):
    _none(self, lambda mean, g: g.detach())


def _none(self, use):
    if any(p.grad is None for p in self.params):
        use(torch.zeros(2), None)
    _step(self)


# --- learning_rate --------------------------------------------------------------------------------

RATE = "lib.optim.learning_rate"


def _rate(step, n_steps, peak, n_warmup, final, *, climb=lambda s, n: (s + 1) / n,
          begin=None, end=None, hold=True, blend=None, bend=None):  # fmt: skip
    if step < n_warmup:
        return peak * climb(step, n_warmup)
    begin = n_warmup if begin is None else begin
    end = n_steps if end is None else end
    progress = (step - begin) / max(1, end - begin)
    if hold:
        progress = min(1.0, progress)
    cosine = (1 + math.cos(math.pi * progress)) / 2 if bend is None else bend(progress)
    return peak * (final + (1 - final) * cosine) if blend is None else blend(peak, final, cosine)


@mistake(
    RATE,
    "The warm-up is off by one: step / n_warmup is 0 at the first step, which is then wasted, and "
    "never reaches the peak. It is (step + 1) / n_warmup.",
    seen_in="transformers get_cosine_schedule_with_warmup",
)
def warmup_from_zero(step, n_steps, peak=1.0, n_warmup=0, final=0.1):
    return _rate(step, n_steps, peak, n_warmup, final, climb=lambda s, n: s / n)


@mistake(
    RATE,
    "The warm-up stops short of the peak: (step + 1) / (n_warmup + 1). The last step of it, "
    "n_warmup − 1, has the peak already.",
    seen_in="nanoGPT",
)
def warmup_stops_short(step, n_steps, peak=1.0, n_warmup=0, final=0.1):
    return _rate(step, n_steps, peak, n_warmup, final, climb=lambda s, n: (s + 1) / (n + 1))


@mistake(RATE, "There is no warm-up: the first n_warmup steps should climb.")
def no_warmup(step, n_steps, peak=1.0, n_warmup=0, final=0.1):
    return _rate(step, n_steps, peak, 0, final, begin=n_warmup)


@mistake(
    RATE,
    "The cosine runs over all steps, so the rate drops all at once when the warm-up ends: it should "
    "begin there, at (step − n_warmup) / (n_steps − n_warmup).",
)
def cosine_over_all_steps(step, n_steps, peak=1.0, n_warmup=0, final=0.1):
    return _rate(step, n_steps, peak, n_warmup, final, begin=0)


@mistake(
    RATE,
    "The cosine begins after the warm-up but takes n_steps from there: it is not down when the "
    "training ends. It has n_steps − n_warmup steps.",
)
def cosine_too_long(step, n_steps, peak=1.0, n_warmup=0, final=0.1):
    return _rate(step, n_steps, peak, n_warmup, final, end=n_steps + n_warmup)


@mistake(
    RATE,
    "The end comes one step early: `final` is reached at step n_steps, not at n_steps − 1.",
)
def one_step_early(step, n_steps, peak=1.0, n_warmup=0, final=0.1):
    return _rate(step, n_steps, peak, n_warmup, final, end=n_steps - 1)


@mistake(
    RATE,
    "`final` is taken for a rate: it is a share of the peak, so the lowest rate is peak · final.",
)
def final_as_a_rate(step, n_steps, peak=1.0, n_warmup=0, final=0.1):
    return _rate(step, n_steps, peak, n_warmup, final, blend=lambda p, f, c: f + (p - f) * c)


@mistake(
    RATE, "`final` is added on top, so that the cosine starts above the peak: use 1 − final of it."
)
def final_on_top(step, n_steps, peak=1.0, n_warmup=0, final=0.1):
    return _rate(step, n_steps, peak, n_warmup, final, blend=lambda p, f, c: p * (f + c))


@mistake(
    RATE,
    "`final` cuts the cosine off: the rate falls as if to 0 and is held there, instead of arriving "
    "smoothly at the end.",
)
def final_as_a_floor(step, n_steps, peak=1.0, n_warmup=0, final=0.1):
    return _rate(step, n_steps, peak, n_warmup, final, blend=lambda p, f, c: p * max(f, c))


@mistake(
    RATE,
    "After the last step the rate rises again, because a cosine does: let progress stop at 1.",
    seen_in="torch's CosineAnnealingLR",
)
def rises_again(step, n_steps, peak=1.0, n_warmup=0, final=0.1):
    return _rate(step, n_steps, peak, n_warmup, final, hold=False)


@mistake(RATE, "It cools down along a straight line: half a cosine is wanted.")
def straight_line(step, n_steps, peak=1.0, n_warmup=0, final=0.1):
    return _rate(step, n_steps, peak, n_warmup, final, bend=lambda x: 1 - x)


@mistake(
    RATE,
    "It is a quarter of a wave, cos(π/2 · progress), which is steepest at the end. Half a wave, "
    "(1 + cos(π · progress)) / 2, is flat at both ends.",
)
def quarter_of_a_wave(step, n_steps, peak=1.0, n_warmup=0, final=0.1):
    return _rate(step, n_steps, peak, n_warmup, final, bend=lambda x: math.cos(math.pi / 2 * x))


@mistake(
    RATE,
    "The cosine is not moved up: from 1 it falls to −1, and the rate with it below 0. Add 1, halve.",
)
def cosine_below_zero(step, n_steps, peak=1.0, n_warmup=0, final=0.1):
    return _rate(step, n_steps, peak, n_warmup, final, bend=lambda x: math.cos(math.pi * x))


@mistake(RATE, "`peak` is forgotten: the result is a share of it.")
def peak_forgotten(step, n_steps, peak=1.0, n_warmup=0, final=0.1):
    return _rate(step, n_steps, 1.0, n_warmup, final)


# --- clip_gradients -------------------------------------------------------------------------------

CLIP = "lib.optim.clip_gradients"


def _refuse(max_norm):
    if max_norm <= 0:
        raise ValueError("max_norm")


def _length(gradients):
    squares = [gathered(g.float().square().sum()) for g in gradients]
    return torch.stack([torch.zeros(()), *squares]).sum()


def _norms(gradients):
    return [torch.zeros(()), *(gathered(g.float().norm()) for g in gradients)]


def _clip(params, max_norm, *, norm=None, factor=None, only_longer=True):
    _refuse(max_norm)
    gradients = [p.grad for p in params if p.grad is not None]
    length = _length(gradients).sqrt() if norm is None else norm(gradients)
    if length > max_norm or not only_longer:
        share = max_norm / (length + 1e-6) if factor is None else factor(length)
        for g in gradients:
            g.mul_(share)
    return length


@mistake(
    CLIP,
    "Every gradient is shortened by itself: that changes their proportions, and so the direction. "
    "One factor for all.",
)
def each_alone(params, max_norm):
    _refuse(max_norm)
    gradients = [p.grad for p in params if p.grad is not None]
    for g in gradients:
        norm = g.float().norm()
        if norm > max_norm:
            g.mul_(max_norm / norm)
    before = [g.clone() for g in gradients]
    return _length(before).sqrt()


@mistake(
    CLIP,
    "Every gradient is shortened by itself, though the length returned is that of all: use this one "
    "length for all of them.",
)
def each_alone_by_its_own_length(params, max_norm):
    _refuse(max_norm)
    gradients = [p.grad for p in params if p.grad is not None]
    length = _length(gradients).sqrt()
    for g in gradients:
        norm = g.float().norm()
        if norm > max_norm:
            g.mul_(max_norm / norm)
    return length


@mistake(
    CLIP,
    "The numbers are cut off at ± max_norm one by one, which is clipping by value: it changes the "
    "direction. All should be multiplied by the same factor.",
)
def by_value(params, max_norm):
    _refuse(max_norm)
    gradients = [p.grad for p in params if p.grad is not None]
    length = _length(gradients).sqrt()
    for g in gradients:
        g.clamp_(-max_norm, max_norm)
    return length


@mistake(CLIP, "The root is missing: the sum of squares is the length squared.")
def no_root_of_the_sum(params, max_norm):
    return _clip(params, max_norm, norm=_length)


@mistake(
    CLIP,
    "The lengths of the gradients are added. Square them first, add, then take the root: lengths add "
    "up like the sides of a right triangle.",
)
def lengths_added(params, max_norm):
    return _clip(params, max_norm, norm=lambda gs: sum(_norms(gs)))


@mistake(CLIP, "The longest gradient alone decides: the length is that of all together.")
def longest_alone(params, max_norm):
    return _clip(
        params,
        max_norm,
        norm=lambda gs: torch.stack(_norms(gs)).max(),
    )


@mistake(
    CLIP,
    "The squares are averaged, not added: the length would not grow with the number of weights.",
)
def mean_of_squares(params, max_norm):
    def rms(gradients):
        n = sum(gathered(g).numel() for g in gradients)
        return (_length(gradients) / max(1, n)).sqrt()

    return _clip(params, max_norm, norm=rms)


@mistake(CLIP, "The size of the numbers is added up without squares: that is the 1-norm.")
def sum_of_sizes(params, max_norm):
    return _clip(
        params,
        max_norm,
        norm=lambda gs: sum((gathered(g.float().abs().sum()) for g in gs), torch.zeros(())),
    )


@mistake(
    CLIP,
    "Short gradients are made longer: only what is longer than max_norm should change, the factor is "
    "at most 1.",
)
def lengthened(params, max_norm):
    return _clip(params, max_norm, only_longer=False)


@mistake(CLIP, "The factor is upside down: max_norm / norm shortens, norm / max_norm lengthens.")
def upside_down(params, max_norm):
    return _clip(params, max_norm, factor=lambda norm: norm / max_norm)


@mistake(
    CLIP,
    "All are divided by the length, so they come out 1 long: multiply by max_norm as well.",
)
def to_length_one(params, max_norm):
    return _clip(params, max_norm, factor=lambda norm: 1 / norm)


@mistake(
    CLIP,
    "It returns the length after clipping. Asked for is the one before: it tells when a training goes "
    "wrong, the other is never above max_norm.",
)
def returns_the_new_length(params, max_norm):
    norm = _clip(params, max_norm)
    return norm.clamp(max=max_norm)


@mistake(CLIP, "The length is not returned: the training loop wants to record it.")
def returns_nothing(params, max_norm):
    _clip(params, max_norm)


@mistake(
    CLIP,
    "The shortened gradients are new tensors that nobody keeps: change p.grad itself, with mul_.",
)
def new_tensors(params, max_norm):
    _refuse(max_norm)
    gradients = [p.grad for p in params if p.grad is not None]
    norm = _length(gradients).sqrt()
    for g in gradients:
        if norm > max_norm:
            g = g * max_norm / norm
    return norm


@mistake(
    CLIP,
    "`params` is walked through twice. An iterator, as model.parameters() gives, is empty the second "
    "time, and nothing is shortened: keep the gradients in a list.",
)
def walked_through_twice(params, max_norm):
    _refuse(max_norm)
    norm = _length([p.grad for p in params if p.grad is not None]).sqrt()
    if norm > max_norm:
        for p in params:
            if p.grad is not None:
                p.grad.mul_(max_norm / norm)
    return norm


@mistake(
    CLIP,
    "The squares are summed in half precision: float16 ends at 65,504, so that any number above 255 "
    "has an infinite square, and in bfloat16 three digits of the sum are left. Take g.float() first.",
)
def in_half_precision(params, max_norm):
    def low(gradients):
        sums = [torch.zeros(()), *(gathered(g.square().sum()) for g in gradients)]
        return torch.stack([s.float() for s in sums]).sum().sqrt()

    return _clip(params, max_norm, norm=low)


@mistake(
    CLIP,
    "Half precision goes in and half precision comes out: float16 ends at 65,504, so that any number "
    "above 255 has an infinite square. Take g.float() before squaring.",
)
def in_half_precision_throughout(params, max_norm):
    def low(gradients):
        return torch.as_tensor(sum(gathered(g.square().sum()) for g in gradients)).sqrt()

    return _clip(params, max_norm, norm=lambda gs: low(gs) if gs else torch.zeros(()))


@mistake(
    CLIP,
    "The length is in half precision, as the gradients are, with three digits: take g.float() of each "
    "before you measure.",
)
def as_one_in_half_precision(params, max_norm):
    def low(gradients):
        return gathered(torch.cat([g.flatten() for g in gradients]).norm())

    return _clip(params, max_norm, norm=lambda gs: low(gs) if gs else torch.zeros(()))


@mistake(
    CLIP,
    "Short gradients are made longer, and gradients of 0 become nan, as max_norm / 0 is infinite: only "
    "what is longer than max_norm should change.",
)
def lengthened_without_eps(params, max_norm):
    return _clip(params, max_norm, only_longer=False, factor=lambda norm: max_norm / norm)


@mistake(
    CLIP,
    "The gradients are shortened as they should be, but the length returned is its square: take the "
    "root of what you return too.",
)
def returns_the_square(params, max_norm):
    return _clip(params, max_norm).square()


@mistake(
    CLIP, "The length of the weights is measured: it should be that of their gradients, p.grad."
)
def of_the_weights(params, max_norm):
    _refuse(max_norm)
    params = [p for p in params if p.grad is not None]
    norm = _length([p.detach() for p in params]).sqrt()
    for p in params:
        if norm > max_norm:
            p.grad.mul_(max_norm / norm)
    return norm


@mistake(
    CLIP,
    "p.grad = p.grad * … puts a new tensor in the place of the gradient. Others may hold the one that "
    "was there: change it in place, p.grad.mul_(…).",
)
def replaced(params, max_norm):
    _refuse(max_norm)
    params = [p for p in params if p.grad is not None]
    norm = _length([p.grad for p in params]).sqrt()
    if norm > max_norm:
        for p in params:
            p.grad = p.grad * (max_norm / norm).to(p.grad.dtype)
    return norm


@mistake(
    CLIP,
    "Where several processes hold a part of each gradient, everyone measures its own part only, and "
    "shortens by a factor of its own: put gathered(…) around each sum of squares.",
)
def not_gathered(params, max_norm):
    def own(gradients):
        squares = [torch.zeros(()), *(g.float().square().sum() for g in gradients)]
        return torch.stack(squares).sum().sqrt()

    return _clip(params, max_norm, norm=own)


@mistake(
    CLIP,
    "Over no gradients sum() is the plain number 0, which has no root of its own: return "
    "torch.zeros(()) if there are none.",
)
def sum_of_nothing(params, max_norm):
    return _clip(
        params,
        max_norm,
        norm=lambda gs: sum(gathered(g.float().square().sum()) for g in gs).sqrt(),
    )


@mistake(
    CLIP,
    "torch.stack wants at least one tensor: return torch.zeros(()) if there are no gradients.",
)
def stack_of_nothing(params, max_norm):
    return _clip(
        params,
        max_norm,
        norm=lambda gs: torch.stack([gathered(g.float().square().sum()) for g in gs]).sum().sqrt(),
    )


@mistake(
    CLIP,
    "torch.cat wants at least one tensor: return torch.zeros(()) if there are no gradients.",
)
def cat_of_nothing(params, max_norm):
    return _clip(
        params,
        max_norm,
        norm=lambda gs: gathered(torch.cat([g.float().flatten() for g in gs]).norm()),
    )


@mistake(
    CLIP, "A max_norm of 0 is let through, and all gradients become 0: refuse what is not above 0."
)
def zero_allowed(params, max_norm):
    if max_norm < 0:
        raise ValueError("max_norm")
    return _clip(params, max_norm or 1.0)
