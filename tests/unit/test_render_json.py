import json
import math
from typing import Any

import diagnosis_samples as samples
import jsonschema
import pytest
from msgspec.structs import replace

from nandoctor.diagnosis import RankedCause, Step
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.facts import Run
from nandoctor.render import json as view

LOCATIONS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["file", "line", "column"],
        "properties": {"file": {"type": "string"}, "line": {"type": "integer"}, "column": {"type": "integer"}},
    },
}
NUMBER = {"anyOf": [{"type": "number"}, {"enum": ["nan", "inf", "-inf"]}, {"type": "null"}]}
WEIGHED = {
    "type": "object",
    "required": ["observation", "state", "decibans", "locations"],
    "properties": {"decibans": {"type": "number"}, "locations": LOCATIONS},
}
CAUSE = {
    "type": "object",
    "required": ["id", "title", "probability", "band", "for", "against"],
    "properties": {
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
        "band": {"enum": ["very likely", "likely", "possible", "unlikely"]},
        "for": {"type": "array", "items": WEIGHED},
        "against": {"type": "array", "items": WEIGHED},
    },
}
STEP = {
    "type": "object",
    "required": ["id", "title", "kind", "cures", "success", "minutes", "masks", "patch", "snippet", "verify"],
    "properties": {
        "kind": {"enum": ["fix", "experiment"]},
        "cures": {"type": "array", "items": {"type": "string"}},
        "success": {"type": "number"},
        "minutes": {"type": "number"},
        "masks": {"type": "boolean"},
        "patch": {"type": "string"},
        "snippet": {"type": "string"},
        "verify": {"type": "string"},
    },
}
RUN = {
    "type": "object",
    "required": [
        "files", "dialects", "unrecognised_share", "first_step", "last_step", "first_loss", "last_finite_loss",
        "onset", "first_nonfinite",
    ],
    "properties": {
        "first_loss": NUMBER,
        "last_finite_loss": NUMBER,
        "onset": {
            "anyOf": [
                {"type": "null"},
                {
                    "type": "object",
                    "required": ["step", "line", "quantity"],
                    "properties": {"step": NUMBER, "line": {"type": "integer", "minimum": 1}},
                },
            ]
        },
        "first_nonfinite": {
            "type": "array",
            "items": {"type": "object", "required": ["quantity", "step", "line"]},
        },
    },
}  # fmt: skip
CONTRACT = {
    "type": "object",
    "required": [
        "schema", "verdict", "causes", "plans", "observations", "findings", "runs", "could_not_check", "next_question",
    ],
    "properties": {
        "schema": {"const": 1},
        "verdict": {"enum": ["fault", "healthy", "benign", "undetermined"]},
        "causes": {"type": "array", "items": CAUSE},
        "plans": {
            "type": "object",
            "required": ["fastest", "diagnostic"],
            "additionalProperties": {"type": "array", "items": STEP},
        },
        "observations": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "state", "sources"],
                "properties": {
                    "sources": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["origin", "locations"],
                            "properties": {
                                "origin": {"enum": ["log", "net", "solver", "answer", "description", "tried"]},
                                "locations": LOCATIONS,
                            },
                        },
                    }
                },
            },
        },
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["check", "severity", "message", "locations", "fix"],
                "properties": {"severity": {"enum": ["error", "warning", "note"]}, "locations": LOCATIONS},
            },
        },
        "runs": {"type": "array", "items": RUN},
        "could_not_check": {
            "type": "array",
            "items": {"type": "object", "required": ["observation", "because", "how"]},
        },
        "next_question": {
            "anyOf": [{"type": "null"}, {"type": "object", "required": ["id", "text", "choices"]}],
        },
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    return samples.knowledge()


def strict(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"bare {name}")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("name", sorted(samples.ALL))
@pytest.mark.parametrize("lang", ["en", "zh", "ko"])
def test_contract(name: str, lang: str, kb: KnowledgeBase) -> None:
    data = strict(view.render(samples.ALL[name](), kb, lang))
    jsonschema.validate(data, CONTRACT)


def test_every_cause_is_there_best_first(kb: KnowledgeBase) -> None:
    diagnosis = samples.exploding()
    data = strict(view.render(replace(diagnosis, causes=diagnosis.causes[::-1]), kb))
    assert [c["id"] for c in data["causes"]] == [c.id for c in diagnosis.causes]
    assert "none-of-these" in [c["id"] for c in data["causes"]]
    assert data["causes"][0]["for"][0]["locations"][0] == {"file": "train.log", "line": 396, "column": 0}


def test_onset_and_first_nonfinite(kb: KnowledgeBase) -> None:
    run = strict(view.render(samples.exploding(), kb))["runs"][0]
    assert run["onset"] == {"step": 150, "line": 412, "quantity": "loss"}
    assert run["first_loss"] == 2.3026
    assert run["last_finite_loss"] == pytest.approx(2.4 * 3.1**8)
    hidden = strict(view.render(samples.hidden(), kb))["runs"][0]
    assert hidden["onset"] is None
    assert hidden["first_nonfinite"] == [{"quantity": "grad_norm", "step": 40, "line": 7}]


def test_non_finite_numbers_are_words(kb: KnowledgeBase) -> None:
    run = Run(("a.log",), {}, series=(samples.series("loss", "loss", [math.inf, math.nan]),))
    odd = replace(
        samples.exploding(),
        runs=(run,),
        fastest=(Step("x", "fix", (), math.nan, math.inf),),
        causes=(RankedCause("y", -math.inf, "unlikely"),),
    )
    data = strict(view.render(odd, kb))
    assert data["runs"][0]["first_loss"] == "inf"
    assert data["runs"][0]["last_finite_loss"] is None
    assert data["plans"]["fastest"][0]["minutes"] == "inf"
    assert data["causes"][0]["probability"] == "-inf"


def test_sources_of_one_observation_are_together(kb: KnowledgeBase) -> None:
    base = samples.exploding()
    twice = replace(
        base, observations=(*base.observations, replace(base.observations[0], origin="answer", locations=()))
    )
    entry = strict(view.render(twice, kb))["observations"][0]
    assert [s["origin"] for s in entry["sources"]] == ["log", "answer"]


def test_question_offers_the_states(kb: KnowledgeBase) -> None:
    question = strict(view.render(samples.exploding(), kb, "zh"))["next_question"]
    assert question["choices"] == ["fp32", "fp16", "bf16"]
    assert question["text"] == "训练使用哪种数值精度？"


def test_patch_and_snippet_are_exact(kb: KnowledgeBase) -> None:
    step = strict(view.render(samples.exploding(), kb))["plans"]["fastest"][0]
    assert step["patch"] == samples.LR_PATCH
    assert strict(view.render(samples.hidden(), kb))["plans"]["fastest"][0]["snippet"] == samples.HF_SNIPPET


def test_undecodable_file_names_do_not_break_it(kb: KnowledgeBase) -> None:
    base = samples.exploding()
    odd = replace(base, runs=(replace(base.runs[0], files=("a\udcff.log",)),), notes=("b\udcff",))
    assert strict(view.render(odd, kb))["notes"] == ["b"]  # as everywhere where names are shown


def test_same_diagnosis_same_bytes(kb: KnowledgeBase) -> None:
    assert view.render(samples.two_faults(), kb) == view.render(samples.two_faults(), samples.knowledge())


def test_overruled_evidence_is_a_contradiction_not_an_observation(kb: KnowledgeBase) -> None:
    base = samples.hidden()
    held = (*base.observations, base.contradictions[0].overruled)
    data = strict(view.render(replace(base, observations=held), kb))
    assert [(o["id"], o["state"]) for o in data["observations"]] == [("precision", "fp16")]
    assert data["contradictions"][0]["overruled"] == {"state": "fp32", "origin": "answer", "locations": []}
