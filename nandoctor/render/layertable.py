"""Per-layer magnitudes as a small table: its cells for any view, and the table of a terminal page."""

from __future__ import annotations

from collections.abc import Sequence

from nandoctor.readers.facts import Run
from nandoctor.render.layers import LayerSummary, Pass
from nandoctor.render.page import Page
from nandoctor.render.plot import unit_word
from nandoctor.render.scale import number, step_text
from nandoctor.render.width import cut, display_width, pad
from nandoctor.render.words import Words
from nandoctor.source import Location, printable

INDENT = 4
NAME_AT_LEAST = 10


def layer_cells(
    found: LayerSummary, run: Run, words: Words, *, bare: bool = False
) -> tuple[list[str], list[list[str]]]:
    """Column names (a pass each, then growth) and the cells of every row; `bare` names a pass by its step alone."""
    over_time = any(row.over_time is not None for row in found.rows)
    growths = [row.over_time if over_time else row.over_depth for row in found.rows]
    header = [_pass_name(p, run, words, bare) for p in found.passes]
    header.append(words("report.growth-time" if over_time else "report.growth-depth"))
    cells = [
        [*("" if v is None else number(v) for v in row.values), "" if g is None else f"×{number(g)}"]
        for row, g in zip(found.rows, growths)
    ]
    return header, cells


def layer_sentence(found: LayerSummary, run: Run, words: Words) -> str:
    """Which layer went bad first, where that stands, and whether its weights were still finite."""
    bad = found.first_bad
    if bad is None:
        return words("report.layers-finite")
    text = words(
        "report.layer-first",
        layer=bad.layer,
        blob=f"{bad.phase}, {bad.blob}",
        value=number(bad.value),
        where=str(Location(run.files[0], bad.line)) if run.files else str(bad.line),
    )
    if found.weights_bad is None:
        return text
    return words.causes([text, words("report.layer-weights-bad" if found.weights_bad else "report.layer-weights-fine")])


def write_layers(sheet: Page, found: LayerSummary, run: Run, words: Words) -> None:
    """Heading, one row a layer, and a sentence about the first bad one."""
    header, cells = layer_cells(found, run, words)
    widths = _widths([header, *cells])
    if sum(widths) + 2 * len(widths) + NAME_AT_LEAST + INDENT > sheet.width:
        header, cells = layer_cells(found, run, words, bare=True)
        widths = _widths([header, *cells])
    name_width = min(
        max(display_width(printable(row.layer)) for row in found.rows),
        max(NAME_AT_LEAST, sheet.width - INDENT - sum(widths) - 2 * len(widths)),
    )
    sheet.heading(words(f"report.layers-{found.phase}"))
    sheet.line((" " * (INDENT + name_width) + _columns(header, widths), "dim"))
    for row, line in zip(found.rows, cells):
        if row.skipped:
            sheet.line((" " * INDENT + "…", "dim"))
        name = pad(cut(printable(row.layer), name_width), name_width)
        sheet.line((" " * INDENT + name + _columns(line, widths), "bold red" if row.bad else ""))
    sheet.text(layer_sentence(found, run, words), INDENT)


def _pass_name(one: Pass, run: Run, words: Words, bare: bool) -> str:
    if one.step is None:
        return str(one.number) if bare else words("report.pass-n", number=one.number)
    return step_text(one.step) if bare else words(unit_word(run) + "-n", step=step_text(one.step))


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(display_width, column)) for column in zip(*lines)]


def _columns(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join("  " + pad(cell, width, right=True) for cell, width in zip(cells, widths))
