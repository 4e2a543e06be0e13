"""The command line: picks report, consultation or a tool for authors. The only package that ends the process.

A plain line of options is read by `options.read`; help, mistakes and the other commands are click's (`commands`), whose
import would cost a report a tenth of its time. Nothing heavy is imported here: `run` tunes the collector first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

# Click's own name for the variable by which a shell asks for completions.
COMPLETION = "_NANDOCTOR_COMPLETE"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point: runs a command, prints what went wrong, exits with the code of the contract."""
    from nandoctor.cli.console import tell
    from nandoctor.errors import ExitCode, KnowledgeError, NandoctorError

    try:
        sys.exit(_run(list(sys.argv[1:] if arguments is None else arguments)))
    except (EOFError, KeyboardInterrupt):
        print(file=sys.stderr)  # ends the line of the terminal's ^C
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        sys.exit(ExitCode.FAULT)
    except KnowledgeError as exc:
        for problem in exc.problems or (exc,):
            tell(str(problem))
        sys.exit(exc.exit_code)
    except NandoctorError as exc:
        tell(str(exc))
        sys.exit(exc.exit_code)


def _run(arguments: list[str]) -> int:
    from nandoctor.cli import options

    plain = None if COMPLETION in os.environ else options.read(arguments)
    if plain is None:
        from nandoctor.cli import commands

        return commands.run(arguments)
    from nandoctor.cli.report import report

    return report(plain)


def run() -> NoReturn:
    """`main` for a process of its own: the collector seldom runs, nothing is torn down piece by piece at the end."""
    import gc

    gc.set_threshold(200_000, 50, 50)  # a report makes much and drops little; 30 ms of 200
    code: object = 0
    try:
        main()
    except SystemExit as exc:
        code = exc.code
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (BrokenPipeError, ValueError):
        pass
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)
