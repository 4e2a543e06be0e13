"""The command line: picks report, consultation or a tool for authors. The only module that ends the process."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from nandoctor.errors import ExitCode, KnowledgeError, NandoctorError, UnreadableError, UsageError
from nandoctor.source import printable

if TYPE_CHECKING:
    from nandoctor.consultation import Consultation
    from nandoctor.kb.model import KnowledgeBase

COMMANDS = ("explain", "kb", "evaluate", "replay", "watch", "probe")
FORMATS = ("text", "markdown", "json", "html", "sarif")
OUTCOMES = {"helped": True, "yes": True, "no": False, "failed": False}
VERDICT_CODES = {
    "fault": ExitCode.FAULT,
    "healthy": ExitCode.FINE,
    "benign": ExitCode.FINE,
    "undetermined": ExitCode.UNDETERMINED,
}

language = click.option("--lang", type=click.Choice(["en", "zh", "ko"]), help="Language; default: the locale's.")
overlays = click.option(
    "--knowledge",
    "overlays",
    multiple=True,
    metavar="DIR",
    help="A folder of knowledge files laid over the shipped ones.",
)


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Commands: nandoctor explain ID · kb check|test|graph|schema|new · evaluate CASES_DIR · replay FILE · "
    "watch LOG · probe --net F. Each has its own --help. Exit codes: 0 nothing is wrong, 1 a fault was diagnosed, "
    "2 wrong usage, 3 an input could not be read, 4 not enough evidence.",
)
@click.argument("run_dir", required=False)
@click.option(
    "--log", "logs", multiple=True, metavar="FILE", help="Training log or metrics file; `-` is standard input."
)
@click.option("--net", metavar="FILE", default="", help="Caffe's train_val.prototxt.")
@click.option("--solver", metavar="FILE", default="", help="Caffe's solver.prototxt; leads to its net.")
@click.option("--answers", "answers_file", metavar="FILE", help="YAML file of answers, `observation: state` a line.")
@click.option("--answer", "answer_list", multiple=True, metavar="ID=STATE", help="One answer.")
@click.option("--describe", default="", metavar="TEXT", help="What is wrong, in your words (English, Chinese, Korean).")
@click.option(
    "--tried", "tried_list", multiple=True, metavar="REMEDY=helped|no", help="What you tried, and what came of it."
)
@click.option(
    "--input-shape", "shapes", multiple=True, metavar="BLOB=N,C,H,W", help="Shape of an input the net file cannot tell."
)
@click.option("--dialect", default="", metavar="ID", help="Read the log as this dialect.")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="Form of the report."
)
@click.option("--output", metavar="FILE", help="Write the report there.")
@click.option("--patch", "patch_file", metavar="FILE", help="Write the first fix's edits as a diff.")
@click.option(
    "--apply", "apply_now", is_flag=True, help="Make the first fix's edits, keeping a backup beside each file."
)
@click.option("--undo", "undone", metavar="FILE", help="Take back what --apply did to this file.")
@click.option("--details", is_flag=True, help="Every cause, every snippet.")
@click.option("--ascii", "ascii_only", is_flag=True, help="No braille and no box characters.")
@click.option("--redact", "redacted", is_flag=True, help="Leave out paths, users and hosts.")
@click.option("-i", "--interactive", is_flag=True, help="Start the consultation with these files.")
@click.option("--plain", is_flag=True, help="The consultation line by line, for pipes, screen readers, dumb terminals.")
@click.option("--resume", metavar="FILE", help="Continue the consultation of a transcript.")
@click.option("--transcript", metavar="FILE", help="Where to record the consultation.")
@language
@overlays
@click.version_option(package_name="nandoctor")
def report(**options: Any) -> None:
    """Find out what broke a training run.

    Without arguments: a consultation in the terminal. With a log, a net, a solver or the folder of a run: a report.
    """
    lang = options["lang"] or locale_language()
    if options["undone"]:
        from nandoctor.readers.backups import undo

        undo(options["undone"])
        click.echo(f"nandoctor: {printable(options['undone'])} is as it was before --apply", err=True)
        return
    given = any(options[k] for k in ("run_dir", "logs", "net", "solver", "answers_file", "answer_list", "describe"))
    if options["resume"] or options["interactive"] or options["plain"] or not given:
        sys.exit(_consult(options, lang))
    from nandoctor.render.words import Words

    consultation = _open(options)
    diagnosis = consultation.diagnosis
    words = Words(consultation.kb, lang)
    for error in consultation.ingested.errors:
        click.echo(f"nandoctor: {words.error(error)}", err=True)
    for note in consultation.ingested.notes:
        click.echo(f"nandoctor: {words.remark(note)}", err=True)
    if options["patch_file"] or options["apply_now"]:
        _edit_files(consultation, options)
    if consultation.ingested.errors and not consultation.evidence:
        sys.exit(ExitCode.UNREADABLE)
    _write(_render(consultation, options, lang), options["output"])
    sys.exit(ExitCode.UNREADABLE if consultation.ingested.errors else VERDICT_CODES[diagnosis.verdict])


def _open(options: dict[str, Any], **more: Any) -> Consultation:
    from nandoctor.consultation import Consultation

    return Consultation.open(
        run_dir=options["run_dir"] or "",
        log=options["logs"],
        net=options["net"],
        solver=options["solver"],
        answers=_answers(options["answers_file"], options["answer_list"]),
        describe=options["describe"],
        tried=_tried(options["tried_list"]),
        knowledge=options["overlays"],
        dialect=options["dialect"],
        input_shapes=_shapes(options["shapes"]),
        **more,
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


def _render(consultation: Consultation, options: dict[str, Any], lang: str) -> str:
    form = options["form"]
    if form == "json":
        from nandoctor.render import json as view

        text = view.render(consultation.diagnosis, consultation.kb, lang=lang)
    elif form == "text":
        from nandoctor.render import text as text_view

        terminal = sys.stdout.isatty() and not options["output"]
        text = text_view.render(
            consultation.diagnosis,
            consultation.kb,
            lang=lang,
            width=_width() if terminal else 96,
            colour=terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb",
            ascii_only=options["ascii_only"],
            details=options["details"],
        )
    else:
        import importlib

        module = importlib.import_module(f"nandoctor.render.{form}")
        text = module.render(consultation.diagnosis, consultation.kb, lang=lang)
    if options["redacted"]:
        from nandoctor.render.redact import redact

        text = redact(text)
    return text


def _width() -> int:
    import shutil

    return max(60, min(shutil.get_terminal_size((96, 24)).columns, 140))


def _write(text: str, output: str | None) -> None:
    if not text.endswith("\n"):
        text += "\n"
    if output:
        try:
            Path(output).write_text(text, encoding="utf-8")
        except OSError as exc:
            raise UnreadableError(f"{printable(output)}: {exc.strerror}") from None
        return
    stream = sys.stdout
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        stream.buffer.write(text.encode(stream.encoding or "ascii", "replace"))
    except BrokenPipeError:
        # The reader (head, less) has seen enough; the interpreter's own flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _edit_files(consultation: Consultation, options: dict[str, Any]) -> None:
    """Writes the patch of the first fix that edits a file, or makes the edit in place."""
    from nandoctor.remedying import apply_step

    step = next((s for s in consultation.diagnosis.fastest if s.patch), None)
    if step is None:
        click.echo("nandoctor: no fix of the plan edits a file that was given; nothing written", err=True)
        return
    if options["patch_file"]:
        Path(options["patch_file"]).write_text(step.patch, encoding="utf-8", newline="")
        click.echo(f"nandoctor: wrote the edits of `{step.id}` to {printable(options['patch_file'])}", err=True)
    if options["apply_now"]:
        for path, backup in apply_step(consultation.kb, consultation.ingested, step.id):
            click.echo(f"nandoctor: edited {printable(path)}; the old file is {printable(backup)}", err=True)


def _consult(options: dict[str, Any], lang: str) -> int:
    """The consultation: full screen on a terminal, line by line in a pipe or with --plain."""
    from nandoctor.consultation import Inputs
    from nandoctor.interview import begin, resume

    transcript = Path(options["transcript"]) if options["transcript"] else None
    files = {"run_dir": options["run_dir"] or "", "net": options["net"], "solver": options["solver"]}
    if options["resume"]:
        base = _knowledge(options["overlays"])
        start = resume(Path(options["resume"]), base, logs=options["logs"], **files)
        if options["lang"]:  # else it goes on in the language of the last visit
            start = start.having(lang=options["lang"])
    else:
        inputs = Inputs(logs=tuple(options["logs"]), dialect=options["dialect"], **files)
        start = begin(_open({**options, "run_dir": "", "logs": (), "net": "", "solver": ""}), lang, inputs)
    if options["plain"] or not (sys.stdin.isatty() and sys.stdout.isatty()):
        from nandoctor import plain

        return plain.run(start, lang, sys.stdin, sys.stdout, transcript=transcript, ascii_only=options["ascii_only"])
    from nandoctor import tui

    return tui.run(start, lang, transcript=transcript, theme="no-colour" if os.environ.get("NO_COLOR") else "dark")


def _knowledge(folders: Sequence[str]) -> KnowledgeBase:
    from nandoctor.kb.load import load_knowledge

    return load_knowledge(folders)


def locale_language() -> str:
    """zh or ko where the locale says so, else en."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return value[:2] if value[:2] in ("zh", "ko") else "en"
    return "en"


# --- the other commands


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def group() -> None:
    """The tools beside the report."""


@group.command()
@click.argument("entity")
@language
@overlays
def explain(entity: str, lang: str | None, overlays: Sequence[str]) -> None:
    """Explain one cause, observation, remedy, check or dialect."""
    from nandoctor.render.explain import explain as render_explanation

    _write(render_explanation(_knowledge(overlays), entity, lang or locale_language(), width=_width()), None)


@group.group()
def kb() -> None:
    """For people who extend the knowledge."""


@kb.command("check")
@overlays
def kb_check(overlays: Sequence[str]) -> None:
    """Every problem of the knowledge files, as file:line:column: code text."""
    from nandoctor.authoring import check_all

    problems = check_all(overlays)
    for problem in problems:
        click.echo(str(problem))
    count = len(problems)
    click.echo("no problems" if not count else "1 problem" if count == 1 else f"{count} problems")
    sys.exit(ExitCode.FAULT if problems else ExitCode.FINE)


@kb.command("test")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@overlays
def kb_test(form: str, overlays: Sequence[str]) -> None:
    """Run every case embedded in the knowledge files."""
    from nandoctor.authoring import run_embedded

    text, failed = run_embedded(_knowledge(overlays), form)
    _write(text, None)
    sys.exit(ExitCode.FAULT if failed else ExitCode.FINE)


@kb.command("sensitivity")
@overlays
def kb_sensitivity(overlays: Sequence[str]) -> None:
    """Which words of frequency, moved one step, change the outcome of an embedded case."""
    from nandoctor.authoring import sensitivity_table

    _write(sensitivity_table(_knowledge(overlays)), None)


@kb.command("graph")
@click.option("--format", "form", type=click.Choice(["mermaid", "dot"]), default="mermaid", show_default=True)
@click.option("--around", default="", metavar="ID", help="Only this entity and its neighbours.")
@language
@overlays
def kb_graph(form: str, around: str, lang: str | None, overlays: Sequence[str]) -> None:
    """The decision graph: observation, cause, remedy, experiment."""
    from nandoctor.kb.graph import graph

    _write(graph(_knowledge(overlays), around=around, form=form, lang=lang or "en"), None)


@kb.command("schema")
@click.option("--write", "folder", metavar="DIR", help="Write one JSON Schema per kind into this folder.")
def kb_schema(folder: str | None) -> None:
    """The JSON Schemas of the knowledge files, for editors."""
    from nandoctor.kb.schema import schema_text, write_schemas

    if folder:
        write_schemas(Path(folder))
    else:
        _write(schema_text(), None)


@kb.command("new")
@click.argument("kind", type=click.Choice(["cause", "observation", "remedy"]))
@click.argument("entity")
@click.option("--into", "folder", default=".", metavar="DIR", show_default=True, help="The knowledge folder.")
def kb_new(kind: str, entity: str, folder: str) -> None:
    """Write a commented template of a cause, an observation or a remedy."""
    from nandoctor.authoring import new_entity

    click.echo(f"wrote {printable(str(new_entity(kind, entity, Path(folder))))}")


@group.command()
@click.argument("cases_dir", type=click.Path(exists=True, file_okay=False))
@click.option("--files-only", is_flag=True, help="Files alone, no answers.")
@click.option("--words", is_flag=True, help="The owner's description alone.")
@click.option("--with-experiments", is_flag=True, help="Files, answers and the outcomes of all experiments.")
@click.option("--consult", is_flag=True, help="A simulated owner answers what is asked.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--misses", is_flag=True, help="List every case that is not right.")
@overlays
def evaluate(cases_dir: str, form: str, misses: bool, overlays: Sequence[str], **modes: bool) -> None:
    """Accuracy, calibration and questions asked, on labelled cases."""
    from nandoctor.evaluation import evaluate as run_cases
    from nandoctor.evaluation import load_cases, table

    chosen = {"files_only": "files", "words": "words", "with_experiments": "experiments", "consult": "consult"}
    wanted = [mode for option, mode in chosen.items() if modes[option]] or ["all"]
    base = _knowledge(overlays)
    cases = load_cases(Path(cases_dir))
    results = {}
    for mode in wanted:
        with click.progressbar(length=len(cases), label=mode, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            results[mode] = run_cases(cases, base, mode, lambda _: bar.update(1))
    _write(table(results, form, misses), None)


@group.command()
@click.argument("transcript", type=click.Path(dir_okay=False))
@overlays
def replay(transcript: str, overlays: Sequence[str]) -> None:
    """Run a transcript again and show the first difference."""
    from nandoctor.render.transcript import replay as run_again

    difference = run_again(Path(transcript), _knowledge(overlays))
    click.echo(str(difference) if difference else "no difference")
    sys.exit(ExitCode.FAULT if difference else ExitCode.FINE)


@group.command()
@click.argument("log")
@click.option("--net", metavar="FILE", default="", help="Caffe's train_val.prototxt, for the diagnosis.")
@click.option("--solver", metavar="FILE", default="", help="Caffe's solver.prototxt, for the diagnosis.")
@click.option("--exec", "command", metavar="CMD", default="", help="Run this at a warning and at the onset.")
@click.option("--interval", type=click.FloatRange(0.05), default=1.0, show_default=True, help="Seconds between looks.")
@click.option("--idle", type=float, metavar="SECONDS", help="Stop when nothing was written for so long.")
@click.option("--once", is_flag=True, help="Read to the present end and stop.")
@language
@overlays
def watch(log: str, command: str, interval: float, idle: float | None, once: bool, **options: Any) -> None:
    """Follow a log that is being written; warn before the NaN, diagnose at it.

    Ends with 1 at a warning (--once) or at the onset, with 0 when the log stays calm.
    """
    import math

    from nandoctor.render import text
    from nandoctor.watch import Watch, follow

    lang = options["lang"] or locale_language()
    base = _knowledge(options["overlays"])
    watcher = Watch(log, base, lang, options["net"], options["solver"])
    if not Path(log).exists():
        if once:
            raise UnreadableError(f"{printable(log)}: no such file")
        click.echo(base.text("watch:waiting", lang, file=printable(log)), err=True)
    code = follow(
        watcher,
        lambda line: click.echo(printable(line) if "\n" not in line else line),
        lambda consultation: text.render(consultation.diagnosis, base, lang=lang, width=_width()),
        command=command,
        interval=interval,
        idle=math.inf if idle is None else idle,
        once=once,
    )
    sys.exit(code)


@group.command()
@click.option("--net", metavar="FILE", default="", help="Caffe's train_val.prototxt.")
@click.option("--solver", metavar="FILE", default="", help="Its solver.prototxt.")
@click.option("--log", metavar="FILE", default="", help="A log that shows the fault: tells the snapshot to start from.")
@click.option("--layer", "layers", multiple=True, metavar="NAME", help="Watch this layer only; default: all.")
@click.option("--output", "folder", metavar="DIR", default="probe", show_default=True, help="Where to write.")
@click.option("--stop", is_flag=True, help="End the run at the first non-finite number.")
@click.option("--force", is_flag=True, help="Overwrite what an earlier probe wrote.")
@language
@overlays
def probe(lang: str | None, overlays: Sequence[str], **options: Any) -> None:
    """Write instrumented copies of a Caffe net and solver that name the first layer gone non-finite."""
    from nandoctor.caffe_probe import command

    if not options["net"] and not options["solver"]:
        raise UsageError("name the net with --net, or a solver that names it")
    _write(command(lang=lang or locale_language(), kb=_knowledge(overlays), **options), None)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point: runs a command, prints what went wrong, exits with the code of the contract."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    command = group if argv and argv[0] in COMMANDS else report
    try:
        command.main(argv, prog_name="nandoctor", standalone_mode=False)
        sys.exit(ExitCode.FINE)
    except click.exceptions.Exit as exc:
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(ExitCode.INTERRUPTED)
    except click.ClickException as exc:
        exc.show()
        sys.exit(ExitCode.USAGE)
    except KnowledgeError as exc:
        for problem in exc.problems or (exc,):
            click.echo(f"nandoctor: {problem}", err=True)
        sys.exit(exc.exit_code)
    except NandoctorError as exc:
        click.echo(f"nandoctor: {exc}", err=True)
        sys.exit(exc.exit_code)


def run() -> NoReturn:
    """`main` for a process of its own: the collector seldom runs, nothing is torn down piece by piece at the end."""
    import gc

    gc.set_threshold(200_000, 50, 50)  # a report makes much and drops little; 30 ms of 200
    code: object = ExitCode.FINE
    try:
        main()
    except SystemExit as exc:
        code = exc.code
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (BrokenPipeError, ValueError):
        pass
    os._exit(code if isinstance(code, int) else ExitCode.FINE if code is None else ExitCode.FAULT)
