"""Pictures of real consultations for the README and the docs: `python benchmarks/screenshots.py`, then look at them.

Each is a run of `benchmarks/cases/` in the terminal interface, saved as SVG in `docs/images/`, without fonts from the
network.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from nandoctor import interview  # noqa: E402
from nandoctor.consultation import Consultation  # noqa: E402
from nandoctor.kb.load import load_knowledge  # noqa: E402
from nandoctor.kb.model import KnowledgeBase  # noqa: E402
from nandoctor.render.transcript import Recording  # noqa: E402
from nandoctor.tui.app import NandoctorApp  # noqa: E402
from nandoctor.tui.screens.consultation import ConsultationScreen  # noqa: E402
from nandoctor.tui.themes import DARK, LIGHT  # noqa: E402
from nandoctor.tui.widgets.prompt import Prompt  # noqa: E402

OUT = ROOT / "docs" / "images"
FONTS = "'DejaVu Sans Mono', 'Noto Sans Mono CJK SC', Menlo, Consolas, monospace"


class Picture(NamedTuple):
    """What is said, on which run, and how it is shown."""

    name: str
    case: str
    lines: tuple[str, ...]
    lang: str = "en"
    theme: str = DARK
    size: tuple[int, int] = (112, 36)


PICTURES = (
    Picture(
        "question",
        "pt-lossweight-det2",
        ("the loss of my detector grows until everything is nan, train.log", "0", "0", "why"),
    ),
    Picture(
        "plan",
        "raw_lenet_255",
        ("nan after a few iterations, train.log solver.prototxt train_val.prototxt", "plan fastest"),
    ),
    Picture("step", "lr_mlp_disp1", ("train.log solver.prototxt train_val.prototxt", "plan fastest", "1"), theme=LIGHT),
    Picture("narrow", "hf-data-nan-features", ("the loss was falling, then nan, train.log",), size=(80, 24)),
    Picture("zh", "ls_price_targets", ("第一个 loss 就非常大，train.log solver.prototxt train_val.prototxt",), "zh"),
    Picture("ko", "pool_ave_k2s3_h24", ("첫 반복부터 nan입니다. train.log train_val.prototxt",), "ko"),
)


async def take(picture: Picture, kb: KnowledgeBase) -> str:
    """One picture as SVG."""
    os.chdir(ROOT / "benchmarks" / "cases" / picture.case)
    app = NandoctorApp(Recording(interview.begin(Consultation(kb), picture.lang)), theme=picture.theme)
    async with app.run_test(size=picture.size) as pilot:
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, ConsultationScreen)
        screen.query_one(Prompt).cursor_blink = False
        for line in picture.lines:
            await screen.give(line)
            await pilot.pause()
            while screen.reading:
                await pilot.pause(0.02)
        await pilot.pause()
        svg = app.export_screenshot(title="nandoctor")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return re.sub(r"font-family: Fira Code[^;]*;", f"font-family: {FONTS};", svg)


def main() -> None:
    """All pictures."""
    kb = load_knowledge()
    OUT.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        svg = asyncio.run(take(picture, kb))
        (OUT / f"{picture.name}.svg").write_text(svg, encoding="utf-8", newline="\n")
        print(OUT / f"{picture.name}.svg")


if __name__ == "__main__":
    main()
