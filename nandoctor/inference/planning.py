"""What to do, in which order: remedies by probability of cure per minute (Simon and Kadane 1975).

The chance of a step is the mass of fault sets it completes, given that the steps before it failed. A remedy that only
masks a fault keeps its place behind the cures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from nandoctor.inference.belief import Belief
from nandoctor.inference.inquiry import information_gain, remedy_classes
from nandoctor.inference.tables import Distribution
from nandoctor.kb.model import KnowledgeBase, Remedy

MAX_STEPS = 7
MIN_SUCCESS = 0.01  # a step with less chance than this is no plan
MASK_FACTOR = 0.25  # a remedy that hides the fault is worth this part of its success
PARTIAL = 0.4  # fixing one of two faults does not cure, but is on the way
IN_ORDER = 0.1  # a remedy for what is in order cures rarely
OUTCOME_BACKGROUND = 0.07  # a remedy for another fault helps this often all the same


class AtHand(msgspec.Struct, frozen=True):
    """What the owner's own files say about remedies.

    mends: (remedy, cause) -> how often it cures here, since a finding shows the very fault that it mends.
    in_order: remedies that change what the files have in order; the cause, if it is there, has another place.
    alike: remedies that make the very same edit here: once one of them has failed, the others are not worth a trial.
    """

    mends: Mapping[tuple[str, str], float] = {}
    in_order: frozenset[str] = frozenset()
    alike: tuple[frozenset[str], ...] = ()


class PlannedStep(msgspec.Struct, frozen=True):
    """A remedy at its place: `success` is conditional on the failure of the steps before it."""

    remedy: str
    cures: tuple[str, ...]
    success: float
    minutes: float
    masks: bool
    tells: tuple[str, ...] = ()


def efficacies(kb: KnowledgeBase, at_hand: AtHand | None = None) -> dict[str, dict[str, float]]:
    """remedy -> cause -> chance that it cures that cause; in the run `at_hand`, if given."""
    here = at_hand or AtHand()
    table: dict[str, dict[str, float]] = {}
    for cause in kb.causes.values():
        for use in cause.remedies:
            chance = max(use.probability, here.mends.get((use.use, cause.id), 0.0))
            table.setdefault(use.use, {})[cause.id] = min(chance, IN_ORDER) if use.use in here.in_order else chance
    return table


def masking(kb: KnowledgeBase) -> set[tuple[str, str]]:
    """(remedy, cause) pairs in which the remedy only hides the cause."""
    return {
        (use.use, cause.id)
        for cause in kb.causes.values()
        for use in cause.remedies
        if use.masks or (use.use in kb.remedies and kb.remedies[use.use].masks)
    }


def outcome_likelihood(kb: KnowledgeBase, causes: Sequence[str], remedy: str, helped: bool) -> tuple[float, ...]:
    """P(the tried remedy helped, or not | cause), for each cause: a failed cure is evidence against its causes."""
    cures = efficacies(kb).get(remedy, {})
    chance = [max(cures.get(cause, 0.0), OUTCOME_BACKGROUND) for cause in causes]
    return tuple(p if helped else 1.0 - p for p in chance)


class _Effect(msgspec.Struct, frozen=True):
    """What a remedy does to a fault set it touches."""

    probability: float
    broken: dict[str, float]  # cause -> chance that it is still there; one per set, shared by all remedies
    chances: tuple[tuple[str, float], ...]  # every member, with the chance that the remedy cures it
    cures: tuple[tuple[str, float], ...]  # those of them that it can cure
    masks: bool


def _effects(
    belief: Belief, kb: KnowledgeBase, skip: Mapping[str, bool], at_hand: AtHand | None
) -> list[tuple[Remedy, list[_Effect]]]:
    """Each fix with its effects on the sets that are at all likely and hold nothing but faults."""
    tables = belief.tables
    table = efficacies(kb, at_hand)
    hides = masking(kb)
    open_sets = []
    for (indices, _), probability in zip(tables.sets, belief.sets):
        if probability > 1e-4:
            members = [tables.causes[i] for i in indices]
            if tables.faults.issuperset(members):
                open_sets.append((members, probability, dict.fromkeys(members, 1.0)))
    out = []
    for remedy in kb.remedies.values():
        if remedy.kind != "fix" or remedy.id not in table or remedy.id in skip:
            continue
        cures = table[remedy.id]
        effects = []
        for members, probability, broken in open_sets:
            parts = tuple([(c, cures[c]) for c in members if c in cures])
            if parts:
                chances = tuple([(c, cures.get(c, 0.0)) for c in members])
                masked = all((remedy.id, c) in hides for c, _ in parts)
                effects.append(_Effect(probability, broken, chances, parts, masked))
        out.append((remedy, effects))
    return out


def fix_plan(
    belief: Belief, kb: KnowledgeBase, skip: Mapping[str, bool] | None = None, at_hand: AtHand | None = None
) -> list[PlannedStep]:
    """Fixes, best chance per minute first, each step conditional on the failure of those before it."""
    hides = masking(kb)
    left = 1.0
    candidates = _effects(belief, kb, skip or {}, at_hand)
    steps: list[PlannedStep] = []
    while len(steps) < MAX_STEPS and candidates and left > 0.01:
        best: tuple[float, int, float, dict[str, float]] | None = None
        for number, (remedy, effects) in enumerate(candidates):
            gained, value = 0.0, 0.0
            by_cause: dict[str, float] = {}
            for effect in effects:
                probability, broken = effect.probability, effect.broken
                cured_before = cured_after = 1.0
                for cause, chance in effect.chances:
                    cured_before *= 1.0 - broken[cause]
                    cured_after *= 1.0 - broken[cause] * (1.0 - chance)
                delta = probability * (cured_after - cured_before)
                gained += delta
                partial = 0.0
                for cause, chance in effect.cures:
                    share = probability * broken[cause] * chance
                    partial += share
                    by_cause[cause] = by_cause.get(cause, 0.0) + share
                worth = delta + (PARTIAL * max(partial - delta, 0.0) if len(effect.chances) > 1 else 0.0)
                value += worth * (MASK_FACTOR if effect.masks else 1.0)
            score = value / remedy.minutes
            if best is None or score > best[0] + 1e-15:
                best = (score, number, gained, by_cause)
        if best is None or best[2] / left < MIN_SUCCESS:
            break
        _, number, gained, by_cause = best
        remedy, effects = candidates.pop(number)
        same = next((group for group in at_hand.alike if remedy.id in group), frozenset()) if at_hand else frozenset()
        candidates = [item for item in candidates if item[0].id not in same]
        total = math.fsum(by_cause.values())
        likeliest = sorted(by_cause.items(), key=lambda item: -item[1])
        named = tuple(c for c, v in likeliest if v >= 0.1 * total)[:4]
        masks = all((remedy.id, c) in hides for c in named)
        steps.append(PlannedStep(remedy.id, named, min(gained / left, 1.0), remedy.minutes, masks))
        for effect in effects:
            for cause, chance in effect.cures:
                effect.broken[cause] *= 1.0 - chance
        left = max(left - gained, 1e-9)
    return steps


def _differ(one: Distribution, two: Distribution) -> bool:
    """Whether some outcome is more than e times as likely under one; what is excluded (probability 0) is under both."""
    return any(abs(math.log(a / b)) > 1.0 for a, b in zip(one, two) if a > 0.0 and b > 0.0)


def experiments(belief: Belief, kb: KnowledgeBase, limit: int = 3) -> list[tuple[PlannedStep, float]]:
    """Experiments worth running, best gain per minute first, each with its gain in bits."""
    classes = remedy_classes(belief, kb)
    ranked = [cause for cause, p in belief.ranking if p >= 0.05][:4]
    found = []
    for remedy in kb.remedies.values():
        if remedy.kind != "experiment" or remedy.asks not in belief.tables.rows or remedy.asks in belief.evidence:
            continue
        gain = information_gain(belief, remedy.asks, classes)
        if gain >= 0.08:
            rows = belief.rows(remedy.asks)
            places = belief.tables.causes
            of = {cause: rows[places.index(cause)] for cause in ranked}
            tells = tuple(c for c in ranked if any(_differ(of[c], of[d]) for d in ranked if d != c))
            found.append((PlannedStep(remedy.id, (), 0.0, remedy.minutes, False, tells), gain))
    found.sort(key=lambda item: (-item[1] / item[0].minutes, item[0].remedy))
    return found[:limit]


def plans(
    belief: Belief,
    kb: KnowledgeBase,
    tried: Mapping[str, bool] | None = None,
    at_hand: AtHand | None = None,
) -> tuple[list[PlannedStep], list[PlannedStep]]:
    """(fastest, diagnostic): fixes by success per minute, with an experiment where it saves more than it costs; and
    the plan that tells which cause it was, experiments first, one fix at a time.
    """
    fixes = fix_plan(belief, kb, tried, at_hand)
    tests = experiments(belief, kb)
    fastest = list(fixes)
    if tests and fixes:
        step, gain = tests[0]
        expected = _expected_minutes(fixes)
        # An experiment of g bits leaves about 2^-g of the fixes to be tried: it goes first if that saves its minutes.
        if step.minutes < expected * (1.0 - 2.0**-gain) - fixes[0].minutes * fixes[0].success:
            fastest.insert(0, step)
        elif fixes[0].success < 0.6:
            fastest.insert(min(1, len(fixes)), step)
    diagnostic = [step for step, _ in tests] + [step for step in fixes if not step.masks]
    return fastest[:MAX_STEPS], diagnostic[:MAX_STEPS]


def _expected_minutes(steps: Sequence[PlannedStep]) -> float:
    """Expected minutes until cured or the plan is exhausted."""
    total, alive = 0.0, 1.0
    for step in steps:
        total += alive * step.minutes
        alive *= 1.0 - step.success
    return total
