"""The report, and the consultation that begins with the same options."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from nandoctor.cli.console import locale_language, tell, width, write
from nandoctor.cli.options import Options
from nandoctor.consultation import Consultation
from nandoctor.errors import ExitCode, UnreadableError, UsageError
from nandoctor.ingest import Inputs
from nandoctor.source import printable

OUTCOMES = {"helped": True, "yes": True, "no": False, "failed": False}
VERDICT_CODES = {
    "fault": ExitCode.FAULT,
    "healthy": ExitCode.FINE,
    "benign": ExitCode.FINE,
    "undetermined": ExitCode.UNDETERMINED,
}


def report(options: Options) -> int:
    """Writes the report on what was given, or starts the consultation; the exit code.

    Raises:
        NandoctorError: what was given cannot be used.
    """
    lang = options.lang or locale_language()
    if options.undone:
        from nandoctor.readers.backups import undo

        undo(options.undone)
        tell(f"{printable(options.undone)} is as it was before --apply")
        return ExitCode.FINE
    given = any((options.run_dir, options.logs, options.net, options.solver, options.answers_file, options.answer_list))
    if options.resume or options.interactive or options.plain or not (given or options.describe):
        return _consult(options, lang)
    consultation = _open(options)
    diagnosis = consultation.diagnosis
    if consultation.ingested.errors or consultation.ingested.notes:
        from nandoctor.render.words import Words

        words = Words(consultation.kb, lang)
        for error in consultation.ingested.errors:
            tell(words.error(error))
        for note in consultation.ingested.notes:
            tell(words.remark(note))
    if options.patch_file or options.apply_now:
        _edit_files(consultation, options)
    if consultation.ingested.errors and not consultation.evidence:
        return ExitCode.UNREADABLE
    write(_render(consultation, options, lang), options.output)
    return ExitCode.UNREADABLE if consultation.ingested.errors else VERDICT_CODES[diagnosis.verdict]


def _open(options: Options) -> Consultation:
    return Consultation.open(
        run_dir=options.run_dir or "",
        log=options.logs,
        net=options.net,
        solver=options.solver,
        answers=_answers(options.answers_file, options.answer_list),
        describe=options.describe,
        tried=_tried(options.tried_list),
        knowledge=options.overlays,
        dialect=options.dialect,
        input_shapes=_shapes(options.shapes),
    )


def _answers(file: str | None, pairs: Sequence[str]) -> dict[str, str]:
    """Answers of a file and of the command line; the latter win."""
    answers: dict[str, str] = {}
    if file:
        from nandoctor.kb.yamlnode import build, compose

        try:
            text = Path(file).read_text(encoding="utf-8")
        except OSError as exc:
            raise UnreadableError(f"{printable(file)}: {exc.strerror}") from None
        except UnicodeDecodeError:
            raise UnreadableError(f"{printable(file)} is not UTF-8 text") from None
        data = build(compose(text, file), file)
        if isinstance(data, dict) and isinstance(data.get("answers"), dict):
            data = data["answers"]
        if not isinstance(data, dict):
            raise UsageError(f"{printable(file)}: expected lines `observation: state`")
        answers = {str(key): str(value) for key, value in data.items()}
    for pair in pairs:
        name, equals, state = pair.partition("=")
        if not equals:
            raise UsageError(f"--answer {printable(pair)}: write it as ID=STATE")
        answers[name.strip()] = state.strip()
    return answers


def _tried(pairs: Sequence[str]) -> dict[str, bool]:
    outcomes = {}
    for pair in pairs:
        name, _, outcome = pair.partition("=")
        if outcome not in OUTCOMES:
            raise UsageError(f"--tried {printable(pair)}: write it as REMEDY=helped or REMEDY=no")
        outcomes[name] = OUTCOMES[outcome]
    return outcomes


def _shapes(pairs: Sequence[str]) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for pair in pairs:
        name, _, sizes = pair.partition("=")
        try:
            shapes[name] = tuple(int(size) for size in sizes.replace("x", ",").split(","))
        except ValueError:
            raise UsageError(f"--input-shape {printable(pair)}: write it as BLOB=N,C,H,W") from None
    return shapes


def _render(consultation: Consultation, options: Options, lang: str) -> str:
    form = options.form
    if form == "json":
        from nandoctor.render import json as view

        text = view.render(consultation.diagnosis, consultation.kb, lang=lang)
    elif form == "text":
        from nandoctor.render import text as text_view

        terminal = sys.stdout.isatty() and not options.output
        text = text_view.render(
            consultation.diagnosis,
            consultation.kb,
            lang=lang,
            width=width() if terminal else 96,
            colour=terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb",
            ascii_only=options.ascii_only,
            details=options.details,
        )
    else:
        import importlib

        module = importlib.import_module(f"nandoctor.render.{form}")
        text = module.render(consultation.diagnosis, consultation.kb, lang=lang)
    if options.redacted:
        from nandoctor.render.redact import redact

        text = redact(text)
    return text


def _edit_files(consultation: Consultation, options: Options) -> None:
    """Writes the patch of the first fix that edits a file, or makes the edit in place."""
    from nandoctor.remedying import apply_step

    step = next((s for s in consultation.diagnosis.fastest if s.patch), None)
    if step is None:
        tell("no fix of the plan edits a file that was given; nothing written")
        return
    if options.patch_file:
        Path(options.patch_file).write_text(step.patch, encoding="utf-8", newline="")
        tell(f"wrote the edits of `{step.id}` to {printable(options.patch_file)}")
    if options.apply_now:
        for path, backup in apply_step(consultation.kb, consultation.ingested, step.id):
            tell(f"edited {printable(path)}; the old file is {printable(backup)}")


def _consult(options: Options, lang: str) -> int:
    """The consultation: full screen on a terminal, line by line in a pipe or with --plain."""
    from nandoctor.interview import begin, resume

    transcript = Path(options.transcript) if options.transcript else None
    run_dir = options.run_dir or ""
    if options.resume:
        from nandoctor.kb.load import load_knowledge

        base = load_knowledge(options.overlays)
        start = resume(
            Path(options.resume), base, run_dir=run_dir, logs=options.logs, net=options.net, solver=options.solver
        )
        if options.lang:  # else it goes on in the language of the last visit
            start = start.having(lang=options.lang)
    else:
        inputs = Inputs(
            run_dir=run_dir, logs=options.logs, net=options.net, solver=options.solver, dialect=options.dialect
        )
        unread = msgspec.structs.replace(options, run_dir=None, logs=(), net="", solver="")
        start = begin(_open(unread), lang, inputs)
    if options.plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
        from nandoctor import plain

        return plain.run(start, lang, sys.stdin, sys.stdout, transcript=transcript, ascii_only=options.ascii_only)
    from nandoctor import tui

    return tui.run(start, lang, transcript=transcript, theme="no-colour" if os.environ.get("NO_COLOR") else "dark")
