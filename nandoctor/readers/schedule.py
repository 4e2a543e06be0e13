"""Caffe's learning-rate policies, in its own arithmetic, and what a whole run of them looks like.

Formulas: src/caffe/solvers/sgd_solver.cpp, SGDSolver::GetLearningRate; the warm-ups, `min_lr`, plateau and multifixed
of NVCaffe and Intel Caffe from theirs. A field that the solver leaves out is 0, as in protobuf.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import msgspec

from nandoctor.source import Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Where no max_iter is given nothing runs under `caffe train`; pycaffe may still step. So many iterations are looked at.
DEFAULT_HORIZON = 10_000
# A schedule that grows by this factor is no decay: no published warm-up starts higher than base_lr.
GROWTH_FACTOR = 10.0
_GRID = 400
_BOUNDARIES = 300
POLICIES = ("fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid")
FORK_POLICIES = ("plateau", "multifixed")
_FLOAT = struct.Struct("f")


def float32(value: float) -> float:
    """The nearest C float, inf beyond its range."""
    try:
        return float(_FLOAT.unpack(_FLOAT.pack(value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def c_pow(base: float, exponent: float) -> float:
    """C's pow, which never raises: a negative base with a fractional power is nan, 0 to a negative power is inf."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        odd = exponent % 2 == 1
        return -math.inf if base < 0 and odd else math.inf
    except ValueError:
        if base == 0:
            return math.copysign(math.inf, base) if exponent % 2 == 1 else math.inf
        return math.nan


def c_exp(value: float) -> float:
    """C's exp: inf instead of an exception."""
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def c_divide(numerator: float, denominator: float) -> float:
    """C's division of floats: 0/0 is nan, x/0 is inf."""
    if denominator == 0:
        if numerator == 0 or math.isnan(numerator):
            return math.nan
        return math.copysign(math.inf, numerator) * math.copysign(1.0, denominator)
    return numerator / denominator


class Policy(msgspec.Struct, frozen=True):
    """The fields of a solver that make its learning rate, as C floats and ints; 0 where left out."""

    name: str
    base_lr: float = 0.0
    gamma: float = 0.0
    power: float = 0.0
    stepsize: int = 0
    max_iter: int = 0
    stepvalues: tuple[int, ...] = ()
    min_lr: float = 0.0  # NVCaffe
    rampup_interval: int = 0  # NVCaffe
    rampup_lr: float = 0.0
    warmup_iter: int = 0  # Intel Caffe
    warmup_start_lr: float = 0.0
    stagelr: tuple[float, ...] = ()  # Intel Caffe, multifixed
    stageiter: tuple[int, ...] = ()

    def rate(self, it: int) -> float:
        """The learning rate at iteration `it`, to the seven digits a C float holds; nan where Caffe computes none."""
        rate = float32(self._rate(it))
        return rate if not math.isfinite(rate) else float(f"{rate:.7g}")

    def refusal(self) -> str:
        """Why Caffe stops before it has a rate: `no-policy`, `unknown-policy`, `stepsize-zero`, or nothing."""
        if not self.name:
            return "no-policy"
        if self.name not in POLICIES and self.name not in FORK_POLICIES:
            return "unknown-policy"
        return "stepsize-zero" if self.name == "step" and self.stepsize == 0 else ""

    def _rate(self, it: int) -> float:
        base, gamma = self.base_lr, self.gamma
        if it < self.rampup_interval:
            return self.rampup_lr + (base - self.rampup_lr) * float32(it / self.rampup_interval)
        if it < self.warmup_iter:
            return (it * base + (self.warmup_iter - it) * self.warmup_start_lr) / self.warmup_iter
        match self.name:
            case "fixed" | "plateau":  # plateau lowers the rate by the loss: this is its upper bound
                return base
            case "step":
                # int / int in C cuts towards zero; by zero it kills the process
                return base * c_pow(gamma, int(it / self.stepsize)) if self.stepsize else math.nan
            case "exp":
                return base * c_pow(gamma, it)
            case "inv":
                return base * c_pow(float32(1 + float32(gamma * it)), -self.power)
            case "multistep":
                return base * c_pow(gamma, self._steps_passed(it))
            case "poly":
                left = float32(1 - float32(c_divide(it, self.max_iter)))
                return self.min_lr + (base - self.min_lr) * c_pow(left, self.power)
            case "sigmoid":
                return base * c_divide(1.0, 1.0 + c_exp(-gamma * (it - self.stepsize)))
            case "multifixed" if self.stagelr and len(self.stagelr) == len(self.stageiter):
                passed = sum(1 for end in self.stageiter if it > end)
                return self.stagelr[min(passed, len(self.stagelr) - 1)]
        return math.nan

    def _steps_passed(self, it: int) -> int:
        """GetLearningRate passes one stepvalue per iteration at most, in the order they are written."""
        passed, at = 0, -1
        for value in self.stepvalues:
            at = max(value, at + 1)
            if at > it:
                break
            passed += 1
        return passed

    def boundaries(self, horizon: int) -> Iterable[int]:
        """Iterations where the formula changes its course, as far as there are not too many."""
        yield from (self.rampup_interval, self.warmup_iter, self.stepsize, self.max_iter)
        yield from (at + 1 for at in self.stageiter)
        if self.name == "step" and self.stepsize > 0:
            count = min(horizon // self.stepsize, _BOUNDARIES)
            yield from (self.stepsize * i for i in range(1, count + 1))
        if self.name == "multistep":
            yield from self.stepvalues[:_BOUNDARIES]
            yield from (value + i for i, value in enumerate(self.stepvalues[:_BOUNDARIES]))
        if self.name == "inv" and self.gamma < 0 and math.isfinite(1 / self.gamma):
            yield from (round(-1 / self.gamma) + i for i in range(-2, 3))


class Schedule(msgspec.Struct, frozen=True):
    """A learning-rate schedule over the iterations 0 .. horizon - 1.

    first, last: the rates of the first and last iteration. minimum, maximum: over the finite ones.
    nonfinite_at, negative_at, zero_at: the first iteration with such a rate; grows_at: above 10 x base_lr. None: never.
    refused: Caffe stops before it has a rate (`no-policy`, `unknown-policy`, `stepsize-zero`); the rest is then empty.
    parameter, location: the field at fault and where it stands (or where it is missing); "" if nothing is wrong.
    points: the sampled (iteration, rate) pairs.
    """

    policy: str
    horizon: int
    first: float
    last: float
    minimum: float
    maximum: float
    nonfinite_at: int | None = None
    negative_at: int | None = None
    zero_at: int | None = None
    grows_at: int | None = None
    refused: str = ""
    parameter: str = ""
    location: Location | None = None
    points: tuple[tuple[int, float], ...] = ()

    @property
    def valid(self) -> bool:
        """Whether every rate is finite, positive and never far above base_lr."""
        return not self.refused and not self.parameter


def schedule_of(policy: Policy, where: Callable[[str], Location], horizon: int | None = None) -> Schedule:
    """Evaluates a solver's policy over its run.

    Args:
        policy: the fields that make the rate.
        where: the place of a field of the solver by its name.
        horizon: number of iterations to look at, if not max_iter (a log that runs past it).
    """
    end = horizon if horizon is not None else policy.max_iter
    end = max(1, end if end > 0 else DEFAULT_HORIZON)
    refused = policy.refusal()
    if refused:
        parameter = "stepsize" if refused == "stepsize-zero" else "lr_policy"
        nan = math.nan
        return Schedule(
            policy.name, end, nan, nan, nan, nan, refused=refused, parameter=parameter, location=where(parameter)
        )
    points = {it: policy.rate(it) for it in _iterations(policy, end)}
    grows = abs(policy.base_lr) * GROWTH_FACTOR
    zero = _first(policy, points, lambda rate: rate == 0)
    found = {
        "nonfinite_at": _first(policy, points, lambda rate: not math.isfinite(rate)),
        "negative_at": _first(policy, points, lambda rate: rate < 0),
        "zero_at": zero if zero is None or not _warms_up_at(policy, zero) else None,
        "grows_at": _first(policy, points, lambda rate: grows < rate < math.inf) if grows > 0 else None,
    }
    finite = [rate for rate in points.values() if math.isfinite(rate)]
    parameter = _at_fault(policy, found)
    return Schedule(
        policy.name,
        end,
        first=points[0],
        last=points[end - 1],
        minimum=min(finite, default=math.nan),
        maximum=max(finite, default=math.nan),
        nonfinite_at=found["nonfinite_at"],
        negative_at=found["negative_at"],
        zero_at=found["zero_at"],
        grows_at=found["grows_at"],
        parameter=parameter,
        location=where(parameter) if parameter else None,
        points=tuple(points.items()),
    )


def _iterations(policy: Policy, end: int) -> list[int]:
    wanted = {0, 1, 2, 3, end - 1, end - 2}
    step = max(1, end // _GRID)
    for it in range(0, end, step):
        wanted |= {it, it + 1}  # neighbours: a negative gamma flips the sign each time
    for it in policy.boundaries(end):
        wanted |= {it - 1, it, it + 1}
    power = 1
    while power < end:
        wanted.add(power)
        power *= 2
    return sorted(it for it in wanted if 0 <= it < end)


def _first(policy: Policy, points: dict[int, float], holds: Callable[[float], bool]) -> int | None:
    """The first iteration where it holds; between two samples it is taken to begin once.

    With a negative gamma the sign flips from step to step, so there it may hold in every second step only.
    """
    flips = policy.gamma < 0 and policy.name in ("exp", "step")
    period = 0 if not flips else 1 if policy.name == "exp" else max(policy.stepsize, 1)

    def begun(it: int) -> bool:
        return holds(policy.rate(it)) or (period > 0 and it >= period and holds(policy.rate(it - period)))

    before = -1
    for it, rate in points.items():
        if holds(rate) or (period and begun(it)):
            low, high = before, it
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if begun(middle) else (middle, high)
            return high - period if period and not holds(policy.rate(high)) else high
        before = it
    return None


def _warms_up_at(policy: Policy, it: int) -> bool:
    """A warm-up may begin at exactly zero."""
    return it == 0 and policy.base_lr != 0 and (policy.rampup_interval > 0 or policy.warmup_iter > 0)


def _at_fault(policy: Policy, found: dict[str, int | None]) -> str:
    """The field behind what was found: the one whose value (or absence) makes the formula leave the legal range."""
    if all(at is None for at in found.values()):
        return ""
    if not math.isfinite(policy.base_lr) or policy.base_lr <= 0:
        return "base_lr" if policy.name != "multifixed" else "stagelr"
    match policy.name:
        case "inv":
            return "gamma" if policy.gamma < 0 or not math.isfinite(policy.gamma) else "power"
        case "poly":
            if policy.max_iter <= 0 or found["grows_at"] is None or policy.power >= 0:
                return "max_iter" if math.isfinite(policy.power) else "power"
            return "power"
        case "multifixed":
            return "stagelr"
        case "fixed" | "plateau":
            return "warmup_start_lr" if policy.warmup_iter else "rampup_lr"
    return "gamma"
