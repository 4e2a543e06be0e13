"""The commands as click knows them: the tools beside the report, and the report itself for lines that `options` leaves.

Click explains mistakes with the nearest known name, lays out help and answers the shell's completion.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from nandoctor.cli.console import locale_language, width, write
from nandoctor.cli.options import COMMANDS, KNOWLEDGE, LANGUAGE, REPORT, Option, Options
from nandoctor.errors import ExitCode, UnreadableError, UsageError
from nandoctor.source import printable

if TYPE_CHECKING:
    from nandoctor.kb.model import KnowledgeBase

Command = TypeVar("Command", bound=Callable[..., Any])
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
EPILOG = (
    "Commands: nandoctor explain ID · kb check|test|graph|schema|new · evaluate CASES_DIR · replay FILE · "
    "watch LOG · probe --net F. Each has its own --help. Exit codes: 0 nothing is wrong, 1 a fault was diagnosed, "
    "2 wrong usage, 3 an input could not be read, 4 not enough evidence."
)


def run(arguments: Sequence[str]) -> int:
    """Runs one line; the exit code. Wrong usage is explained on standard error.

    Raises:
        NandoctorError: what was given cannot be used.
        SystemExit: a command ended with its own code.
    """
    command = group if arguments and arguments[0] in COMMANDS else report
    try:
        command.main(list(arguments), prog_name="nandoctor", standalone_mode=False)
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.Abort:
        return ExitCode.INTERRUPTED
    except click.ClickException as exc:
        exc.show()
        return ExitCode.USAGE
    return ExitCode.FINE


def _decorator(option: Option) -> Callable[[Command], Command]:
    """Click's form of an option of the table."""
    names = (*option.names, option.field)
    default = next(f.default for f in msgspec.structs.fields(Options) if f.name == option.field)
    if option.is_flag:
        return click.option(*names, is_flag=True, help=option.help)
    return click.option(
        *names,
        type=click.Choice(option.choices) if option.choices else str,
        metavar=option.metavar or None,
        multiple=option.many,
        default=default,
        show_default=option.show_default,
        help=option.help,
    )


def _report_options(function: Command) -> Command:
    for option in reversed(REPORT):
        function = _decorator(option)(function)
    return function


language = _decorator(LANGUAGE)
overlays = _decorator(KNOWLEDGE)


@click.command("report", context_settings=SETTINGS, epilog=EPILOG)
@click.argument("run_dir", required=False)
@_report_options
@click.version_option(package_name="nandoctor")
def report(**values: Any) -> None:
    """Find out what broke a training run.

    Without arguments: a consultation in the terminal. With a log, a net, a solver or the folder of a run: a report.
    """
    from nandoctor.cli import report as action

    sys.exit(action.report(Options(**values)))


def _knowledge(folders: Sequence[str]) -> KnowledgeBase:
    from nandoctor.kb.load import load_knowledge

    return load_knowledge(folders)


@click.group(context_settings=SETTINGS)
def group() -> None:
    """The tools beside the report."""


@group.command()
@click.argument("entity")
@language
@overlays
def explain(entity: str, lang: str | None, overlays: Sequence[str]) -> None:
    """Explain one cause, observation, remedy, check or dialect."""
    from nandoctor.render.explain import explain as render_explanation

    write(render_explanation(_knowledge(overlays), entity, lang or locale_language(), width=width()))


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
    write(text)
    sys.exit(ExitCode.FAULT if failed else ExitCode.FINE)


@kb.command("sensitivity")
@overlays
def kb_sensitivity(overlays: Sequence[str]) -> None:
    """Which words of frequency, moved one step, change the outcome of an embedded case."""
    from nandoctor.authoring import sensitivity_table

    write(sensitivity_table(_knowledge(overlays)))


@kb.command("graph")
@click.option("--format", "form", type=click.Choice(["mermaid", "dot"]), default="mermaid", show_default=True)
@click.option("--around", default="", metavar="ID", help="Only this entity and its neighbours.")
@language
@overlays
def kb_graph(form: str, around: str, lang: str | None, overlays: Sequence[str]) -> None:
    """The decision graph: observation, cause, remedy, experiment."""
    from nandoctor.kb.graph import graph

    write(graph(_knowledge(overlays), around=around, form=form, lang=lang or "en"))


@kb.command("schema")
@click.option("--write", "folder", metavar="DIR", help="Write one JSON Schema per kind into this folder.")
def kb_schema(folder: str | None) -> None:
    """The JSON Schemas of the knowledge files, for editors."""
    from nandoctor.kb.schema import schema_text, write_schemas

    if folder:
        write_schemas(Path(folder))
    else:
        write(schema_text())


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
    write(table(results, form, misses))


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
        lambda consultation: text.render(consultation.diagnosis, base, lang=lang, width=width()),
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
    write(command(lang=lang or locale_language(), kb=_knowledge(overlays), **options))
