"""What must hold of the inference whatever the knowledge says."""

from __future__ import annotations

import itertools
import math

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nandoctor.consultation import Consultation
from nandoctor.diagnosis import Evidence
from nandoctor.inference import explain, inquiry, planning
from nandoctor.inference.belief import Belief
from nandoctor.inference.tables import UNSAID_FLOOR, Tables, build_tables, distribution, joined
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import Cause, KnowledgeBase, Observation, Remedy, RemedyUse, Shows, State, Text

T = Text("text")
probabilities = st.floats(0.01, 0.97)
words = st.sampled_from(("never", "rarely", "sometimes", "often", "almost always"))
# Reproducible in CI; raise `max_examples` and drop `derandomize` to explore.
limits = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60, derandomize=True)


@st.composite
def observations(draw: st.DrawFn, name: str, group: str = "") -> Observation:
    weights = draw(st.lists(st.floats(0.05, 1.0), min_size=2, max_size=4))
    states = tuple(State(f"s{i}", T, w / sum(weights)) for i, w in enumerate(weights))
    kind = draw(st.sampled_from(("setup", "course", "experiment", "clue")))
    normal = draw(st.sampled_from(states)).id
    return Observation(name, kind, T, states, normal, question=T, group=group)


@st.composite
def knowledge(draw: st.DrawFn) -> KnowledgeBase:
    asked = {f"o{i}": draw(observations(f"o{i}")) for i in range(draw(st.integers(2, 5)))}
    links = [(o.id, s.id) for o in asked.values() for s in o.states]
    causes = {}
    for number in range(draw(st.integers(2, 6))):
        chosen = draw(st.lists(st.sampled_from(links), unique=True, max_size=5))
        shows = tuple(Shows(o, s, draw(st.one_of(words, probabilities))) for o, s in chosen)
        uses = draw(st.lists(st.sampled_from(("r0", "r1", "r2", "r3")), unique=True, max_size=3))
        remedies = tuple(RemedyUse(use, draw(words)) for use in uses)
        causes[f"c{number}"] = Cause(f"c{number}", T, T, draw(probabilities), shows, remedies, fault=number > 0)
    fixes = {f"r{i}": Remedy(f"r{i}", "fix", T, (T,), draw(st.floats(1, 60)), T) for i in range(4)}
    return KnowledgeBase(causes, asked, fixes, {}, {}, {})


@st.composite
def readings(draw: st.DrawFn, kb: KnowledgeBase) -> list[Evidence]:
    """Evidence on some observations; at times two sources speak about the same one."""
    found = []
    for observation in kb.observations.values():
        for origin in draw(st.lists(st.sampled_from(("log", "net", "answer", "description")), max_size=2)):
            states = [s.id for s in observation.states]
            trust = draw(st.sampled_from((0.98, 0.9, 0.6)))
            found.append(Evidence(observation.id, draw(st.sampled_from(states)), origin, trust=trust))
    return found


@limits
@given(st.data())
def test_rows_are_distributions_that_keep_what_was_stated(data: st.DataObject) -> None:
    observation = data.draw(observations("o"))
    states = data.draw(st.lists(st.sampled_from([s.id for s in observation.states]), unique=True, min_size=1))
    stated = {state: data.draw(probabilities) for state in states}
    row = dict(zip([s.id for s in observation.states], distribution(observation, stated)))
    assert sum(row.values()) == pytest.approx(1.0)
    assert all(0 < p < 1 for p in row.values())
    if len(stated) < len(row) and sum(stated.values()) <= 1 - UNSAID_FLOOR:
        assert {state: row[state] for state in stated} == pytest.approx(stated)
        silent = [s for s in observation.states if s.id not in stated]
        for one, two in itertools.combinations(silent, 2):
            assert row[one.id] / row[two.id] == pytest.approx(one.background / two.background)


@limits
@given(st.data())
def test_joined_rows(data: st.DataObject) -> None:
    """A distribution, the same either way round; a member that says nothing changes nothing that is lifted."""
    observation = data.draw(observations("o"))
    ids = [s.id for s in observation.states]
    normal = ids.index(observation.normal)
    background = tuple(s.background for s in observation.states)
    first, second = (
        distribution(observation, {data.draw(st.sampled_from(ids)): data.draw(probabilities)}) for _ in "ab"
    )
    both = joined(first, second, background, normal)
    assert sum(both) == pytest.approx(1.0)
    assert all(p >= 0 for p in both)
    assert both == pytest.approx(joined(second, first, background, normal))
    assert both[normal] >= first[normal] * second[normal] - 1e-12
    assert both[normal] <= max(first[normal], second[normal]) + 1e-12
    lifted = [max(p, b) if i != normal else 0.0 for i, (p, b) in enumerate(zip(first, background))]
    if sum(lifted) <= 1 - first[normal] * background[normal]:
        with_silent = joined(first, background, background, normal)
        assert [p for i, p in enumerate(with_silent) if i != normal] == pytest.approx(
            [p for i, p in enumerate(lifted) if i != normal]
        )


@limits
@given(st.data())
def test_marginals_are_probabilities_and_order_does_not_matter(data: st.DataObject) -> None:
    kb = data.draw(knowledge())
    evidence = data.draw(readings(kb))
    tables = build_tables(kb)
    belief = Belief(tables, evidence)
    assert math.fsum(belief.sets) == pytest.approx(1.0)
    assert all(0.0 <= p <= 1.0 + 1e-12 for p in belief.marginals.values())
    other = Belief(tables, data.draw(st.permutations(evidence)))
    assert other.sets == belief.sets
    assert explain.weights(other) == explain.weights(belief)


@limits
@given(st.data())
def test_what_is_unknown_has_no_effect(data: st.DataObject) -> None:
    """No evidence, and evidence that every state explains equally well, leave the belief as it is."""
    kb = data.draw(knowledge())
    tables = build_tables(kb)
    evidence = [e for e in data.draw(readings(kb)) if e.observation != "o0"]
    states = tables.states["o0"]
    flat = Evidence("o0", states[0], "log", likelihoods=dict.fromkeys(states, 0.5))
    strange = Evidence("no-such-observation", "yes", "log")
    before, after = Belief(tables, evidence), Belief(tables, [*evidence, flat, strange])
    assert after.sets == pytest.approx(before.sets)
    nothing = Belief(tables, [], calibration=1.0)
    priors = [math.exp(s.log_prior) for s in tables.sets]
    assert nothing.sets == pytest.approx([p / sum(priors) for p in priors])


@limits
@given(st.data())
def test_the_same_fact_in_three_ways_is_not_surer(data: st.DataObject) -> None:
    kb = data.draw(knowledge())
    fact = kb.observations["o0"]
    copies = {name: _renamed(fact, name) for name in ("o0", "again", "once-more")}
    causes = {
        cause.id: _showing(cause, tuple(_told(link, name) for link in cause.shows for name in _names(link, copies)))
        for cause in kb.causes.values()
    }
    tables = build_tables(KnowledgeBase(causes, kb.observations | copies, kb.remedies, {}, {}, {}))
    state = data.draw(st.sampled_from([s.id for s in fact.states]))
    rest = [e for e in data.draw(readings(kb)) if e.observation not in copies]
    once = Belief(tables, [*rest, Evidence("o0", state, "log")])
    thrice = Belief(tables, [*rest, *(Evidence(name, state, "log") for name in copies)])
    assert thrice.sets == pytest.approx(once.sets, rel=1e-12)


def _renamed(observation: Observation, name: str) -> Observation:
    return Observation(name, observation.kind, T, observation.states, observation.normal, question=T, group="fact")


def _names(link: Shows, copies: dict[str, Observation]) -> tuple[str, ...]:
    return tuple(copies) if link.observation in copies else (link.observation,)


def _told(link: Shows, name: str) -> Shows:
    return Shows(name, link.state, link.how_often, link.because)


def _showing(cause: Cause, shows: tuple[Shows, ...]) -> Cause:
    return Cause(cause.id, T, T, cause.prior, shows, cause.remedies, fault=cause.fault)


@limits
@given(st.data())
def test_information_gain_is_never_negative_and_bounded_by_what_is_open(data: st.DataObject) -> None:
    kb = data.draw(knowledge())
    belief = Belief(build_tables(kb), data.draw(readings(kb)))
    classes = inquiry.remedy_classes(belief, kb)
    mass = [0.0] * (max(classes) + 1)
    for probability, number in zip(belief.sets, classes):
        mass[number] += probability
    for name, observation in kb.observations.items():
        gain = inquiry.information_gain(belief, name, classes)
        assert 0.0 <= gain <= inquiry.entropy(mass) + 1e-6
        assert gain <= math.log2(len(observation.states)) + 1e-6


@limits
@given(st.data())
def test_a_failed_remedy_speaks_against_what_only_it_cures(data: st.DataObject) -> None:
    kb = data.draw(knowledge())
    cured = data.draw(st.sampled_from(sorted(kb.causes)))
    causes = {
        c.id: Cause(c.id, T, T, c.prior, c.shows, (RemedyUse("cure", "often"),) if c.id == cured else (), fault=c.fault)
        for c in kb.causes.values()
    }
    kb = KnowledgeBase(causes, kb.observations, {"cure": Remedy("cure", "fix", T, (T,), 5.0, T)}, {}, {}, {})
    tables = build_tables(kb)
    evidence = data.draw(readings(kb))
    before = Belief(tables, evidence).marginals[cured]
    assume(1e-6 < before < 1 - 1e-6)
    for helped in (True, False):
        outcome = planning.outcome_likelihood(kb, tables.causes, "cure", helped)
        after = Belief(tables, evidence, {"cure": outcome}).marginals[cured]
        assert after > before if helped else after < before


@limits
@given(st.data())
def test_plan_order_is_optimal_for_single_independent_faults(data: st.DataObject) -> None:
    """Against every permutation: expected minutes until cured, or until all was tried (Simon and Kadane 1975)."""
    count = data.draw(st.integers(2, 6))
    priors = [data.draw(st.floats(0.05, 0.5)) for _ in range(count)]
    causes = {
        f"c{i}": Cause(f"c{i}", T, T, p, (), (RemedyUse(f"r{i}", data.draw(words)),)) for i, p in enumerate(priors)
    }
    minutes = {f"r{i}": data.draw(st.floats(1.0, 120.0)) for i in range(count)}
    fixes = {name: Remedy(name, "fix", T, (T,), cost, T) for name, cost in minutes.items()}
    kb = KnowledgeBase(causes, {}, fixes, {}, {}, {})
    belief = Belief(_single(build_tables(kb)), [])
    plan = planning.fix_plan(belief, kb)
    if len(plan) < count:  # steps with next to no chance are left out
        causes = {step.cures[0]: causes[step.cures[0]] for step in plan}
    chance = {c.remedies[0].use: belief.marginals[c.id] * c.remedies[0].probability for c in causes.values()}

    def expected(order: tuple[str, ...]) -> float:
        left, total = 1.0, 0.0
        for remedy in order:
            total += left * minutes[remedy]
            left -= chance[remedy]
        return total

    best = min(expected(order) for order in itertools.permutations(chance))
    assert expected(tuple(step.remedy for step in plan)) == pytest.approx(best)
    left = 1.0
    for step in plan:
        assert step.success == pytest.approx(chance[step.remedy] / left)
        left -= chance[step.remedy]


def _single(tables: Tables) -> Tables:
    return msgspec.structs.replace(tables, sets=tables.sets[: len(tables.causes)], pairs=())


@limits
@given(st.data())
def test_plans_hold_each_remedy_once_and_skip_what_was_tried(data: st.DataObject) -> None:
    kb = data.draw(knowledge())
    belief = Belief(build_tables(kb), data.draw(readings(kb)))
    tried = {"r1": False}
    for plan in planning.plans(belief, kb, tried):
        names = [step.remedy for step in plan]
        assert len(names) == len(set(names))
        assert "r1" not in names
        assert all(0.0 <= step.success <= 1.0 for step in plan)


REAL = load_knowledge(cache=False)


@settings(limits, max_examples=8)
@given(st.data())
def test_a_consultation_does_not_depend_on_the_order_of_its_answers(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(REAL.observations)), unique=True, min_size=1, max_size=12))
    states = {name: data.draw(st.sampled_from([s.id for s in REAL.observations[name].states])) for name in names}
    consultation = Consultation.open(kb=REAL, answers=states)
    other = Consultation.open(kb=REAL)
    for name in data.draw(st.permutations(names)):
        other = other.answer(name, "unknown").answer(name, states[name], asked=False)
    assert other.causes == consultation.causes
    assert other.diagnosis.fastest == consultation.diagnosis.fastest
    assert (
        other.undo(names[0]).causes
        == Consultation.open(
            kb=REAL, answers={name: state for name, state in states.items() if name != names[0]}
        ).causes
    )
