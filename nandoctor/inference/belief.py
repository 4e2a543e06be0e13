"""Evidence to belief: the posterior over fault sets, exactly, by enumeration.

    P(S | e) ~ P(S) * prod_setup P(e_j | S) * [ 1/|S| * sum_{c in S} prod_run P(e_j | c) ]

What the set-up shows, every fault of the set shows (noisy-OR per state, `tables.joined`); what the course of the run
shows is owed to the fault that strikes first (a mixture). An unknown observation contributes nothing. Observations of
one group count once: the most diagnostic of them. A state that follows from another one held does not count.
Sources: Shwe et al. 1991 (QMR-DT), Heckerman, Breese, Rommelse 1995.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Literal

from nandoctor.diagnosis import Band, Evidence
from nandoctor.inference.tables import NONE_OF_THESE, Distribution, Tables, distinct, given_that_not, joined

# Words of frequency are cautious (they were mixed with background rates), so the raw posterior is less sure than it is
# right. The calibration exponent g in P(S | e)^g keeps the order of the sets; it is chosen so that stated probabilities
# match the share that is right on the labelled cases, runs and reports together (docs/accuracy.md).
CALIBRATION = 2.3
MIN_INFORMATION = 0.25  # bits; "my loss is nan" alone brings 0.13
SETUP_ONLY = 0.65  # what a fault must reach if nothing of the run is known
BANDS: tuple[tuple[float, Band], ...] = ((0.8, "very likely"), (0.5, "likely"), (0.2, "possible"))
ORIGIN_ORDER = ("tried", "log", "net", "solver", "answer", "description")  # who wins when two disagree


def band(probability: float) -> Band:
    """The word for a probability: very likely >= 0.8, likely >= 0.5, possible >= 0.2, else unlikely."""
    return next((word for bound, word in BANDS if probability >= bound), "unlikely")


def likelihood(evidence: Evidence, states: Sequence[str]) -> Distribution:
    """P(this reading | state) for each state: given by the detector, or from `trust` in the one state reported."""
    if evidence.likelihoods:
        return tuple(max(evidence.likelihoods.get(state, 0.02), 1e-4) for state in states)
    other = (1.0 - evidence.trust) / max(len(states) - 1, 1)
    return tuple(evidence.trust if state == evidence.state else other for state in states)


def settled(evidence: Iterable[Evidence]) -> dict[str, Evidence]:
    """One piece of evidence per observation: files win over answers, answers over descriptions, all over hints.

    Trust breaks ties.
    """
    best: dict[str, Evidence] = {}
    for item in evidence:
        held = best.get(item.observation)
        if held is None or _rank(item) < _rank(held):
            best[item.observation] = item
    return best


def _rank(item: Evidence) -> tuple[int, float, str]:
    order = len(ORIGIN_ORDER) if item.hint else ORIGIN_ORDER.index(item.origin)
    sure = max(item.likelihoods.values()) / math.fsum(item.likelihoods.values()) if item.likelihoods else item.trust
    return (2 if order in (1, 2, 3) else order, -sure, item.state)


class Belief:
    """The posterior given evidence. Immutable; every number is computed on first use and kept."""

    def __init__(
        self,
        tables: Tables,
        evidence: Iterable[Evidence],
        tried: Mapping[str, Sequence[float]] | None = None,
        calibration: float = CALIBRATION,
    ) -> None:
        """`tried`: per tried remedy, P(its outcome | cause) for each cause; `calibration`: the exponent, 1 for none."""
        self.tables = tables
        self.calibration = calibration
        self.gains: dict[
            str, float
        ] = {}  # of questions, kept by `inquiry`: next question, what-if and plan all want them
        self._predicted: dict[str, list[Distribution]] = {}
        known = settled(item for item in evidence if item.observation in tables.rows)
        self.evidence: dict[str, Evidence] = dict(sorted(known.items()))
        self._per_cause = {name: self._log_row(item, self.rows(name)) for name, item in self.evidence.items()}
        self._tried = {name: tuple(math.log(p) for p in outcome) for name, outcome in sorted((tried or {}).items())}
        self.counted = self._representatives()

    def rows(self, name: str) -> tuple[Distribution, ...]:
        """P(state | cause) of an observation for each cause, given what the evidence on other observations excludes."""
        rows = self.tables.rows[name]
        impossible = [
            state
            for state, by in self.tables.excluded.get(name, ())
            if any(other in self.evidence and self.evidence[other].state in states for other, states in by.items())
        ]
        held = self.evidence.get(name)
        if not impossible or (held is not None and self.tables.states[name].index(held.state) in impossible):
            return rows  # what was read itself outweighs what another reading would exclude
        cache: dict[Distribution, Distribution] = {}
        return tuple(cache.setdefault(row, given_that_not(row, impossible)) for row in rows)

    def _log_row(self, item: Evidence, rows: Sequence[Distribution]) -> tuple[float, ...]:
        weights = likelihood(item, self.tables.states[item.observation])
        seen: dict[Distribution, float] = {}
        out = []
        for row in rows:
            if row not in seen:
                seen[row] = math.log(math.fsum(p * w for p, w in zip(row, weights)))
            out.append(seen[row])
        return tuple(out)

    def _representatives(self) -> tuple[str, ...]:
        """The observations that count: of each group the one that tells the causes apart most, under the prior."""
        best: dict[str, tuple[float, str]] = {}
        for name in self.evidence:
            if self.redundant(name):
                continue
            group = self.tables.group.get(name, name)
            candidate = (self._spread(self._per_cause[name]), name)
            if group not in best or candidate[0] > best[group][0] + 1e-12:
                best[group] = candidate
        return tuple(sorted(name for _, name in best.values()))

    def redundant(self, name: str) -> bool:
        """Whether the state held of `name` follows from another one that is held, and so adds nothing."""
        causes = self.tables.implied.get((name, self.evidence[name].state), {})
        return any(other in self.evidence and self.evidence[other].state in states for other, states in causes.items())

    def _spread(self, logs: Sequence[float]) -> float:
        priors = self.tables.priors
        total = math.fsum(priors)
        mean = math.fsum(p * value for p, value in zip(priors, logs)) / total
        return math.fsum(p * (value - mean) ** 2 for p, value in zip(priors, logs)) / total

    @cached_property
    def _run_sums(self) -> tuple[float, ...]:
        """log prod_run P(e | c) for each cause."""
        names = [name for name in self.counted if not self.tables.of_setup[name]]
        rows = [self._per_cause[name] for name in names] + list(self._tried.values())
        return tuple(sum([row[i] for row in rows]) for i in range(len(self.tables.causes)))

    @cached_property
    def _setup_rows(self) -> dict[str, tuple[float, ...]]:
        """Per set-up observation: log P(e | S) for each set."""
        return {name: self._set_row(name) for name in self.counted if self.tables.of_setup[name]}

    def _set_row(self, name: str) -> tuple[float, ...]:
        rows, normal = self.rows(name), self.tables.normal[name]
        weights = likelihood(self.evidence[name], self.tables.states[name])
        marks = distinct(rows)
        cache: dict[tuple[int, int], float] = {}
        out = list(self._per_cause[name])
        for a, b in self.tables.pairs:
            one, other = marks[a], marks[b]
            pair = (one, other) if one < other else (other, one)
            known = cache.get(pair)
            if known is None:
                both = joined(rows[a], rows[b], rows[-1], normal)
                known = cache[pair] = math.log(sum([p * w for p, w in zip(both, weights)]))
            out.append(known)
        return tuple(out)

    @cached_property
    def _setup_sums(self) -> tuple[float, ...]:
        rows = list(self._setup_rows.values())
        return tuple(map(sum, zip(*rows))) if rows else (0.0,) * len(self.tables.sets)

    @cached_property
    def _course(self) -> tuple[float, ...]:
        """prod_run P(e | c) for each cause, over the largest of them: linear, so that a pair is a plain mean."""
        top = max(self._run_sums)
        return tuple(math.exp(value - top) for value in self._run_sums)

    @cached_property
    def _weights(self) -> tuple[float, ...]:
        """P(S) prod_setup P(e | S) for each set, over the largest of them."""
        logs = [log_prior + shown for (_, log_prior), shown in zip(self.tables.sets, self._setup_sums)]
        top = max(logs)
        return tuple(math.exp(value - top) for value in logs)

    def _posterior(self, course: Sequence[float], weights: Sequence[float]) -> tuple[float, ...]:
        out = [value * weight for value, weight in zip(course, weights)]
        out += [
            weight * (0.5 * (course[a] + course[b])) for (a, b), weight in zip(self.tables.pairs, weights[len(out) :])
        ]
        top = max(out)
        power = self.calibration
        out = [(value / top) ** power for value in out]
        total = math.fsum(out)
        return tuple([value / total for value in out])

    @cached_property
    def sets(self) -> tuple[float, ...]:
        """P(S | e), in the order of `tables.sets`."""
        return self._posterior(self._course, self._weights)

    def marginals_of(self, posterior: Sequence[float]) -> dict[str, float]:
        """P(c in S | e) for each cause, given probabilities of the sets."""
        sums = list(posterior[: len(self.tables.causes)])
        for (a, b), probability in zip(self.tables.pairs, posterior[len(sums) :]):
            sums[a] += probability
            sums[b] += probability
        return dict(zip(self.tables.causes, sums))

    @cached_property
    def marginals(self) -> dict[str, float]:
        """P(c in S | e) for each cause; with several faults they add up to more than one."""
        return self.marginals_of(self.sets)

    @cached_property
    def ranking(self) -> tuple[tuple[str, float], ...]:
        """Causes by marginal probability, best first; ties by id."""
        return tuple(sorted(self.marginals.items(), key=lambda item: (-item[1], item[0])))

    def without(self, name: str) -> dict[str, float]:
        """The marginals with observation (or tried remedy) `name` left out."""
        if name in self._tried:
            left = self._tried[name]
        elif name not in self.counted:
            return self.marginals
        elif self.tables.of_setup[name]:
            rows = self._setup_rows[name]
            weights = [weight * math.exp(-value) for weight, value in zip(self._weights, rows)]
            return self.marginals_of(self._posterior(self._course, weights))
        else:
            left = self._per_cause[name]
        course = [value * math.exp(-one) for value, one in zip(self._course, left)]
        return self.marginals_of(self._posterior(course, self._weights))

    @cached_property
    def strikers(self) -> tuple[tuple[float, ...], ...]:
        """For each set, P(member strikes first | S, e)."""
        out: list[tuple[float, ...]] = []
        for members, _ in self.tables.sets:
            if len(members) == 1:
                out.append((1.0,))
            else:
                a, b = self._run_sums[members[0]], self._run_sums[members[1]]
                share = 1.0 / (1.0 + math.exp(max(min(b - a, 700.0), -700.0)))
                out.append((share, 1.0 - share))
        return tuple(out)

    @cached_property
    def likely(self) -> tuple[int, ...]:
        """Numbers of the sets that hold more than a billionth: what the others would add is below any use."""
        return tuple(number for number, p in enumerate(self.sets) if p > 1e-9)

    def predictive(self, name: str, only: Sequence[int] | None = None) -> list[Distribution]:
        """P(state | S, e) of an observation not known yet, for each set, or for those numbered in `only`."""
        rows, normal = self.rows(name), self.tables.normal[name]
        setup = self.tables.of_setup[name]
        marks = distinct(rows)
        cache: dict[tuple[int, int], Distribution] = {}
        out = []
        sets, strikers = self.tables.sets, self.strikers
        for number in range(len(sets)) if only is None else only:
            members = sets[number].members
            if len(members) == 1:
                out.append(rows[members[0]])
                continue
            a, b = members
            first, second = rows[a], rows[b]
            if setup:
                pair = (marks[a], marks[b])
                both = cache.get(pair)
                if both is None:
                    both = cache[pair] = joined(first, second, rows[-1], normal)
                out.append(both)
            elif marks[a] == marks[b]:
                out.append(first)
            else:
                share = strikers[number][0]
                out.append(tuple([share * p + (1.0 - share) * q for p, q in zip(first, second)]))
        return out

    def predicted(self, name: str) -> list[Distribution]:
        """`predictive` for the `likely` sets; kept, because gain, what-if and every answer to it ask for the same."""
        known = self._predicted.get(name)
        if known is None:
            known = self._predicted[name] = self.predictive(name, self.likely)
        return known

    def answered(self, name: str, state: str, trust: float) -> tuple[float, ...]:
        """P(S | e, and an answer `state` to the open question `name`, right with `trust`), in the order of the sets.

        The same as a new belief with that evidence, unless the question shares a group with what is known.
        """
        states = self.tables.states[name]
        weights = likelihood(Evidence(name, state, "answer", trust=trust), states)
        then = [0.0] * len(self.sets)
        for number, row in zip(self.likely, self.predicted(name)):
            shown = math.fsum([p * w for p, w in zip(row, weights)])
            then[number] = self.sets[number] * shown**self.calibration
        total = math.fsum(then)
        return tuple(value / total for value in then)

    @cached_property
    def information(self) -> float:
        """Bits the evidence brought: the divergence of the posterior (before calibration) from the prior."""
        prior = [math.exp(fault_set.log_prior) for fault_set in self.tables.sets]
        raw = [p ** (1.0 / self.calibration) for p in self.sets]
        all_prior, all_raw = math.fsum(prior), math.fsum(raw)
        return math.fsum(p / all_raw * math.log2(p / all_raw * all_prior / q) for p, q in zip(raw, prior) if p > 0.0)

    def verdict(self) -> Literal["fault", "healthy", "benign", "undetermined"]:
        """What kind of result this is.

        Undetermined when "none of these" comes first, or when it holds more than 0.3 and no cause reaches 0.5, or when
        the evidence brought next to nothing, or it is about the set-up alone and proves no fault: a sound net that
        nobody said anything about is no broken run.
        """
        first, probability = self.ranking[0]
        if self.information < MIN_INFORMATION:
            return "undetermined"
        of_run = self._tried or any(not self.tables.of_setup[name] for name in self.counted)
        if not of_run and first in self.tables.faults and probability < SETUP_ONLY:
            return "undetermined"
        if first == NONE_OF_THESE or (self.marginals[NONE_OF_THESE] > 0.3 and probability < 0.5):
            return "undetermined"
        if first in self.tables.faults:
            return "fault"
        return "benign" if first == "benign-nan" else "healthy"
