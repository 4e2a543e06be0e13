"""The learning-rate schedule over the whole run, and how large the rate is for this net and optimizer."""

from __future__ import annotations

import math

from nandoctor.checks.look import Arg, Look, Match, shown
from nandoctor.checks.material import BATCH_NORMS, RECURRENT, Material
from nandoctor.kb.model import Check
from nandoctor.readers.caffe import Solver
from nandoctor.readers.schedule import Schedule
from nandoctor.readers.series import median
from nandoctor.source import Location

# A decay that grows is no decay; warm-ups of forks end at base_lr. Twice leaves room for rounding and `sigmoid`.
GROWTH = 2.0
# A rate this far below its start has stopped the training: no published schedule spans more than five decades.
VANISHED = 1e-9
# Per-step size of SGD, base_lr / (1 - momentum). Caffe's own examples and the published recipes lie between 1e-3 and
# 0.1 (momentum 0.9, base_lr 1e-4 to 0.01), the boldest without batch normalisation reach 1 (Network in Network);
# measured divergence of plain nets begins at 2 to 3 (base_lr 0.2 to 0.3).
SGD_LIMITS = (1e-5, 1.01, 5.0)
# Adam's published default is 1e-3, limits of UMLAUT and TheDeepChecker are 0.01.
ADAPTIVE_LIMITS = (1e-7, 0.01, 0.1)
# AdaDelta's rate is a factor on a step that it sizes itself; 1.0 is the paper's.
ADADELTA_LIMITS = (1e-3, 10.0, 100.0)
# What tolerates a ten times larger rate: normalised activations, saturating units, clipped gradients.
TOLERANCE = 10.0
# First losses from here on are sums over pixels, which go with base_lr 1e-8 and below (HED, FCN).
SUMMED_LOSS = 100.0
# Finetuning recipes give a new layer 10 to 20 times the rate.
USUAL_LR_MULT = 100.0


def schedule(material: Material, check: Check) -> Look | None:
    """Fires for the outcome named in `params.outcome`: nonfinite, negative, zero, vanished, grows, no-max-iter, refused
    (step without stepsize), policy (none or unknown).
    """
    solver = material.solver
    if solver is None:
        return None
    plan = _plan(material, solver, _horizon(material, solver))
    at = tuple(solver.where(path) for path in ("lr_policy", "base_lr") if solver.has(path)) or (solver.location,)
    args: dict[str, Arg] = {"policy": shown(plan.policy or "-"), "base_lr": shown(solver.number("base_lr"))}
    outcome = str(check.params["outcome"])
    if not material.whole_solver and outcome in ("policy", "zero", "refused", "no-max-iter"):
        return Look((), at)  # the field may stand in the lines that were not pasted
    found = _outcome(plan, solver, outcome)
    if found is None:
        return Look((), at)
    place = plan.location or solver.where(str(found.get("parameter", "lr_policy")))
    return Look((Match(None, (place,), {**args, **found}),), at)


def past_max_iter(material: Material, check: Check) -> Look | None:
    """The log shows iterations beyond max_iter, where `poly` has no value."""
    solver, run = material.solver, material.run
    if solver is None or run is None or run.last_step is None or solver.text("lr_policy") != "poly":
        return None
    max_iter = solver.whole("max_iter")
    if max_iter <= 0 or run.last_step <= max_iter:
        return Look((), (solver.where("max_iter"),))
    after = solver.learning_rate(max_iter + 1)
    if math.isfinite(after) and after >= 0:
        return Look((), (solver.where("max_iter"),))
    args: dict[str, Arg] = {"max_iter": max_iter, "last": shown(run.last_step), "power": shown(solver.number("power"))}
    return Look((Match(None, (solver.where("max_iter"),), args),))


def rate_size(material: Material, check: Check) -> Look | None:
    """The rate against what is usual for the optimizer, by `params.size`: tiny, large or huge."""
    solver = material.solver
    if solver is None or not solver.has("base_lr"):
        return None
    rate = material.effective_rate
    if rate is None or not math.isfinite(rate) or rate <= 0:
        return None
    at = (solver.where("base_lr"),)
    rate *= _usual_multiplier(material)
    size = _size(material, solver, rate)
    if size != check.params["size"]:
        return Look((), at)
    args: dict[str, Arg] = {
        "base_lr": shown(solver.number("base_lr")),
        "momentum": shown(solver.number("momentum")),
        "optimizer": shown(solver.type),
        "effective": shown(rate),
        "tenth": shown(solver.number("base_lr") / 10),
    }
    return Look((Match(None, at, args),), at)


def multipliers(material: Material, check: Check) -> Look | None:
    """A layer whose lr_mult is far beyond any finetuning recipe."""
    if not material.learnable:
        return None
    matches = []
    for layer in material.layers:
        values = [value for value in layer.numbers("param.lr_mult") if value > USUAL_LR_MULT]
        if values:
            matches.append(Match(layer, (layer.where("param.lr_mult"),), {"value": shown(max(values))}))
    return Look(tuple(matches))


def weight_decay(material: Material, check: Check) -> Look | None:
    """Decay that overshoots: with zero gradient w shrinks by lr * decay per step; the heavy-ball recursion
    z^2 - (1 + m - lr * decay) z + m has both roots inside the unit circle only while lr * decay < 2 (1 + m).
    """
    solver = material.solver
    if solver is None:
        return None
    at = (solver.where("weight_decay"),)
    decay = solver.number("weight_decay")
    mults = [v for layer in material.learnable for v in layer.numbers("param.decay_mult")]
    decay *= max(mults, default=1.0) or 1.0
    rate = solver.number("base_lr")
    momentum = min(max(solver.number("momentum"), 0.0), 1.0)
    if solver.type not in ("SGD", "Nesterov") or not decay > 0 or not rate * decay >= 2 * (1 + momentum):
        return Look((), at)
    args = {"value": shown(decay), "product": shown(rate * decay), "limit": shown(2 * (1 + momentum))}
    return Look((Match(None, at, args),), at)


def warm_up(material: Material, check: Check) -> Look | None:
    """Whether the rate begins low: the ramps of forks, or a rising `sigmoid`."""
    solver = material.solver
    if solver is None:
        return None
    plan = _plan(material, solver)
    at: tuple[Location, ...] = tuple(
        solver.where(path) for path in ("warmup_iter", "rampup_interval") if solver.whole(path) > 0
    )
    if not at and plan.policy == "sigmoid" and plan.first < plan.last / 2:
        at = (solver.where("lr_policy"),)
    return Look((Match(None, at, {"policy": shown(plan.policy)}),) if at else (), (solver.where("lr_policy"),))


def _plan(material: Material, solver: Solver, horizon: int | None = None) -> Schedule:
    if horizon not in material.schedules:
        material.schedules[horizon] = solver.schedule(horizon)
    return material.schedules[horizon]


def _horizon(material: Material, solver: Solver) -> int | None:
    """max_iter, unless the log went further."""
    last = material.run.last_step if material.run else None
    max_iter = solver.whole("max_iter")
    return int(last) + 1 if last is not None and math.isfinite(last) and max_iter <= 0 else None


def _outcome(plan: Schedule, solver: Solver, outcome: str) -> dict[str, Arg] | None:
    """The arguments of the message if the schedule shows this outcome."""
    if plan.refused:
        wanted = {"refused": ("stepsize-zero",), "policy": ("no-policy", "unknown-policy")}.get(outcome, ())
        return _setting(plan, solver) if plan.refused in wanted else None
    no_end = plan.policy == "poly" and solver.whole("max_iter") <= 0
    match outcome:
        case "no-max-iter" if no_end and plan.nonfinite_at is not None:
            return {"parameter": "max_iter", "power": shown(solver.number("power"))}
        case "nonfinite" if plan.nonfinite_at is not None and not no_end:
            rate = solver.learning_rate(plan.nonfinite_at)
            return {"iteration": plan.nonfinite_at, "value": shown(rate), **_setting(plan, solver)}
        case "negative" if plan.negative_at is not None and plan.nonfinite_at is None and not no_end:
            rate = solver.learning_rate(plan.negative_at)
            return {"iteration": plan.negative_at, "value": shown(rate), **_setting(plan, solver)}
        case "zero" if plan.zero_at is not None and plan.zero_at < plan.horizon - 1 and not no_end:
            return {"iteration": plan.zero_at, **_setting(plan, solver)}
        case "grows" if plan.nonfinite_at is None and plan.maximum > GROWTH * abs(solver.number("base_lr")) > 0:
            peak = max(plan.points, key=lambda p: p[1] if math.isfinite(p[1]) else -math.inf)
            return {"iteration": peak[0], "value": shown(peak[1]), **_setting(plan, solver, "gamma")}
        case "vanished" if plan.zero_at is None and plan.first > 0:
            low = next((it for it, rate in plan.points if 0 < rate < VANISHED * plan.first), None)
            if low is not None and low < plan.horizon // 2:
                return {"iteration": low, "value": shown(solver.learning_rate(low)), **_setting(plan, solver, "gamma")}
    return None


def _setting(plan: Schedule, solver: Solver, otherwise: str = "base_lr") -> dict[str, Arg]:
    """The field at fault, how it is written, and a value that would be legal."""
    name = plan.parameter or otherwise
    value = solver.get(name)
    written = f"{name}: {shown(value)}" if value is not None else f"{name}: -"
    return {"parameter": name, "setting": written, "better": _better(plan, solver, name)}


def _better(plan: Schedule, solver: Solver, name: str) -> str:
    """The nearest legal value: the inverse of a growing gamma, the other sign, or what the examples of Caffe use."""
    value = solver.number(name)
    usable = math.isfinite(value) and value != 0
    match name:
        case "gamma" if plan.policy == "inv":
            return shown(abs(value)) if usable else "0.0001"
        case "gamma":
            return shown(1 / abs(value) if abs(value) > 1 else abs(value)) if usable else "0.1"
        case "power":
            return shown(abs(value)) if usable else "1"
        case "base_lr":
            return shown(abs(value)) if usable else "0.01"
        case "stepsize":
            return str(max(1, solver.whole("max_iter") // 3)) if solver.whole("max_iter") > 0 else "10000"
    return "100000" if name == "max_iter" else '"fixed"' if name == "lr_policy" else "0"


def _usual_multiplier(material: Material) -> float:
    """The median lr_mult of the weights that learn."""
    values = []
    for layer in material.learnable:
        given = layer.numbers("param.lr_mult")
        if not given or given[0] > 0:
            values.append(given[0] if given else 1.0)
    return median(values) if values else 1.0


def _size(material: Material, solver: Solver, rate: float) -> str:
    if solver.type in ("SGD", "Nesterov"):
        tiny, large, huge = SGD_LIMITS
    elif solver.type == "AdaDelta":
        tiny, large, huge = ADADELTA_LIMITS
    else:
        tiny, large, huge = ADAPTIVE_LIMITS
    if rate < tiny:
        summed = material.first_loss is not None and abs(material.first_loss[0]) > SUMMED_LOSS
        return "usual" if summed or not material.net else "tiny"
    if tolerant(material):
        rate /= TOLERANCE
    return "huge" if rate > huge else "large" if rate > large else "usual"


def tolerant(material: Material) -> bool:
    """Whether the net or the solver takes a larger rate: normalisation, saturating units only, clipping."""
    if material.solver is not None and material.solver.number("clip_gradients", -1.0) > 0:
        return True
    types = {layer.type for layer in material.layers}
    if types & BATCH_NORMS:
        return True
    return bool(types & ({"Sigmoid", "TanH"} | RECURRENT)) and "ReLU" not in types
