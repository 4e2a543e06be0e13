"""A report written to a file in the form its name asks for; and the exit code of a consultation."""

from __future__ import annotations

from pathlib import Path

from nandoctor.consultation import Consultation
from nandoctor.errors import ExitCode, reason
from nandoctor.interview import Interview, SaveReport
from nandoctor.render.words import Words


def report_text(now: Interview, form: str, *, redacted: bool = False) -> str:
    """The report in one of the forms: text, markdown, json, html."""
    diagnosis, kb, lang = now.consultation.diagnosis, now.consultation.kb, now.lang
    if form == "json":
        from nandoctor.render import json as view

        text = view.render(diagnosis, kb, lang=lang)
    elif form == "html":
        from nandoctor.render import html

        text = html.render(diagnosis, kb, lang=lang)
    elif form == "markdown":
        from nandoctor.render import markdown

        text = markdown.render(diagnosis, kb, lang=lang)
    else:
        from nandoctor.render import text as plain_text

        text = plain_text.render(diagnosis, kb, lang=lang)
    if redacted:
        from nandoctor.render.redact import redact

        text = redact(text)
    return text


def write_report(now: Interview, wanted: SaveReport) -> str:
    """Writes the report; "" if that went well, else why not. An existing file is never overwritten."""
    path = Path(wanted.path).expanduser()
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(report_text(now, wanted.form, redacted=wanted.redacted))
    except FileExistsError:
        return Words(now.consultation.kb, now.lang)("say.file-exists")
    except (OSError, ValueError) as exc:
        return reason(exc)
    return ""


def exit_code(consultation: Consultation) -> int:
    """The exit code of the contract; 0 for a consultation in which nothing was said."""
    if not consultation.evidence and not consultation.remedies_tried:
        return ExitCode.FINE
    verdict = consultation.belief.verdict()
    return {"fault": ExitCode.FAULT, "undetermined": ExitCode.UNDETERMINED}.get(verdict, ExitCode.FINE)
