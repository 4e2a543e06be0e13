"""Findings and the first cause as SARIF 2.1.0, so that code hosts show them at the line, with the fix.

Severities stand on the rule (`defaultConfiguration.level`) and again on the result, because hosts read the one or the
other. Fingerprints leave line numbers out: a finding keeps its identity when the file grows above it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from nandoctor.diagnosis import Diagnosis, FileEdit, Finding, RankedCause
from nandoctor.kb.model import KnowledgeBase
from nandoctor.render.json import safe
from nandoctor.render.verdict import NONE_OF_THESE, first_steps
from nandoctor.render.words import Words, percent
from nandoctor.source import Location

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "nandoctor/v1"
CAUSE_LEVEL = {"very likely": "error", "likely": "warning", "possible": "note", "unlikely": "note"}
RELATED_SHOWN = 8


def render(diagnosis: Diagnosis, kb: KnowledgeBase, lang: str = "en") -> str:
    """The SARIF log as indented JSON with a line end."""
    words = Words(kb, lang)
    rules: dict[str, dict[str, Any]] = {}
    results = [_finding(finding, words, rules) for finding in diagnosis.findings]
    cause = _first_cause(diagnosis)
    if cause:
        results.append(_cause(cause, diagnosis, words, rules))
    order = list(rules)
    seen: dict[str, int] = {}
    for result in results:
        result["ruleIndex"] = order.index(result["ruleId"])
        key = result["partialFingerprints"][FINGERPRINT]
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > 1:  # the same finding twice in one file: told apart by their order
            result["partialFingerprints"][FINGERPRINT] = _digest(key, str(seen[key]))
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "nandoctor", "rules": list(rules.values())}},
                "language": lang,
                "columnKind": "unicodeCodePoints",
                "invocations": [{"executionSuccessful": True}],
                "results": results,
                "properties": {"verdict": diagnosis.verdict},
            }
        ],
    }
    return msgspec.json.format(msgspec.json.encode(safe(log)), indent=2).decode("utf-8") + "\n"


def uri(file: str) -> str:
    """A file's name as URI: relative below the working directory (code hosts need that), else absolute."""
    if file in ("", "-"):
        return "stdin"
    path = file.replace("\\", "/")
    if path[1:3] == ":/":
        return "file:///" + quote(path, safe="/:")
    if path.startswith("/"):
        try:
            path = Path(path).relative_to(Path.cwd()).as_posix()
        except (ValueError, OSError):
            return "file://" + quote(path, errors="replace")
    return quote(path.removeprefix("./"), errors="replace")


# --- the parts


def _first_cause(diagnosis: Diagnosis) -> RankedCause | None:
    if diagnosis.verdict != "fault":
        return None
    ranked = sorted(diagnosis.causes, key=lambda c: -c.probability)
    return next((cause for cause in ranked if cause.id != NONE_OF_THESE), None)


def _finding(finding: Finding, words: Words, rules: dict[str, dict[str, Any]]) -> dict[str, Any]:
    check = words.kb.checks.get(finding.check)
    title = check.title.get(words.lang) if check else finding.check
    level = check.severity if check else finding.severity
    text = words.note(finding.message)
    causes = [words.cause(cause) for cause in finding.causes]
    rules.setdefault(finding.check, _rule(finding.check, title, words.listed(causes) or title, level))
    result = _result(finding.check, finding.severity, text, finding.locations)
    fixes = _fixes(finding.edits, title)
    if fixes:
        result["fixes"] = fixes
    args = sorted(f"{key}={value}" for key, value in finding.message.args.items() if key != "line")
    result["partialFingerprints"] = {FINGERPRINT: _digest(finding.check, _where(finding.locations), *args)}
    return result


def _cause(cause: RankedCause, diagnosis: Diagnosis, words: Words, rules: dict[str, dict[str, Any]]) -> dict[str, Any]:
    known = words.kb.causes.get(cause.id)
    title = words.cause(cause.id)
    rule = f"cause/{cause.id}"
    level = CAUSE_LEVEL[cause.band]
    rules[rule] = _rule(rule, title, known.summary.get(words.lang) if known else title, "error")
    sentence = words("verdict.fault", first=title, band=words.band(cause.band), percent=percent(cause.probability))
    text = " ".join([sentence, *first_steps(diagnosis, words)[:1]])
    places = [place for weighed in cause.support for place in weighed.locations]
    result = _result(rule, level, text, places)
    step = next((s for s in diagnosis.fastest if s.kind == "fix" and not s.tried and cause.id in s.cures), None)
    fixes = _fixes(step.edits, words.remedy(step.id)) if step else []
    if fixes:
        result["fixes"] = fixes
    result["properties"] = {"probability": round(cause.probability, 6), "band": cause.band}
    result["partialFingerprints"] = {FINGERPRINT: _digest(rule, _where(places))}
    return result


def _rule(rule_id: str, title: str, text: str, level: str) -> dict[str, Any]:
    return {
        "id": rule_id,
        "name": "".join(word.capitalize() for word in rule_id.replace("/", "-").replace("_", "-").split("-")),
        "shortDescription": {"text": title},
        "fullDescription": {"text": text},
        "defaultConfiguration": {"level": level},
    }


def _result(rule: str, level: str, text: str, places: Sequence[Location]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": rule,
        "level": level,
        "kind": "fail",
        "message": {"text": text.replace("\u00a0", " ")},
    }
    distinct = list(dict.fromkeys(places))
    if distinct:
        result["locations"] = [_location(distinct[0])]
    if distinct[1:]:
        result["relatedLocations"] = [_location(place) for place in distinct[1 : 1 + RELATED_SHOWN]]
    return result


def _location(place: Location) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri(place.file)}}
    if place.line > 0:
        physical["region"] = {"startLine": place.line, **({"startColumn": place.column} if place.column > 0 else {})}
    return {"physicalLocation": physical}


def _fixes(edits: Sequence[FileEdit], title: str) -> list[dict[str, Any]]:
    by_file: dict[str, list[dict[str, Any]]] = {}
    for edit in edits:
        by_file.setdefault(edit.location.file, []).append(_replacement(edit))
    if not by_file:
        return []
    changes = [
        {"artifactLocation": {"uri": uri(file)}, "replacements": replacements} for file, replacements in by_file.items()
    ]
    return [{"description": {"text": title}, "artifactChanges": changes}]


def _replacement(edit: FileEdit) -> dict[str, Any]:
    """Whole lines: those removed up to their last character, or an empty region where lines are only added."""
    line = max(edit.location.line, 1)
    if not edit.removed:
        region = {"startLine": line, "startColumn": 1, "endLine": line, "endColumn": 1}
        text = "".join(f"{new}\n" for new in edit.added)
    elif not edit.added:
        region = {"startLine": line, "startColumn": 1, "endLine": line + len(edit.removed), "endColumn": 1}
        text = ""
    else:
        last = line + len(edit.removed) - 1
        region = {"startLine": line, "startColumn": 1, "endLine": last, "endColumn": len(edit.removed[-1]) + 1}
        text = "\n".join(edit.added)
    return {"deletedRegion": region, "insertedContent": {"text": text}}


def _where(places: Iterable[Location]) -> str:
    return next((uri(place.file) for place in places), "")


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=16).hexdigest()
