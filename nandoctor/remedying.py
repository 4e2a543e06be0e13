"""Remedies made concrete: the edit of the owner's own file as a diff, the snippet of their framework."""

from __future__ import annotations

from collections.abc import Sequence

from nandoctor.diagnosis import FileEdit, Step
from nandoctor.errors import NandoctorError
from nandoctor.inference.planning import PlannedStep
from nandoctor.ingest import Ingested
from nandoctor.kb.frameworks import snippet_for
from nandoctor.kb.model import Edit, KnowledgeBase, Remedy
from nandoctor.readers.edits import apply_edits, changed_lines, unified_diff, write_with_backup
from nandoctor.source import Location


def steps(kb: KnowledgeBase, ingested: Ingested, planned: Sequence[PlannedStep], framework: str) -> tuple[Step, ...]:
    """The plan's steps with patch and snippet."""
    out = []
    for step in planned:
        remedy = kb.remedies[step.remedy]
        edits, patch = patch_of(ingested, _edits_of(kb, ingested, remedy))
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


def _edits_of(kb: KnowledgeBase, ingested: Ingested, remedy: Remedy) -> list[Edit]:
    """The edits of the checks that found the very fields this remedy changes; without such findings, its own."""
    found = [
        edit
        for finding in ingested.findings
        if remedy.id in kb.checks[finding.check].remedies
        for edit in ingested.check_edits.get(finding.check, ())
    ]
    return list(dict.fromkeys(found)) or list(remedy.edits)


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
    edits = _edits_of(kb, ingested, kb.remedies[remedy_id])
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
