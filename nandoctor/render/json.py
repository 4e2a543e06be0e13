"""The machine-readable report: the contract's fields, never a bare NaN; ids are stable, texts are in one language.

Programs may rely on every field; fields are added, never renamed. `titles` and `texts` follow `language`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from nandoctor.diagnosis import CouldNotCheck, Diagnosis, Evidence, FileEdit, Finding, RankedCause, Step, Weighed
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.facts import Run
from nandoctor.readers.series import first_nonfinite, onset
from nandoctor.render.plot import loss_series
from nandoctor.render.verdict import verdicts
from nandoctor.render.words import Words
from nandoctor.source import Location, printable

SCHEMA = 1


def render(diagnosis: Diagnosis, kb: KnowledgeBase, lang: str = "en") -> str:
    """The report as indented JSON with a line end; strict JSON, UTF-8, no escapes but the compulsory ones."""
    data = safe(report(diagnosis, Words(kb, lang)))
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode("utf-8") + "\n"


def report(diagnosis: Diagnosis, words: Words) -> dict[str, Any]:
    """The report as plain data; numbers may still be non-finite."""
    return {
        "schema": SCHEMA,
        "verdict": diagnosis.verdict,
        "summary": verdicts(diagnosis, words)[0].replace("\u00a0", " "),
        "language": words.lang,
        "framework": diagnosis.framework,
        "causes": [_cause(cause, words) for cause in sorted(diagnosis.causes, key=lambda c: -c.probability)],
        "plans": {
            "fastest": [_step(step, words) for step in diagnosis.fastest],
            "diagnostic": [_step(step, words) for step in diagnosis.diagnostic],
        },
        "observations": _observations(diagnosis, words),
        "findings": [_finding(finding, words) for finding in diagnosis.findings],
        "runs": [_run(run) for run in diagnosis.runs],
        "could_not_check": [_unchecked(item, words) for item in diagnosis.could_not_check],
        "contradictions": [
            {
                "observation": item.observation,
                "kept": {"state": item.kept.state, **_source(item.kept)},
                "overruled": {"state": item.overruled.state, **_source(item.overruled)},
            }
            for item in diagnosis.contradictions
        ],
        "ruled_out": [{"id": cause, **_weighed(weighed, words)} for cause, weighed in diagnosis.ruled_out],
        "what_if": [
            {"observation": observation, "state": state, "first_cause": cause}
            for observation, state, cause in diagnosis.what_if
        ],
        "next_question": _question(diagnosis, words),
        "notes": [words.remark(note) for note in diagnosis.notes],
    }


def safe(value: Any) -> Any:
    """Plain data that strict JSON can hold: "nan", "inf", "-inf" for such numbers, U+FFFD for lone surrogates."""
    if isinstance(value, float):
        if math.isnan(value):
            return "nan"
        if math.isinf(value):
            return "inf" if value > 0 else "-inf"
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {safe(key): safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [safe(item) for item in value]
    return value


def _locations(places: Sequence[Location]) -> list[dict[str, Any]]:
    return [{"file": printable(p.file), "line": p.line, "column": p.column} for p in places]


def _weighed(weighed: Weighed, words: Words) -> dict[str, Any]:
    return {
        "observation": weighed.observation,
        "state": weighed.state,
        "decibans": round(weighed.decibans, 2),
        "locations": _locations(weighed.locations),
        "origin": weighed.origin,
        "text": words.weighed(weighed),
    }


def _cause(cause: RankedCause, words: Words) -> dict[str, Any]:
    return {
        "id": cause.id,
        "title": words.cause(cause.id),
        "probability": round(cause.probability, 6),
        "band": cause.band,
        "for": [_weighed(weighed, words) for weighed in cause.support],
        "against": [_weighed(weighed, words) for weighed in cause.against],
    }


def _edit(edit: FileEdit) -> dict[str, Any]:
    return {"location": _locations((edit.location,))[0], "removed": list(edit.removed), "added": list(edit.added)}


def _step(step: Step, words: Words) -> dict[str, Any]:
    remedy = words.kb.remedies.get(step.id)
    return {
        "id": step.id,
        "title": words.remedy(step.id),
        "kind": step.kind,
        "cures": list(step.cures),
        "success": round(step.success, 6),
        "minutes": step.minutes,
        "masks": step.masks,
        "patch": step.patch,
        "snippet": step.snippet,
        "verify": remedy.verify.get(words.lang) if remedy else "",
        "snippet_framework": step.snippet_framework,
        "steps": list(words.instructions(step)),
        "harm": remedy.harm.get(words.lang) if remedy and remedy.harm else "",
        "edits": [_edit(edit) for edit in step.edits],
        "tells": list(step.tells),
        "tried": step.tried,
    }


def _source(evidence: Evidence) -> dict[str, Any]:
    return {"origin": evidence.origin, "locations": _locations(evidence.locations)}


def _observations(diagnosis: Diagnosis, words: Words) -> list[dict[str, Any]]:
    """One entry per observation with every source that says so; what was overruled stands under `contradictions`."""
    overruled = {(item.observation, item.overruled.state) for item in diagnosis.contradictions}
    grouped: dict[tuple[str, str], list[Evidence]] = {}
    for evidence in diagnosis.observations:
        if (evidence.observation, evidence.state) not in overruled:
            grouped.setdefault((evidence.observation, evidence.state), []).append(evidence)
    return [
        {
            "id": observation,
            "state": state,
            "sources": [
                {**_source(e), "trust": e.trust, "text": words.note(e.note) if e.note else ""} for e in evidence_list
            ],
            "title": words.observation(observation),
        }
        for (observation, state), evidence_list in grouped.items()
    ]


def _finding(finding: Finding, words: Words) -> dict[str, Any]:
    return {
        "check": finding.check,
        "severity": finding.severity,
        "message": words.note(finding.message),
        "locations": _locations(finding.locations),
        "fix": finding.patch or None,
        "causes": list(finding.causes),
    }


def _run(run: Run) -> dict[str, Any]:
    series = loss_series(run)
    finite = series.finite() if series else []
    found = onset(run)
    return {
        "files": [printable(file) for file in run.files],
        "dialects": run.dialects,
        "unrecognised_share": round(run.unrecognised_share, 4),
        "first_step": run.first_step,
        "last_step": run.last_step,
        "first_loss": series.readings[0].value if series and series.readings else None,
        "last_finite_loss": finite[-1].value if finite else None,
        "onset": None
        if found is None
        else {"step": found[1].step, "line": found[1].line, "quantity": printable(found[0].quantity)},
        "first_nonfinite": [
            {"quantity": printable(s.quantity), "step": r.step, "line": r.line} for s, r in first_nonfinite(run)
        ],
        "framework": run.framework,
        "lines": run.lines,
        "ended": run.ended,
    }


def _unchecked(item: CouldNotCheck, words: Words) -> dict[str, Any]:
    return {
        "observation": item.observation,
        "because": words.note(item.because),
        "how": words.note(item.how) if item.how else "",
    }


def _question(diagnosis: Diagnosis, words: Words) -> dict[str, Any] | None:
    question = diagnosis.next_question
    observation = words.kb.observations.get(question.observation) if question else None
    if question is None or observation is None:
        return None
    text = observation.question or observation.title
    return {
        "id": question.observation,
        "text": text.get(words.lang),
        "choices": [state.id for state in observation.states],
        "labels": {state.id: state.label.get(words.lang) for state in observation.states},
        "minutes": question.minutes,
        "gain": round(question.gain, 4),
    }
