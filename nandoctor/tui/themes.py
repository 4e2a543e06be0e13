"""Three themes: dark, light, and no colour at all. Colours stand here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

from textual.theme import Theme

DARK = "nandoctor-dark"
LIGHT = "nandoctor-light"
PLAIN = "nandoctor-no-colour"

# Variables of our own: quiet (secondary text), place (file:line), owner (what the owner typed), bar (belief bars).
FALLBACK = {"quiet": "#8b949e", "place": "#7aa6c2", "owner": "#9ecbff", "bar": "#6c8ebf"}

# Textual's own roles of colours, and a line each of what they are in a theme.
_ROLES = (
    "primary", "secondary", "accent", "foreground", "background", "surface", "panel", "success", "warning", "error",
)  # fmt: skip
_ON_DARK = (
    "#7aa6c2", "#6c8ebf", "#9ecbff", "#d5d9de", "#15181c", "#15181c", "#1c2127", "#7fb785", "#d6b25e", "#d9796f",
)  # fmt: skip
_ON_LIGHT = (
    "#2f5f82", "#3d6296", "#1f4e79", "#24292f", "#fbfbf8", "#fbfbf8", "#f0f0ec", "#2e7037", "#8a6000", "#a8322a",
)  # fmt: skip
_NONE = "ansi_default"


def _theme(name: str, colours: Sequence[str], variables: dict[str, str], *, dark: bool) -> Theme:
    return Theme(name=name, **dict(zip(_ROLES, colours, strict=True)), variables=variables, dark=dark)  # type: ignore[arg-type]


THEMES = (
    _theme(DARK, _ON_DARK, {**FALLBACK, "border": "#30363d"}, dark=True),
    _theme(
        LIGHT,
        _ON_LIGHT,
        {"quiet": "#656d76", "place": "#2f5f82", "owner": "#1f4e79", "bar": "#5b7fae", "border": "#c9cdd2"},
        dark=False,
    ),
    Theme(
        name=PLAIN,
        **dict.fromkeys((*_ROLES, "boost"), _NONE),  # type: ignore[arg-type]
        dark=True,
        ansi=True,
        variables={
            **dict.fromkeys((*FALLBACK, "border"), _NONE),
            "ansi-background": "ansi_black",
            "ansi-foreground": "ansi_white",
            "border-blurred": _NONE,
            "scrollbar": _NONE,
            "scrollbar-hover": _NONE,
            "scrollbar-active": _NONE,
            "scrollbar-background": _NONE,
            "scrollbar-background-hover": _NONE,
            "scrollbar-background-active": _NONE,
            "input-cursor-text-style": "reverse",
            "input-selection-background": _NONE,
            "block-cursor-background": _NONE,
            "block-cursor-text-style": "reverse",
        },
    ),
)
