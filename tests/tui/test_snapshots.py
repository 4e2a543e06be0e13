"""Pictures of the few screens whose layout is the point. `pytest --snapshot-update` renews them; then look at them."""

from __future__ import annotations

from collections.abc import Callable

from interview_samples import tiny_knowledge
from textual.pilot import Pilot

from nandoctor import interview
from nandoctor.consultation import Consultation
from nandoctor.render.transcript import Recording
from nandoctor.tui.app import NandoctorApp
from nandoctor.tui.screens.consultation import ConsultationScreen
from nandoctor.tui.themes import LIGHT
from nandoctor.tui.widgets.prompt import Prompt

KB = tiny_knowledge()
Compare = Callable[..., bool]


def app(lang: str = "en", **more: str) -> NandoctorApp:
    return NandoctorApp(Recording(interview.begin(Consultation(KB), lang)), **more)  # type: ignore[arg-type]


def saying(*lines: str) -> Callable[[Pilot[int]], object]:
    async def run(pilot: Pilot[int]) -> None:
        await pilot.pause()
        screen = pilot.app.screen
        assert isinstance(screen, ConsultationScreen)
        screen.query_one(Prompt).cursor_blink = False
        for line in lines:
            await screen.give(line)
            await pilot.pause()

    return run


def test_question(snap_compare: Compare) -> None:
    assert snap_compare(app(), terminal_size=(100, 30), run_before=saying("the loss keeps growing", "more"))


def test_question_narrow(snap_compare: Compare) -> None:
    assert snap_compare(app("zh"), terminal_size=(80, 24), run_before=saying("the loss keeps growing", "more"))


def test_plan(snap_compare: Compare) -> None:
    assert snap_compare(
        app("ko", theme=LIGHT), terminal_size=(100, 30), run_before=saying("the loss keeps growing", "plan")
    )
