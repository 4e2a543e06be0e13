"""Measured figures in documents: a Markdown table, and the block of a document that a benchmark writes anew."""

from collections.abc import Sequence
from pathlib import Path

from nandoctor.evaluation import Interval


def rows(head: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    text = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in text) + "\n"


def percent(figure: Interval) -> str:
    """`94 % (90 to 97)`: a share with its 95 % interval."""
    return f"{100 * figure.share:.1f} % ({100 * figure.low:.0f} to {100 * figure.high:.0f})"


def place(document: Path, block: str, text: str) -> None:
    """Puts `text` between the lines `<!-- BLOCK -->` and `<!-- end of BLOCK -->` of a document.

    Raises:
        SystemExit: the document has no such block.
    """
    start, end = f"<!-- {block} -->\n", f"<!-- end of {block} -->"
    old = document.read_text("utf-8")
    head, found, rest = old.partition(start)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{document}: no block {start.strip()} ... {end}")
    document.write_text(head + start + "\n" + text.rstrip("\n") + "\n\n" + end + tail, "utf-8")
