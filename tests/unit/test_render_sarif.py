import json
from pathlib import Path
from typing import Any

import diagnosis_samples as samples
import jsonschema
import pytest
from msgspec.structs import replace

from nandoctor.diagnosis import Diagnosis, FileEdit
from nandoctor.kb.model import KnowledgeBase
from nandoctor.render import sarif
from nandoctor.source import Location

SCHEMA = json.loads(Path(__file__).with_name("sarif_schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    return samples.knowledge()


def run_of(diagnosis: Diagnosis, kb: KnowledgeBase, lang: str = "en") -> dict[str, Any]:
    log = json.loads(sarif.render(diagnosis, kb, lang=lang))
    jsonschema.validate(log, SCHEMA)
    return log["runs"][0]  # type: ignore[no-any-return]


def apply_replacement(text: str, replacement: dict[str, Any]) -> str:
    """What a code host does with a replacement: cut the region out, put the text in."""
    region = replacement["deletedRegion"]
    lines = text.split("\n")

    def offset(line: int, column: int) -> int:
        return sum(len(part) + 1 for part in lines[: line - 1]) + column - 1

    start = offset(region["startLine"], region["startColumn"])
    end = offset(region["endLine"], region["endColumn"])
    return text[:start] + replacement["insertedContent"]["text"] + text[end:]


@pytest.mark.parametrize("name", sorted(samples.ALL))
@pytest.mark.parametrize("lang", ["en", "zh", "ko"])
def test_valid_and_consistent(name: str, lang: str, kb: KnowledgeBase) -> None:
    run = run_of(samples.ALL[name](), kb, lang)
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    prints = [result["partialFingerprints"]["nandoctor/v1"] for result in run["results"]]
    assert len(set(prints)) == len(prints)


def test_severity_stands_on_the_rule(kb: KnowledgeBase) -> None:
    rules = {rule["id"]: rule for rule in run_of(samples.two_faults(), kb)["tool"]["driver"]["rules"]}
    levels = {rule: rules[rule]["defaultConfiguration"]["level"] for rule in rules}
    assert levels == {
        "pooling-stride": "error",
        "no-mean-no-scale": "warning",
        "display-coarse": "note",
        "cause/learning-rate-too-high": "error",
    }


def test_findings_point_at_their_line(kb: KnowledgeBase) -> None:
    result = run_of(samples.two_faults(), kb)["results"][0]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "train_val.prototxt"},
        "region": {"startLine": 61},
    }
    assert result["message"]["text"].startswith("Layer pool2 has stride 5")


def test_the_first_cause_is_a_result_at_its_evidence(kb: KnowledgeBase) -> None:
    result = run_of(samples.exploding(), kb)["results"][-1]
    assert result["ruleId"] == "cause/learning-rate-too-high"
    assert result["level"] == "error"
    assert result["message"]["text"].startswith("learning rate too high: very likely (91 %).")
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 396}
    related = [r["physicalLocation"]["artifactLocation"]["uri"] for r in result["relatedLocations"]]
    assert "solver.prototxt" in related


def test_healthy_and_undetermined_name_no_cause(kb: KnowledgeBase) -> None:
    for make in (samples.healthy, samples.benign, samples.undetermined):
        assert run_of(make(), kb)["results"] == []


@pytest.mark.parametrize(
    ("removed", "added", "expected"),
    [
        (("b",), ("B", "b2"), "a\nB\nb2\nc\n"),
        (("b", "c"), ("x",), "a\nx\n"),
        ((), ("new",), "a\nnew\nb\nc\n"),
        (("b",), (), "a\nc\n"),
    ],
)
def test_fixes_do_what_the_edit_says(
    removed: tuple[str, ...], added: tuple[str, ...], expected: str, kb: KnowledgeBase
) -> None:
    base = samples.exploding()
    step = replace(base.fastest[0], edits=(FileEdit(Location("s.prototxt", 2), removed, added),))
    fix = run_of(replace(base, fastest=(step,)), kb)["results"][-1]["fixes"][0]
    assert apply_replacement("a\nb\nc\n", fix["artifactChanges"][0]["replacements"][0]) == expected


def test_fingerprints_survive_moved_lines_but_not_another_file(kb: KnowledgeBase) -> None:
    base = samples.two_faults()

    def prints(*places: Location) -> str:
        moved = replace(base, findings=(replace(base.findings[0], locations=places),))
        return run_of(moved, kb)["results"][0]["partialFingerprints"]["nandoctor/v1"]  # type: ignore[no-any-return]

    assert prints(Location("a.prototxt", 61)) == prints(Location("a.prototxt", 99))
    assert prints(Location("a.prototxt", 61)) != prints(Location("b.prototxt", 61))


def test_equal_findings_are_told_apart(kb: KnowledgeBase) -> None:
    base = samples.two_faults()
    twice = replace(base, findings=(base.findings[0], base.findings[0]))
    results = run_of(twice, kb)["results"][:2]
    assert results[0]["partialFingerprints"] != results[1]["partialFingerprints"]


def test_uris(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert sarif.uri("nets/train val.prototxt") == "nets/train%20val.prototxt"
    assert sarif.uri(str(tmp_path / "a" / "b.log")) == "a/b.log"
    assert sarif.uri("/elsewhere/网.log") == "file:///elsewhere/%E7%BD%91.log"
    assert sarif.uri("C:\\runs\\a.log") == "file:///C:/runs/a.log"
    assert sarif.uri("./x.log") == "x.log"
    assert sarif.uri("-") == "stdin"


def test_a_check_of_an_overlay_without_a_rule_still_shows(kb: KnowledgeBase) -> None:
    base = samples.exploding()
    foreign = replace(base, findings=(replace(base.findings[0], check="my-check"),))
    run = run_of(foreign, kb)
    assert run["tool"]["driver"]["rules"][0]["defaultConfiguration"] == {"level": "warning"}
