"""Remedies made concrete: the edit of the owner's own file as a diff, the snippet of their framework."""

from __future__ import annotations

from collections.abc import Sequence

from nandoctor.diagnosis import FileEdit, Step
from nandoctor.errors import NandoctorError
from nandoctor.inference.planning import AtHand, PlannedStep
from nandoctor.ingest import Ingested
from nandoctor.kb.frameworks import snippet_for
from nandoctor.kb.model import FREQUENCY, Edit, KnowledgeBase, Remedy
from nandoctor.readers.edits import apply_edits, changed_lines, unified_diff, write_with_backup
from nandoctor.source import Location

OF_DATA = ("transform_param.", "data_param.")  # fields of layers that read data
# How often the remedy of a finding cures its cause: what is wrong outright, and what may be meant.
MENDS = {"error": FREQUENCY["almost always"], "warning": FREQUENCY["often"]}


def at_hand(kb: KnowledgeBase, ingested: Ingested) -> AtHand:
    """What net and solver say about remedies: which of them mend a finding, which change what is in order."""
    mends: dict[tuple[str, str], float] = {}
    found: dict[str, list[Edit]] = {}
    for finding in ingested.findings:
        check = kb.checks[finding.check]
        for remedy in check.remedies:
            found.setdefault(remedy, []).extend(ingested.check_edits.get(finding.check, ()))
            for cause in check.causes:
                pair = remedy, cause
                mends[pair] = max(mends.get(pair, 0.0), MENDS.get(finding.severity, 0.0))
    files = {(e.observation, e.state) for e in ingested.evidence if e.origin in ("net", "solver") and not e.hint}
    clear = {
        remedy
        for check in kb.checks.values()
        if check.clear and (check.observation, check.clear) in files
        for remedy in check.remedies
    }
    in_order = {
        remedy.id
        for remedy in kb.remedies.values()
        if remedy.kind == "fix"
        and remedy.id not in found
        and _corrects(remedy)
        and (remedy.id in clear or _in_force(ingested, remedy))
    }
    by_edits: dict[tuple[Edit, ...], set[str]] = {}
    for name, edits in found.items():
        if edits:
            by_edits.setdefault(tuple(dict.fromkeys(edits)), set()).add(name)
    alike = tuple(frozenset(names) for names in by_edits.values() if len(names) > 1)
    return AtHand(mends, frozenset(in_order), alike)


def _corrects(remedy: Remedy) -> bool:
    """Whether it puts a value right. One that scales a value helps whatever it was; one without edits is advice."""
    return bool(remedy.edits) and all(edit.action in ("set", "remove") for edit in remedy.edits)


def _in_force(ingested: Ingested, remedy: Remedy) -> bool:
    """Whether net and solver are already as the remedy's edits would make them.

    A net without such a layer has nothing to change either; but data may be prepared outside of it.
    """
    for edit in remedy.edits:
        source = ingested.net if edit.file == "net" else ingested.solver
        if source is None or edit.layer == "{check}" or edit.path.startswith(OF_DATA):
            return False
        try:
            if apply_edits(source.document, [edit]) != source.document.text:
                return False
        except NandoctorError:  # a layer it cannot be applied to
            return False
    return True


def steps(
    kb: KnowledgeBase, ingested: Ingested, planned: Sequence[PlannedStep], framework: str, here: AtHand
) -> tuple[Step, ...]:
    """The plan's steps with patch and snippet; `here` is what the files say about remedies."""
    out = []
    for step in planned:
        remedy = kb.remedies[step.remedy]
        edits, patch = patch_of(ingested, _edits_of(kb, ingested, remedy, here))
        used, snippet = snippet_for(remedy, framework)
        out.append(
            Step(
                id=remedy.id,
                kind=remedy.kind,
                cures=step.cures,
                success=step.success,
                minutes=step.minutes,
                masks=step.masks,
                edits=edits,
                patch=patch,
                snippet=snippet,
                snippet_framework=used,
                tells=step.tells,
                framework=framework,
            )
        )
    return tuple(out)


def _edits_of(kb: KnowledgeBase, ingested: Ingested, remedy: Remedy, here: AtHand) -> list[Edit]:
    """The edits of the checks that found the very fields this remedy changes; without such findings, its own.

    None of its own where the files are in order there: then it is advice for another place.
    """
    found = [
        edit
        for finding in ingested.findings
        if remedy.id in kb.checks[finding.check].remedies
        for edit in ingested.check_edits.get(finding.check, ())
    ]
    if found:
        return list(dict.fromkeys(found))
    return [] if remedy.id in here.in_order else list(remedy.edits)


def patch_of(ingested: Ingested, edits: Sequence[Edit]) -> tuple[tuple[FileEdit, ...], str]:
    """The edits applied to the owner's files: changed lines with places, and one unified diff.

    Nothing where the file was not given (a dump inside a log cannot be edited), or where the edit does not fit.
    """
    shown: list[FileEdit] = []
    patches = []
    for name, source, in_log in (
        ("solver", ingested.solver, ingested.solver_in_log),
        ("net", ingested.net, ingested.net_in_log),
    ):
        wanted = [edit for edit in edits if edit.file == name]
        if not wanted or source is None or in_log:
            continue
        old = source.document.text
        try:
            new = apply_edits(source.document, wanted)
        except NandoctorError:
            continue
        if new == old:
            continue
        patches.append(unified_diff(source.file, old, new))
        shown += [
            FileEdit(Location(source.file, change.line), tuple(change.removed), tuple(change.added))
            for change in changed_lines(old, new)
        ]
    return tuple(shown), "".join(patches)


def apply_step(kb: KnowledgeBase, ingested: Ingested, remedy_id: str) -> list[tuple[str, str]]:
    """Makes a remedy's edits in the owner's files; (file, backup) of each.

    Raises:
        UsageError: a file changed since it was read.
    """
    edits = _edits_of(kb, ingested, kb.remedies[remedy_id], at_hand(kb, ingested))
    done = []
    for name, source, in_log in (
        ("solver", ingested.solver, ingested.solver_in_log),
        ("net", ingested.net, ingested.net_in_log),
    ):
        wanted = [edit for edit in edits if edit.file == name]
        if wanted and source is not None and not in_log:
            new = apply_edits(source.document, wanted)
            if new != source.document.text:
                done.append((source.file, str(write_with_backup(source.file, source.document.text, new))))
    return done
