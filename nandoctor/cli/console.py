"""What a command says and where: standard output, standard error, a file; how wide, in which language."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nandoctor.errors import UnreadableError
from nandoctor.source import printable


def tell(text: str) -> None:
    """A line beside the result, on standard error."""
    print(f"nandoctor: {text}", file=sys.stderr)


def write(text: str, output: str | None = None) -> None:
    """The result: to standard output, or to a file.

    Raises:
        UnreadableError: the file cannot be written.
    """
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


def width() -> int:
    """Columns for text: the terminal's within reason."""
    import shutil

    return max(60, min(shutil.get_terminal_size((96, 24)).columns, 140))


def locale_language() -> str:
    """zh or ko where the locale says so, else en."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return value[:2] if value[:2] in ("zh", "ko") else "en"
    return "en"
