"""Three themes: dark, light, and no colour at all. Colours stand here and nowhere else."""

from __future__ import annotations

from textual.theme import Theme

DARK = "nandoctor-dark"
LIGHT = "nandoctor-light"
PLAIN = "nandoctor-no-colour"

# Variables of our own: quiet (secondary text), place (file:line), owner (what the owner typed), bar (belief bars).
FALLBACK = {"quiet": "#8b949e", "place": "#7aa6c2", "owner": "#9ecbff", "bar": "#6c8ebf"}

THEMES = (
    Theme(
        name=DARK,
        primary="#7aa6c2",
        secondary="#6c8ebf",
        accent="#9ecbff",
        foreground="#d5d9de",
        background="#15181c",
        surface="#15181c",
        panel="#1c2127",
        success="#7fb785",
        warning="#d6b25e",
        error="#d9796f",
        dark=True,
        variables={**FALLBACK, "border": "#30363d"},
    ),
    Theme(
        name=LIGHT,
        primary="#2f5f82",
        secondary="#3d6296",
        accent="#1f4e79",
        foreground="#24292f",
        background="#fbfbf8",
        surface="#fbfbf8",
        panel="#f0f0ec",
        success="#2e7037",
        warning="#8a6000",
        error="#a8322a",
        dark=False,
        variables={"quiet": "#656d76", "place": "#2f5f82", "owner": "#1f4e79", "bar": "#5b7fae", "border": "#c9cdd2"},
    ),
    Theme(
        name=PLAIN,
        primary="ansi_default",
        secondary="ansi_default",
        accent="ansi_default",
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        success="ansi_default",
        warning="ansi_default",
        error="ansi_default",
        dark=True,
        ansi=True,
        variables={
            **dict.fromkeys((*FALLBACK, "border"), "ansi_default"),
            "ansi-background": "ansi_black",
            "ansi-foreground": "ansi_white",
            "border-blurred": "ansi_default",
            "scrollbar": "ansi_default",
            "scrollbar-hover": "ansi_default",
            "scrollbar-active": "ansi_default",
            "scrollbar-background": "ansi_default",
            "scrollbar-background-hover": "ansi_default",
            "scrollbar-background-active": "ansi_default",
            "input-cursor-text-style": "reverse",
            "input-selection-background": "ansi_default",
            "block-cursor-background": "ansi_default",
            "block-cursor-text-style": "reverse",
        },
    ),
)
