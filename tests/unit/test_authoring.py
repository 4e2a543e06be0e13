"""The instruments of authors, on small knowledge bases that are right or wrong in a known way."""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
import pytest

from nandoctor import authoring
from nandoctor.authoring import cases, samples, sensitivity, separability, templates
from nandoctor.errors import UsageError
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import Cause, Expectation, KnowledgeBase, Observation, RemedyUse, Shows, State, Text
from nandoctor.kb.shelf import read_shelf

T = Text("text")
REAL = load_knowledge(cache=False)


def two_causes(*cases_of_first: Expectation, first: float = 0.9, second: float = 0.1) -> KnowledgeBase:
    """`one` shows o1 and o2, `two` hardly; both equally common. `never-seen` differs from `two` in nothing."""

    def observation(name: str) -> Observation:
        states = (State("yes", T, 0.3), State("no", T, 0.7))
        return Observation(name, "course", T, states, "no", question=T, answerable=0.9)

    def cause(name: str, chance: float, remedy: str, own: tuple[Expectation, ...] = ()) -> Cause:
        shows = tuple(Shows(o, "yes", chance) for o in ("o1", "o2"))
        return Cause(name, T, T, 0.1, shows, (RemedyUse(remedy),), cases=own)

    return KnowledgeBase(
        causes={"one": cause("one", first, "r1", cases_of_first), "two": cause("two", second, "r2")},
        observations={name: observation(name) for name in ("o1", "o2")},
        remedies={},
        dialects={},
        checks={},
        messages=REAL.messages,
    )


BOTH = {"o1": "yes", "o2": "yes"}


@pytest.mark.parametrize(
    ("expect", "observations", "passes"),
    [
        ("first", BOTH, True),
        ("first", {"o1": "no", "o2": "no"}, False),
        ("top3", {"o1": "no", "o2": "no"}, True),
        ("not first", {"o1": "no", "o2": "no"}, True),
        ("not first", BOTH, False),
        ("below 5 %", {"o1": "no", "o2": "no"}, True),
        ("below 5 %", {}, False),
        ("below 5 %", BOTH, False),
    ],
)
def test_expectations(expect: str, observations: dict[str, str], passes: bool) -> None:
    case = Expectation("a case", observations, expect=expect)  # type: ignore[arg-type]
    result = cases.run_case(two_causes(case), "one", 1, case)
    assert result.passed is passes
    assert (result.missing > 0) is not passes


def test_a_failure_tells_what_would_have_been_needed() -> None:
    case = Expectation("wrong", {"o1": "no", "o2": "no"})
    kb = two_causes(case)
    report = cases.run_tests(kb, owners=0)
    failed = report.cases[0]
    assert not report.passed
    assert failed.top[0][0] == "two"
    odds = {name: p / (1 - p) for name, p in failed.top}
    assert failed.missing == pytest.approx(10 * math.log10(odds["two"] / odds["one"]), abs=0.06)
    assert {w.observation for w in failed.obstacles} == {"o1", "o2"}
    assert all(w.decibans < 0 for w in failed.obstacles)
    text = cases.report_text(report, kb)
    assert "one, case 1 (wrong): failed" in text
    assert f"it lacks {failed.missing:.1f} decibans" in text
    assert "0 of 1 embedded cases passed" in text
    data = json.loads(report.to_json())
    assert data["passed"] is False
    assert data["cases"][0]["obstacles"][0]["observation"] == "o1"


def test_an_unknown_id_in_a_case_is_a_failure_not_a_traceback() -> None:
    case = Expectation("odd", {"o3": "yes"})
    result = cases.run_case(two_causes(case), "one", 1, case)
    assert not result.passed
    assert "unknown observation `o3`" in result.error


def test_reports_in_three_languages() -> None:
    case = Expectation("wrong", {"o1": "no", "o2": "no"})
    kb = two_causes(case)
    report = cases.run_tests(kb)
    texts = {cases.report_text(report, kb, lang) for lang in ("en", "zh", "ko")}
    assert len(texts) == 3
    assert not any("authoring." in text for text in texts)


def test_simulated_owners_are_the_same_every_time_and_find_a_broken_base() -> None:
    sound = cases.run_tests(two_causes(Expectation("fine", BOTH)))
    assert sound == cases.run_tests(two_causes(Expectation("fine", BOTH)))
    assert sound.passed
    assert all(item.among_three == 1.0 for item in sound.owners)
    mute = REAL.causes | {"mute": Cause("mute", T, T, 0.001, (Shows("lr_size", "usual", 0.75),), (RemedyUse("x"),))}
    broken = cases.run_tests(msgspec.structs.replace(REAL, causes=mute), ["mute"])
    assert not broken.passed
    assert broken.owners[0].among_three < cases.RECOGNISED


def test_only_the_causes_asked_for() -> None:
    report = cases.run_tests(REAL, ["healthy"], owners=2)
    assert {case.cause for case in report.cases} == {"healthy"}
    with pytest.raises(UsageError, match="did you mean `healthy`"):
        cases.run_tests(REAL, ["helthy"])


# --- separability


def test_pairs_that_nothing_tells_apart() -> None:
    kb = two_causes(first=0.35, second=0.25)
    found = list(separability.separations(kb.causes, kb.observations))
    assert [(s.first, s.second) for s in found] == [("one", "two")]
    assert found[0].log_ratio == pytest.approx(math.log(0.35 / 0.25))
    apart = next(iter(separability.separations(two_causes().causes, kb.observations)))
    assert apart.log_ratio == pytest.approx(math.log(9))


def test_the_same_first_remedy_needs_no_question() -> None:
    kb = two_causes(first=0.3, second=0.3)
    same = {name: msgspec.structs.replace(cause, remedies=(RemedyUse("r1"),)) for name, cause in kb.causes.items()}
    assert not list(separability.separations(same, kb.observations))


# --- sensitivity


def test_steps_of_words_and_numbers() -> None:
    assert sensitivity.steps(0.7) == [0.4, 0.9]
    assert sensitivity.steps(0.9) == [0.7]
    assert sensitivity.steps(0.005) == [0.1]
    low, high = sensitivity.steps(0.62)
    assert 0.3 < low < 0.4
    assert 0.8 < high < 0.9


def test_every_flip_is_found_and_is_one() -> None:
    """Against trying every step of every link, without the short cut by margins."""
    case = Expectation("close", {"o1": "yes", "o2": "no"})
    kb = two_causes(case, first=0.55, second=0.45)
    found = {(f.cause, f.observation, f.moved) for f in sensitivity.sensitivity(kb)}
    expected = set()
    held = cases.run_case(kb, "one", 1, case).passed
    for cause in kb.causes.values():
        for number, link in enumerate(cause.shows):
            for moved in sensitivity.steps(link.probability):
                shows = list(cause.shows)
                shows[number] = Shows(link.observation, link.state, moved)
                changed = kb.causes | {cause.id: msgspec.structs.replace(cause, shows=tuple(shows))}
                other = msgspec.structs.replace(kb, causes=changed)
                if cases.run_case(other, "one", 1, case).passed != held:
                    expected.add((cause.id, link.observation, moved))
    assert expected
    assert found == expected
    assert "| one 1: close |" in authoring.sensitivity_table(kb)


# --- samples


def codes(folder: Path) -> list[str]:
    return [str(p).replace(f"{folder}/", "") for p in samples.sample_problems(read_shelf([folder])[0])]


DIALECT = r"""
id: toy
title: Toy
framework: pytorch
lines:
  - {id: step, needs: 'toy', regex: '^toy (?P<step>\d+) loss (?P<loss>{num})$', roles: {loss: loss}}
events:
  - {id: bang, needs: 'bang', regex: '^bang at (?P<place>\w+)$'}
samples:
  - {line: toy 3 loss 1.5, reads: {step: 3, loss: 1.5}}
  - {line: bang at home, event: bang}
  - {line: toys 3 loss 1.5, match: false}
"""


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("", "", ""),
        ("loss: 1.5}}\n  - {line: bang", "loss: 2.5}}\n  - {line: bang", "10:5: KB053 `loss` is read as 1.5, not 2.5"),
        ("'^toy (?P<step>", "'^toy ((?P<step>", "6:37: KB050 not a regular expression"),
        ("{num})$'", "(?:{num} ?)+)$'", "6:37: KB051"),
        ("roles: {loss: loss}", "roles: {loss: lost}", "6:89: KB055 unknown role `lost` (did you mean `loss`?)"),
        ("  - {line: bang at home, event: bang}\n", "", "8:6: KB052 no sample shows the event `bang`"),
        ("toys 3 loss 1.5, match: false", "toy 4 loss 1", "9:1: KB057 no near miss"),
        ("toys 3 loss 1.5", "toy 4 loss 1.5", "12:5: KB053 must not match, but does"),
    ],
)
def test_dialect_samples(tmp_path: Path, old: str, new: str, problem: str) -> None:
    (tmp_path / "dialects").mkdir()
    assert old in DIALECT
    (tmp_path / "dialects/toy.yaml").write_text(DIALECT.replace(old, new, 1) if old else DIALECT)
    found = codes(tmp_path)
    assert problem in "\n".join(found)
    assert bool(found) is bool(problem)


def test_a_sample_that_another_dialect_takes(tmp_path: Path) -> None:
    (tmp_path / "dialects").mkdir()
    (tmp_path / "dialects/toy.yaml").write_text(DIALECT)
    greedy = (
        DIALECT.replace("id: toy", "id: greedy\nweight: 9").replace("toy 3 loss", "toy 5 loss").replace("^bang", "bang")
    )
    (tmp_path / "dialects/greedy.yaml").write_text(greedy)
    assert any("dialects/toy.yaml:10:5: KB054 is taken by greedy" in line for line in codes(tmp_path))


CHECK = """
id: toy-check
severity: warning
on: solver
title: {en: Toy}
message: {en: Toy}
when: {'momentum|gt': 0.99}
samples:
  - {fires: true, solver: 'base_lr: 0.1 momentum: 0.995'}
  - {fires: false, solver: 'base_lr: 0.1 momentum: 0.9'}
"""


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("", "", ""),
        ("0.995", "0.9", "9:5: KB060 must fire on this sample, but does not"),
        ("momentum: 0.9'", "momentum: 0.999'", "10:5: KB060 must not fire on this sample, but does"),
        ("momentum: 0.9'", "momentum: {'", "10:5: KB060 the sample cannot be read"),
        (
            "when: {'momentum|gt': 0.99}",
            "detector: scedule",
            "7:11: KB064 unknown detector `scedule` (did you mean `schedule`?)",
        ),
        ("samples:", "params: {also: precison=fp16}\nsamples:", "8:10: KB010 unknown observation `precison`"),
    ],
)
def test_check_samples(tmp_path: Path, old: str, new: str, problem: str) -> None:
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/toy-check.yaml").write_text(CHECK.replace(old, new, 1) if old else CHECK)
    found = codes(tmp_path)
    assert problem in "\n".join(found)
    assert bool(found) is bool(problem)


# --- templates and the whole


@pytest.mark.parametrize("kind", ["cause", "observation", "remedy"])
def test_a_template_loads_and_says_what_is_missing(tmp_path: Path, kind: str) -> None:
    path = authoring.new_entity(kind, "my-own.thing", tmp_path)
    assert path == tmp_path / templates.FOLDERS[kind] / "my-own.thing.yaml"
    kb = load_knowledge([tmp_path], cache=False)
    assert "my-own.thing" in {"cause": kb.causes, "observation": kb.observations, "remedy": kb.remedies}[kind]
    own = [p for p in authoring.check_all([tmp_path]) if p.location.file == str(path)]
    assert {"KB021", "KB035"} <= {p.code for p in own}
    assert "KB001" not in {p.code for p in own}
    assert path.read_text().count("#") > 5
    with pytest.raises(UsageError, match="there already"):
        authoring.new_entity(kind, "my-own.thing", tmp_path)


def test_a_template_beside_schemas_names_its_schema(tmp_path: Path) -> None:
    (tmp_path / "schema").mkdir()
    path = authoring.new_entity("cause", "x", tmp_path)
    assert path.read_text().startswith(
        "# yaml-language-server: $schema=../schema/cause.json\nid:"
    ) or path.read_text().startswith("# yaml-language-server: $schema=../schema/cause.json\n#")


@pytest.mark.parametrize(("kind", "name"), [("cuase", "x"), ("cause", "Bad Id"), ("cause", "../x"), ("cause", "")])
def test_templates_refuse_what_is_no_name(tmp_path: Path, kind: str, name: str) -> None:
    with pytest.raises(UsageError):
        authoring.new_entity(kind, name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_check_runs_everything_and_can_leave_codes_out(tmp_path: Path) -> None:
    for place, text in (("dialects/toy.yaml", DIALECT), ("checks/toy-check.yaml", CHECK)):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).write_text(text.replace("loss: 1.5}}", "loss: 9}}").replace("0.995", "0.1"))
    found = {p.code for p in authoring.check([tmp_path])}
    assert {"KB053", "KB060", "KB021"} <= found
    assert {p.code for p in authoring.check([tmp_path], ignore={"KB021", "KB053"})} == found - {"KB021", "KB053"}
