"""Belief against a joint distribution written out naively: every state of every observation, every fault set.

Nothing here calls the functions under test except to compare: the rows, the joined rule, the posterior, the predictive
and the gain are computed a second time from the formulas of `docs/model.md`.
"""

from __future__ import annotations

import itertools
import math
import random

import msgspec
import pytest

from nandoctor.diagnosis import Evidence
from nandoctor.inference import explain, inquiry, planning
from nandoctor.inference.belief import CALIBRATION, Belief
from nandoctor.inference.tables import NONE_OF_THESE, build_tables
from nandoctor.kb.model import Cause, KnowledgeBase, Observation, Remedy, RemedyUse, Shows, State, Text

WORDS = ("never", "rarely", "sometimes", "often", "almost always")
NUMBERS = {"never": 0.005, "rarely": 0.1, "sometimes": 0.4, "often": 0.7, "almost always": 0.9}
T = Text("text")


def random_knowledge(rng: random.Random, *, grouped: bool = False) -> KnowledgeBase:
    """Three to five causes (one of them no fault), three to five observations of two or three states."""
    observations = {}
    for number in range(rng.randint(3, 5)):
        weights = [rng.uniform(0.05, 1.0) for _ in range(rng.randint(2, 3))]
        shares = [w / sum(weights) for w in weights]
        name = f"o{number}"
        observations[name] = Observation(
            id=name,
            kind=rng.choice(("setup", "course", "experiment", "clue")),
            title=T,
            question=T,
            states=tuple(State(f"s{i}", T, share) for i, share in enumerate(shares)),
            normal=f"s{rng.randrange(len(shares))}",
            group="same" if grouped and number < 3 else "",
            describes=rng.choice(("", "", "setup", "run")),
        )
    causes = {}
    for number in range(rng.randint(3, 5)):
        shows = [
            Shows(o.id, s.id, rng.choice((rng.choice(WORDS), round(rng.uniform(0.01, 0.95), 3))))
            for o in observations.values()
            for s in o.states
            if rng.random() < 0.45
        ]
        causes[f"c{number}"] = Cause(
            id=f"c{number}",
            title=T,
            summary=T,
            prior=rng.choice(("rare", "uncommon", "common", "very common", 0.17)),
            shows=tuple(shows),
            remedies=(RemedyUse(f"r{number % 3}"),),
            fault=number > 0,
        )
    remedies = {f"r{n}": Remedy(f"r{n}", "fix", T, (T,), 5.0, T) for n in range(3)}
    return KnowledgeBase(causes, observations, remedies, {}, {}, {})


def random_evidence(rng: random.Random, kb: KnowledgeBase, share: float = 0.7) -> list[Evidence]:
    found = []
    for observation in kb.observations.values():
        if rng.random() > share:
            continue
        states = [s.id for s in observation.states]
        if rng.random() < 0.3:
            soft = {state: rng.uniform(0.05, 1.0) for state in states}
            found.append(Evidence(observation.id, max(soft, key=soft.__getitem__), "log", likelihoods=soft))
        else:
            found.append(Evidence(observation.id, rng.choice(states), "log", trust=rng.choice((0.98, 0.93, 0.7))))
    return found


# --- the naive model


def naive_row(observation: Observation, cause: Cause | None) -> dict[str, float]:
    """P(state | cause): stated numbers, the rest in the proportions of the background."""
    stated = {}
    for link in cause.shows if cause else ():
        if link.observation == observation.id:
            stated[link.state] = NUMBERS[link.how_often] if isinstance(link.how_often, str) else link.how_often
    silent = {s.id: s.background for s in observation.states if s.id not in stated}
    said = sum(stated.values())
    if not silent:
        return {state: value / said for state, value in stated.items()}
    left = max(1.0 - said, 0.02) if stated else 1.0
    shrink = (1.0 - left) / said if said and said > 0.98 else 1.0
    row = {state: value * shrink for state, value in stated.items()}
    return row | {state: left * share / sum(silent.values()) for state, share in silent.items()}


def naive_pair(observation: Observation, one: dict[str, float], two: dict[str, float]) -> dict[str, float]:
    """P(state | both): noisy-OR per abnormal state with the background as leak."""
    whole = sum(s.background for s in observation.states)
    row = {}
    for state in observation.states:
        if state.id != observation.normal:
            leak = state.background / whole
            noisy_or = 1 - (1 - one[state.id]) * (1 - two[state.id]) / (1 - leak)
            row[state.id] = max(one[state.id], two[state.id], noisy_or)
    room = 1 - one[observation.normal] * two[observation.normal]
    if sum(row.values()) > room:
        row = {state: value * room / sum(row.values()) for state, value in row.items()}
    return row | {observation.normal: 1 - sum(row.values())}


class Naive:
    """The joint of fault set, true states and readings, summed over every assignment of states."""

    def __init__(self, kb: KnowledgeBase, readings: dict[str, dict[str, float]]) -> None:
        self.kb, self.readings = kb, readings
        names = [*kb.causes, NONE_OF_THESE]
        faults = [c.id for c in kb.causes.values() if c.fault]
        words = {"rare": 0.01, "uncommon": 0.03, "common": 0.1, "very common": 0.3}
        self.priors = {c.id: words[c.prior] if isinstance(c.prior, str) else c.prior for c in kb.causes.values()}
        self.priors[NONE_OF_THESE] = 0.02
        self.sets = [(n,) for n in names] + list(itertools.combinations(faults, 2))
        self.rows = {(o.id, n): naive_row(o, kb.causes.get(n)) for o in kb.observations.values() for n in names}

    def prior(self, members: tuple[str, ...]) -> float:
        return math.prod(self.priors[m] for m in members) * (2.7 if len(members) == 2 else 1.0)

    def of_setup(self, name: str) -> bool:
        observation = self.kb.observations[name]
        return observation.describes == "setup" or (observation.describes == "" and observation.kind == "setup")

    def row(self, name: str, members: tuple[str, ...]) -> dict[str, float]:
        rows = [self.rows[name, m] for m in members]
        return rows[0] if len(rows) == 1 else naive_pair(self.kb.observations[name], *rows)

    def joint(self, members: tuple[str, ...], extra: dict[str, str] | None = None) -> float:
        """P(S, readings, extra states) by summing over all assignments of true states."""
        names = [*self.readings, *(extra or {})]
        fixed = extra or {}
        options = [[fixed[n]] if n in fixed else [s.id for s in self.kb.observations[n].states] for n in names]
        total = 0.0
        for states in itertools.product(*options):
            true = dict(zip(names, states))
            shown = math.prod(self.readings[n][true[n]] for n in self.readings)
            setup = math.prod(self.row(n, members)[s] for n, s in true.items() if self.of_setup(n))
            course = sum(
                math.prod(self.rows[n, striker][s] for n, s in true.items() if not self.of_setup(n)) / len(members)
                for striker in members
            )
            total += shown * setup * course
        return self.prior(members) * total


def readings_of(kb: KnowledgeBase, evidence: list[Evidence]) -> dict[str, dict[str, float]]:
    """P(reading | state), observation by observation."""
    out = {}
    for item in evidence:
        states = [s.id for s in kb.observations[item.observation].states]
        wrong = (1 - item.trust) / (len(states) - 1)
        out[item.observation] = item.likelihoods or {s: item.trust if s == item.state else wrong for s in states}
    return out


def normalised(weights: list[float]) -> list[float]:
    return [w / sum(weights) for w in weights]


SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_posterior_over_fault_sets_equals_the_joint(seed: int) -> None:
    rng = random.Random(seed)
    kb = random_knowledge(rng)
    evidence = random_evidence(rng, kb)
    naive = Naive(kb, readings_of(kb, evidence))
    belief = Belief(build_tables(kb), evidence, calibration=1.0)
    expected = normalised([naive.joint(members) for members in naive.sets])
    got = {tuple(belief.tables.causes[i] for i in s.members): p for s, p in zip(belief.tables.sets, belief.sets)}
    assert set(got) == set(naive.sets)
    for members, probability in zip(naive.sets, expected):
        assert got[members] == pytest.approx(probability, rel=1e-9, abs=1e-300), members
    for cause, marginal in belief.marginals.items():
        total = sum(p for members, p in zip(naive.sets, expected) if cause in members)
        assert marginal == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_calibrated_posterior_is_a_power_of_the_exact_one(seed: int) -> None:
    rng = random.Random(1000 + seed)
    kb = random_knowledge(rng)
    evidence = random_evidence(rng, kb, share=0.9)
    exact = Belief(build_tables(kb), evidence, calibration=1.0)
    calibrated = Belief(build_tables(kb), evidence)
    expected = normalised([p**CALIBRATION for p in exact.sets])
    assert list(calibrated.sets) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_predictive_and_gain_equal_the_joint(seed: int) -> None:
    """What a set predicts for an unanswered question, and the mutual information of its answer with the remedy."""
    rng = random.Random(2000 + seed)
    kb = random_knowledge(rng)
    evidence = random_evidence(rng, kb, share=0.5)
    naive = Naive(kb, readings_of(kb, evidence))
    belief = Belief(build_tables(kb), evidence, calibration=1.0)
    order = [tuple(belief.tables.causes[i] for i in s.members) for s in belief.tables.sets]
    classes = inquiry.remedy_classes(belief, kb)
    whole = sum(naive.joint(members) for members in order)
    for name in set(kb.observations) - {item.observation for item in evidence}:
        states = [s.id for s in kb.observations[name].states]
        joint = {(m, s): naive.joint(m, {name: s}) / whole for m in order for s in states}
        for members, row in zip(order, belief.predictive(name)):
            given = sum(joint[members, s] for s in states)
            assert list(row) == pytest.approx([joint[members, s] / given for s in states], rel=1e-9)
        labels = [frozenset(_remedy(kb, m) for m in members) for members in order]
        assert [labels.index(label) for label in labels] == [classes.index(c) for c in classes]
        gain = 0.0
        for label in set(labels):
            for state in states:
                both = sum(joint[m, state] for m, own in zip(order, labels) if own == label)
                p_label = sum(joint[m, s] for m, own in zip(order, labels) if own == label for s in states)
                p_state = sum(joint[m, state] for m in order)
                gain += both * math.log2(both / (p_label * p_state))
        assert inquiry.information_gain(belief, name, classes) == pytest.approx(gain, abs=1e-9)


def _remedy(kb: KnowledgeBase, cause: str) -> str:
    return kb.causes[cause].remedies[0].use if cause in kb.causes else cause


@pytest.mark.parametrize("seed", range(20))
def test_weight_of_evidence_is_leaving_it_out(seed: int) -> None:
    rng = random.Random(3000 + seed)
    kb = random_knowledge(rng)
    evidence = random_evidence(rng, kb)
    outcome = tuple(rng.uniform(0.1, 0.9) for _ in range(len(kb.causes) + 1))
    tables = build_tables(kb)
    belief = Belief(tables, evidence, {"r0": outcome})
    weighed = explain.weights(belief)
    leave = {
        item.observation: Belief(tables, [e for e in evidence if e is not item], {"r0": outcome}) for item in evidence
    }
    leave["r0"] = Belief(tables, evidence)
    for name, other in leave.items():
        for cause in tables.causes:
            with_it, without = belief.marginals[cause], other.marginals[cause]
            exact = 10 * math.log10(with_it / (1 - with_it) / (without / (1 - without)))
            got = next((w.decibans for w in weighed[cause] if w.observation == name), 0.0)
            assert got == pytest.approx(exact, abs=0.51 if abs(exact) < 0.6 else 0.06), (name, cause)


@pytest.mark.parametrize("seed", range(20))
def test_what_an_answer_would_change_is_what_it_changes(seed: int) -> None:
    rng = random.Random(6000 + seed)
    kb = random_knowledge(rng)
    evidence = random_evidence(rng, kb, share=0.5)
    tables = build_tables(kb)
    belief = Belief(tables, evidence)
    for name in set(kb.observations) - set(belief.evidence):
        for state in tables.states[name]:
            then = Belief(tables, [*evidence, Evidence(name, state, "answer", trust=0.93)])
            assert belief.answered(name, state, 0.93) == pytest.approx(then.sets, rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_a_group_counts_once(seed: int) -> None:
    """Three dependent observations: the posterior is that of the most diagnostic of them alone."""
    rng = random.Random(4000 + seed)
    kb = random_knowledge(rng, grouped=True)
    tables = build_tables(kb)
    evidence = random_evidence(rng, kb, share=1.0)
    belief = Belief(tables, evidence)
    grouped = [name for name in kb.observations if kb.observations[name].group]
    kept = [name for name in belief.counted if name in grouped]
    assert len(kept) == 1
    alone = Belief(tables, [e for e in evidence if e.observation not in grouped or e.observation == kept[0]])
    assert belief.sets == pytest.approx(alone.sets, rel=1e-12)

    def variance(name: str) -> float:
        reading = readings_of(kb, evidence)[name]
        naive = Naive(kb, {})
        names = [*kb.causes, NONE_OF_THESE]
        logs = [math.log(sum(p * reading[s] for s, p in naive.rows[name, c].items())) for c in names]
        weights = normalised([naive.priors[c] for c in names])
        mean = sum(w * v for w, v in zip(weights, logs))
        return sum(w * (v - mean) ** 2 for w, v in zip(weights, logs))

    assert variance(kept[0]) == pytest.approx(max(variance(name) for name in grouped), rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_a_state_that_follows_from_another_held_one_adds_nothing(seed: int) -> None:
    rng = random.Random(5000 + seed)
    kb = random_knowledge(rng)
    implied = State("s0", T, kb.observations["o0"].states[0].background, implied_by={"o1": ("s1",)})
    kb.observations["o0"] = msgspec.structs.replace(
        kb.observations["o0"], states=(implied, *kb.observations["o0"].states[1:])
    )
    tables = build_tables(kb)
    others = [e for e in random_evidence(rng, kb) if e.observation not in ("o0", "o1")]
    for first, second in itertools.product(("s0", "s1"), ("s0", "s1")):
        evidence = [*others, Evidence("o0", first, "log"), Evidence("o1", second, "log")]
        belief = Belief(tables, evidence, calibration=1.0)
        counting = [e for e in evidence if not (e.observation == "o0" and (first, second) == ("s0", "s1"))]
        naive = Naive(kb, readings_of(kb, counting))
        expected = normalised([naive.joint(members) for members in naive.sets])
        got = {tuple(tables.causes[i] for i in s.members): p for s, p in zip(tables.sets, belief.sets)}
        assert [got[m] for m in naive.sets] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("held", ["s0", "s1"])
@pytest.mark.parametrize("seed", range(20))
def test_a_state_that_another_held_one_excludes_leaves_its_share_to_the_rest(seed: int, held: str) -> None:
    rng = random.Random(9000 + seed)
    kb = random_knowledge(rng)
    excluded = State("s0", T, kb.observations["o0"].states[0].background, excluded_by={"o1": ("s1",)})
    kb.observations["o0"] = msgspec.structs.replace(
        kb.observations["o0"], kind="course", describes="", states=(excluded, *kb.observations["o0"].states[1:])
    )
    evidence = [Evidence("o0", "s1", "log"), Evidence("o1", held, "log")]
    naive = Naive(kb, readings_of(kb, evidence))
    if held == "s1":
        for cause in (*kb.causes, NONE_OF_THESE):
            row = naive.rows["o0", cause]
            naive.rows["o0", cause] = {s: 0.0 if s == "s0" else p / (1.0 - row["s0"]) for s, p in row.items()}
    expected = normalised([naive.joint(members) for members in naive.sets])
    belief = Belief(build_tables(kb), evidence, calibration=1.0)
    got = {tuple(belief.tables.causes[i] for i in s.members): p for s, p in zip(belief.tables.sets, belief.sets)}
    assert [got[m] for m in naive.sets] == pytest.approx(expected, rel=1e-9)
    assert all(row[0] == 0.0 for row in belief.rows("o0")) == (held == "s1")


def test_what_was_read_itself_outweighs_what_another_reading_excludes() -> None:
    kb = random_knowledge(random.Random(3))
    first = State("s0", T, kb.observations["o0"].states[0].background, excluded_by={"o1": ("s1",)})
    kb.observations["o0"] = msgspec.structs.replace(
        kb.observations["o0"], kind="course", states=(first, *kb.observations["o0"].states[1:])
    )
    tables = build_tables(kb)
    belief = Belief(tables, [Evidence("o0", "s0", "log"), Evidence("o1", "s1", "log")])
    assert belief.rows("o0") == tables.rows["o0"]


@pytest.mark.parametrize("seed", range(20))
def test_chances_of_a_plan_equal_the_enumeration_of_what_each_step_cures(seed: int) -> None:
    """Every way in which the steps can cure or miss each member of each set, summed."""
    rng = random.Random(7000 + seed)
    kb = random_knowledge(rng)
    chance = {(f"r{n}", cause): rng.choice((0.0, 0.1, 0.4, 0.7, 0.9)) for n in range(3) for cause in kb.causes}
    for name, cause in kb.causes.items():
        uses = tuple(RemedyUse(f"r{n}", chance[f"r{n}", name]) for n in range(3) if chance[f"r{n}", name])
        kb.causes[name] = msgspec.structs.replace(cause, remedies=uses)
    belief = Belief(build_tables(kb), random_evidence(rng, kb))
    plan = planning.fix_plan(belief, kb)
    cured_before = 0.0
    for count, step in enumerate(plan, start=1):
        cured = 0.0
        for fault_set, probability in zip(belief.tables.sets, belief.sets):
            members = [belief.tables.causes[i] for i in fault_set.members]
            if not all(member in kb.causes and kb.causes[member].fault for member in members):
                continue
            pairs = [(s.remedy, member) for s in plan[:count] for member in members]
            for outcome in itertools.product((True, False), repeat=len(pairs)):
                healed = {member for (_, member), worked in zip(pairs, outcome) if worked}
                if healed == set(members):
                    cured += probability * math.prod(
                        chance[pair] if worked else 1 - chance[pair] for pair, worked in zip(pairs, outcome)
                    )
        assert step.success == pytest.approx((cured - cured_before) / (1 - cured_before), abs=2e-3)
        cured_before = cured


def test_a_textbook_case_by_number() -> None:
    """One test, two hypotheses: Bayes by hand. Prior odds 10:1, likelihoods 0.1 against 0.9 give 10/19 and 9/19."""
    observation = Observation(
        "test", "course", T, (State("negative", T, 0.5), State("positive", T, 0.5)), normal="negative"
    )
    causes = {
        "a": Cause("a", T, T, 0.2, (Shows("test", "positive", 0.1), Shows("test", "negative", 0.9)), fault=False),
        "b": Cause("b", T, T, 0.02, (Shows("test", "positive", 0.9), Shows("test", "negative", 0.1)), fault=False),
    }
    kb = KnowledgeBase(causes, {"test": observation}, {}, {}, {}, {})
    belief = Belief(build_tables(kb), [Evidence("test", "positive", "log", trust=1.0)], calibration=1.0)
    a, b, none = (belief.marginals[c] for c in ("a", "b", NONE_OF_THESE))
    assert a / b == pytest.approx(0.2 * 0.1 / (0.02 * 0.9))
    assert none / a == pytest.approx(0.02 * 0.5 / (0.2 * 0.1))
    assert a + b + none == pytest.approx(1.0)
