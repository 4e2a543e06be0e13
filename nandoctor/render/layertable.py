"""Per-layer magnitudes as a small table of a terminal page."""

from __future__ import annotations

import math
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


class LayerTable:
    """The per-layer magnitudes as a small table: first pass, last clean pass, the pass that went bad."""

    def __init__(self, sheet: Page, words: Words, run: Run) -> None:
        self.sheet = sheet
        self.words = words
        self.run = run

    def write(self, found: LayerSummary) -> None:
        """Heading, one row a layer, and a sentence about the first bad one."""
        words, sheet = self.words, self.sheet
        over_time = any(row.over_time is not None for row in found.rows)
        growths = [row.over_time if over_time else row.over_depth for row in found.rows]
        header = [self._pass_name(p) for p in found.passes]
        header.append(words("report.growth-time" if over_time else "report.growth-depth"))
        table = [
            [*("" if v is None else number(v) for v in row.values), "" if g is None else f"×{number(g)}"]
            for row, g in zip(found.rows, growths)
        ]
        widths = self._widths([header, *table])
        if sum(widths) + 2 * len(widths) + NAME_AT_LEAST + INDENT > sheet.width:  # bare steps say it too
            header[:-1] = ["" if p.step is None else step_text(p.step) for p in found.passes]
            widths = self._widths([header, *table])
        name_width = min(
            max(display_width(printable(row.layer)) for row in found.rows),
            max(NAME_AT_LEAST, sheet.width - INDENT - sum(widths) - 2 * len(widths)),
        )
        sheet.heading(words(f"report.layers-{found.phase}"))
        sheet.line((" " * (INDENT + name_width) + self._columns(header, widths), "dim"))
        for row, line in zip(found.rows, table):
            if row.skipped:
                sheet.line((" " * INDENT + "…", "dim"))
            name = pad(cut(printable(row.layer), name_width), name_width)
            sheet.line((" " * INDENT + name + self._columns(line, widths), "bold red" if row.bad else ""))
        sheet.text(self._sentence(found), INDENT)

    def _widths(self, lines: Sequence[Sequence[str]]) -> list[int]:
        return [max(map(display_width, column)) for column in zip(*lines)]

    def _columns(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        return "".join("  " + pad(cell, width, right=True) for cell, width in zip(cells, widths))

    def _pass_name(self, one: Pass) -> str:
        if one.step is None:
            return self.words("report.pass-n", number=one.number)
        return self.words(unit_word(self.run) + "-n", step=step_text(one.step))

    def _sentence(self, found: LayerSummary) -> str:
        bad = found.first_bad
        if bad is None:
            return self.words("report.layers-finite")
        place = str(Location(self.run.files[0], bad.line)) if self.run.files else str(bad.line)
        text = self.words(
            "report.layer-first",
            layer=bad.layer,
            blob=f"{bad.phase}, {bad.blob}",
            value="NaN" if math.isnan(bad.value) else number(bad.value),
            where=place,
        )
        if found.weights_bad is None:
            return text
        return f"{text}; {self.words('report.layer-weights-bad' if found.weights_bad else 'report.layer-weights-fine')}"
