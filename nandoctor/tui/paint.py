"""Pages of plain spans as Textual content. Text of logs is never taken for markup."""

from __future__ import annotations

from textual.content import Content

from nandoctor.render.page import Page, Span, Style

COLOURED: dict[str, str] = {
    "dim": "$quiet",
    "red": "$error",
    "green": "$success",
    "yellow": "$warning",
    "cyan": "$place",
    "bold": "bold",
}
PLAIN: dict[str, str] = {"dim": "dim", "bold": "bold", "yellow": "bold", "red": "bold"}


def style_of(style: Style | str, coloured: bool) -> str:
    """Textual's style for a page's style, with or without colour."""
    table = COLOURED if coloured else PLAIN
    return " ".join(filter(None, (table.get(word, "") for word in style.split())))


def line_content(spans: tuple[Span, ...], coloured: bool) -> Content:
    """One line."""
    return Content.assemble(*((text, style_of(style, coloured)) for text, style in spans))


def page_content(page: Page, coloured: bool) -> Content:
    """A whole page."""
    return Content("\n").join([line_content(spans, coloured) for spans in page.lines])
