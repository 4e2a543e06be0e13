"""The terminal consultation by behaviour: keys, words, files, narrow screens, three languages, ways out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from interview_samples import FALLING, GROWING, caffe_log, tiny_knowledge
from textual import events
from textual.pilot import Pilot
from textual.widgets import Static

from nandoctor import interview
from nandoctor.consultation import Consultation
from nandoctor.ingest import Inputs
from nandoctor.interview.pending import Ask, AtPlan, SameRun
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import KnowledgeBase
from nandoctor.render.transcript import Recording
from nandoctor.tui.app import NandoctorApp
from nandoctor.tui.screens.consultation import ConsultationScreen
from nandoctor.tui.screens.folded import FoldedPanel
from nandoctor.tui.screens.help import HelpScreen
from nandoctor.tui.themes import DARK, LIGHT, PLAIN
from nandoctor.tui.widgets.choices import Choices
from nandoctor.tui.widgets.panel import Beliefs, Curve, EvidenceList, Outline, Panel
from nandoctor.tui.widgets.prompt import Prompt
from nandoctor.tui.widgets.stepcard import Act, StepCard

KB = tiny_knowledge()


@pytest.fixture(scope="module")
def knowledge() -> KnowledgeBase:
    return load_knowledge()


class Seen:
    """A running app, and what can be seen of it."""

    def __init__(self, app: NandoctorApp, pilot: Pilot[int], recorded: list[str]) -> None:
        self.app = app
        self.pilot = pilot
        self.recorded = recorded

    @property
    def screen(self) -> ConsultationScreen:
        return next(s for s in self.app.screen_stack if isinstance(s, ConsultationScreen))

    @property
    def now(self) -> interview.Interview:
        return self.app.kept.now

    def text(self) -> str:
        """The screen as lines of text."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    async def say(self, line: str) -> None:
        prompt = self.screen.query_one(Prompt)
        prompt.value = line
        await self.pilot.press("enter")
        await self.settled()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.settled()

    async def paste(self, text: str) -> None:
        self.screen.query_one(Prompt).post_message(events.Paste(text))
        await self.settled()

    async def settled(self) -> None:
        """Until nothing is read any more."""
        for _ in range(400):
            await self.pilot.pause()
            if not self.screen.reading:
                break
            await asyncio.sleep(0.02)
        await self.pilot.pause()


@asynccontextmanager
async def consultation(
    kb: KnowledgeBase = KB,
    *,
    size: tuple[int, int] = (100, 30),
    lang: str = "en",
    theme: str = DARK,
    inputs: Inputs | None = None,
    start: interview.Interview | None = None,
) -> AsyncIterator[Seen]:
    recorded: list[str] = []
    begun = start or interview.begin(Consultation(kb), lang, inputs)
    app = NandoctorApp(Recording(begun, recorded.append), theme=theme)
    async with app.run_test(size=size) as pilot:
        seen = Seen(app, pilot, recorded)
        await seen.settled()
        yield seen


async def test_it_opens_by_asking() -> None:
    async with consultation() as seen:
        assert "What is happening?" in seen.text()
        assert seen.app.focused is seen.screen.query_one(Prompt)


async def test_words_are_understood_and_one_key_answers() -> None:
    async with consultation() as seen:
        await seen.say("the loss keeps growing and we use mixed precision")
        assert "loss before nan: growing" in seen.text()
        await seen.say("plan")
        await seen.say("more")
        assert isinstance(seen.now.pending, Ask)
        name = seen.now.pending.observation
        await seen.press("1")
        assert name in seen.now.consultation.answers
        assert seen.screen.query_one(Prompt).value == ""


async def test_arrows_and_enter_pick_an_answer() -> None:
    async with consultation() as seen:
        await seen.say("xyzzy")
        assert isinstance(seen.now.pending, Ask)
        name = seen.now.pending.observation
        await seen.press("down", "down", "enter")
        assert seen.now.consultation.answers[name] == KB.observations[name].states[1].id


async def test_a_click_picks_an_answer() -> None:
    async with consultation() as seen:
        await seen.say("xyzzy")
        assert isinstance(seen.now.pending, Ask)
        name = seen.now.pending.observation
        await seen.pilot.click(Choices, offset=(4, 0))
        await seen.settled()
        assert seen.now.consultation.answers[name] == KB.observations[name].states[0].id


async def test_letters_are_words_even_while_a_question_is_open() -> None:
    async with consultation() as seen:
        await seen.say("xyzzy")
        await seen.press("w", "h", "y", "space", "1")
        assert seen.screen.query_one(Prompt).value == "why 1"
        assert seen.now.consultation.answers == {}


async def test_a_number_with_two_digits_waits_for_the_second(knowledge: KnowledgeBase) -> None:
    async with consultation(knowledge) as seen:
        await seen.say("xyzzy")
        asking = seen.now.having(pending=Ask("architecture"))
        seen.app.kept.now = asking
        await seen.say("")
        await seen.screen._show(interview.turn(seen.now, ""))
        await seen.press("1", "0")
        assert seen.screen.query_one(Prompt).value == "10"
        await seen.press("enter")
        states = [state.id for state in knowledge.observations["architecture"].states]
        assert seen.now.consultation.answers["architecture"] == states[9]


async def test_why_find_out_what_if_and_undo_have_keys() -> None:
    async with consultation() as seen:
        await seen.say("xyzzy")
        await seen.press("f3")
        assert "It tells these apart" in seen.text()
        assert seen.screen.query(Choices)  # the question stays open
        await seen.press("f5")
        assert "another cause first" in seen.text()
        await seen.press("1")
        assert seen.now.consultation.answers
        await seen.press("ctrl+z")
        assert seen.now.consultation.answers == {}


async def test_history_and_draft() -> None:
    async with consultation() as seen:
        await seen.say("evidence")
        await seen.say("whatif")
        prompt = seen.screen.query_one(Prompt)
        prompt.value = "half a"
        await seen.press("ctrl+up", "ctrl+up")
        assert prompt.value == "evidence"
        await seen.press("ctrl+down", "ctrl+down")
        assert prompt.value == "half a"


async def test_a_log_is_read_and_fills_the_side_panel(knowledge: KnowledgeBase, tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text(caffe_log(GROWING))
    async with consultation(knowledge, size=(120, 40)) as seen:
        await seen.say(f"{tmp_path}/train.log")
        assert "of my questions from your log" in seen.text()
        assert seen.screen.query_one(Curve).display
        assert not seen.screen.query_one(Outline).display
        assert seen.screen.query_one(EvidenceList).display
        assert "Learning rate too high" in str(seen.screen.query_one("#first", Static).render())


async def test_a_net_shows_its_layers_with_the_suspicious_ones_marked(knowledge: KnowledgeBase, tmp_path: Path) -> None:
    layers = [
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 24 dim: 24 } } }'
    ]
    layers += [
        'layer { name: "pool" type: "Pooling" bottom: "data" top: "pool"\n'
        "  pooling_param { pool: AVE kernel_size: 2 stride: 3 } }"
    ]
    (tmp_path / "net.prototxt").write_text("\n".join(layers) + "\n")
    async with consultation(knowledge, size=(120, 40)) as seen:
        await seen.say(f"{tmp_path}/net.prototxt")
        lines = [line for line in seen.text().split("\n") if "pool " in line and "Pooling" in line]
        assert any("×" in line or "!" in line for line in lines)


async def test_a_paste_of_many_lines_is_one_turn(knowledge: KnowledgeBase) -> None:
    async with consultation(knowledge) as seen:
        await seen.paste(caffe_log(GROWING).replace("\n", "\r\n"))
        assert seen.now.consultation.ingested.run is not None
        assert "pasted" in seen.text()


async def test_a_paste_of_one_line_goes_into_the_prompt() -> None:
    async with consultation() as seen:
        await seen.paste("/tmp/some where/train.log\n")
        assert seen.screen.query_one(Prompt).value == "/tmp/some where/train.log"


async def test_binary_paste_loses_nothing() -> None:
    async with consultation() as seen:
        await seen.say("the loss keeps growing")
        before = seen.now.consultation.events
        await seen.paste("\x00\x01\x02\n" * 400)
        assert "binary data" in seen.text()
        assert seen.now.consultation.events == before


async def test_markup_in_a_log_stays_text(knowledge: KnowledgeBase, tmp_path: Path) -> None:
    path = tmp_path / "[red]x[b].log"
    path.write_text(caffe_log(GROWING))
    async with consultation(knowledge, size=(140, 40)) as seen:
        await seen.say(f"'{path}'")
        assert "[red]x[b].log" in seen.text()


async def test_reading_can_be_stopped(
    knowledge: KnowledgeBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.log").write_text(caffe_log(GROWING))

    def slow(self: Consultation, inputs: Inputs, progress: object = None) -> Consultation:
        import time

        assert callable(progress)
        for step in range(2000):
            progress(step, 2000)
            time.sleep(0.01)
        return self

    monkeypatch.setattr(Consultation, "read", slow)
    async with consultation(knowledge) as seen:
        prompt = seen.screen.query_one(Prompt)
        prompt.value = f"{tmp_path}/train.log"
        await seen.pilot.press("enter")
        await seen.pilot.pause(0.3)
        assert "Esc stops" in seen.text()
        prompt.value = "the loss keeps growing"
        await seen.pilot.press("enter")
        await seen.pilot.pause()
        assert prompt.value == "the loss keeps growing"  # kept until the reading is over
        await seen.pilot.press("escape")
        await seen.settled()
        assert "Stopped reading" in seen.text()
        assert seen.now.consultation.events == ()
        assert "[stopped reading]" in "".join(seen.recorded)


async def test_files_of_the_command_line_are_read_in_the_background(knowledge: KnowledgeBase, tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text(caffe_log(GROWING))
    inputs = Inputs(logs=(str(tmp_path / "train.log"),))
    async with consultation(knowledge, inputs=inputs) as seen:
        assert seen.now.consultation.ingested.run is not None


async def test_the_plan_its_steps_and_what_they_brought() -> None:
    async with consultation() as seen:
        await seen.say("the loss keeps growing")
        if not isinstance(seen.now.pending, AtPlan):
            await seen.press("f6")
        assert isinstance(seen.now.pending, AtPlan)
        number = next(c.key for c in seen.now.choices if c.id == "lower-learning-rate")
        await seen.press(number)
        assert "group['lr'] /= 10" in seen.text()
        await seen.press(number)  # the plan can still be picked from
        assert len(seen.screen.query(StepCard)) == 2
        copy, helped, no = list(seen.screen.query(StepCard).last().query(Act))
        copy.action_act()
        await seen.settled()
        assert seen.app.clipboard == "group['lr'] /= 10\n"
        no.action_act()
        await seen.settled()
        assert seen.now.consultation.remedies_tried == {"lower-learning-rate": False}
        del helped


async def test_a_new_log_after_the_plan_is_compared(knowledge: KnowledgeBase, tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text(caffe_log(GROWING))
    (tmp_path / "next.log").write_text(caffe_log(FALLING))
    async with consultation(knowledge) as seen:
        await seen.say(f"{tmp_path}/train.log")
        await seen.say("plan")
        await seen.say(f"{tmp_path}/next.log")
        assert isinstance(seen.now.pending, SameRun)
        await seen.press("1")
        assert "Fixed: the new run" in seen.text()


async def test_on_return_the_plan_stands_as_it_was_left(knowledge: KnowledgeBase, tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text(caffe_log(GROWING))
    path = tmp_path / "t.txt"
    async with consultation(knowledge) as seen:
        await seen.say(f"{tmp_path}/train.log")
        await seen.say("plan")
        await seen.say("quit")
        path.write_text("".join(seen.recorded), encoding="utf-8")
    async with consultation(start=interview.resume(path, knowledge)) as seen:
        assert isinstance(seen.now.pending, AtPlan)
        assert seen.now.consultation.ingested.run is not None
        assert "Last time I believed: Learning rate too high" in "".join(seen.recorded)
        await seen.press("1")
        assert seen.screen.query(StepCard)


async def test_save_puts_a_name_into_the_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with consultation() as seen:
        await seen.say("the loss keeps growing")
        await seen.press("ctrl+s", "enter")
        assert (tmp_path / "nandoctor-report.md").read_text().startswith("## ")


class TestNarrow:
    @pytest.mark.parametrize("lang", ["en", "zh", "ko"])
    @pytest.mark.parametrize("size", [(80, 24), (60, 20)])
    async def test_a_question_is_whole_on_the_screen(
        self, knowledge: KnowledgeBase, size: tuple[int, int], lang: str
    ) -> None:
        async with consultation(knowledge, size=size, lang=lang) as seen:
            assert not seen.screen.query_one(Panel).display
            await seen.say("loss is nan")
            assert isinstance(seen.now.pending, Ask)
            known = knowledge.observations[seen.now.pending.observation]
            assert known.question is not None
            shown = "".join(seen.text().split())
            assert "".join(known.question.get(lang).split()) in shown
            for state in known.states:
                assert "".join(state.label.get(lang).split()) in shown
            assert all(len(line) <= size[0] for line in seen.text().split("\n"))

    async def test_the_panel_is_one_key_away(self) -> None:
        async with consultation(size=(60, 20)) as seen:
            await seen.say("the loss keeps growing")
            await seen.press("f2")
            assert isinstance(seen.app.screen, FoldedPanel)
            assert "learning rate too high" in seen.text()
            await seen.press("escape")
            assert isinstance(seen.app.screen, ConsultationScreen)

    async def test_resized_to_nothing_and_back(self) -> None:
        async with consultation() as seen:
            await seen.say("the loss keeps growing")
            for size in ((1, 1), (3, 2), (20, 4), (200, 60), (80, 24)):
                await seen.pilot.resize_terminal(*size)
                await seen.settled()
            await seen.say("evidence")
            assert "What I know" in seen.text()


async def test_the_panel_folds_away_and_tells_how() -> None:
    async with consultation() as seen:
        await seen.say("the loss keeps growing")
        assert seen.screen.query_one(Panel).display
        seen.screen.query_one(Beliefs).focus()
        await seen.press("down", "enter")
        assert "All about" in seen.text()
        await seen.press("f2")
        assert not seen.screen.query_one(Panel).display
        await seen.press("f2")
        assert seen.screen.query_one(Panel).display


@pytest.mark.parametrize("lang", ["en", "zh", "ko"])
async def test_each_cause_takes_one_line_of_the_panel(knowledge: KnowledgeBase, lang: str) -> None:
    for columns in (90, 100, 140):
        async with consultation(knowledge, size=(columns, 40), lang=lang) as seen:
            await seen.say("loss is nan after some iterations")
            beliefs = seen.screen.query_one(Beliefs)
            assert beliefs.content_size.height == len(beliefs.ranked())


async def test_typing_goes_to_the_prompt_whoever_has_the_focus() -> None:
    async with consultation() as seen:
        seen.screen.query_one(Beliefs).focus()
        await seen.press("n", "a", "n")
        assert seen.screen.query_one(Prompt).value == "nan"


@pytest.mark.parametrize(("lang", "word"), [("en", "Keys"), ("zh", "按键"), ("ko", "키")])
async def test_help_in_every_language(lang: str, word: str) -> None:
    async with consultation(lang=lang, size=(100, 60)) as seen:
        await seen.press("f1")
        assert isinstance(seen.app.screen, HelpScreen)
        assert word in seen.text()
        assert "guide." not in seen.text()
        assert "ui." not in seen.text()
        await seen.press("f1")
        assert isinstance(seen.app.screen, ConsultationScreen)


async def test_the_language_changes_keys_panel_and_questions() -> None:
    async with consultation() as seen:
        await seen.say("the loss keeps growing")
        await seen.say("lang ko")
        text = "".join(seen.text().split())
        assert "현재판단" in text
        assert "도움말" in text
        await seen.say("lang zh")
        assert "当前判断" in "".join(seen.text().split())


@pytest.mark.parametrize("theme", [DARK, LIGHT, PLAIN])
async def test_every_theme_shows_the_same_text(theme: str) -> None:
    async with consultation() as seen:
        await seen.say("the loss keeps growing")
        before = seen.text()
        seen.app.use_theme(theme)
        await seen.settled()
        assert seen.text() == before


async def test_the_palette_offers_what_makes_sense() -> None:
    async with consultation() as seen:
        await seen.say("xyzzy")
        await seen.press("ctrl+p")
        await seen.pilot.pause(0.3)
        assert "question: why is it asked" in seen.text()
        assert "theme: dark" not in seen.text()
        await seen.press(*"light")
        await seen.pilot.pause(0.5)
        await seen.press("down", "enter")
        await seen.settled()
        assert seen.app.theme == LIGHT


async def test_quit_ends_with_a_word_and_the_exit_code() -> None:
    async with consultation() as seen:
        await seen.say("the loss keeps growing")
        await seen.say("quit")
        assert seen.app.return_value == 4  # one weak sign decides nothing
        assert "[verdict undetermined" in "".join(seen.recorded)


async def test_ctrl_c_leaves_at_once_with_a_complete_transcript() -> None:
    async with consultation() as seen:
        await seen.say("the loss keeps growing")
        await seen.press("ctrl+c")
        assert seen.app.return_value == 130
        text = "".join(seen.recorded)
        assert text.index("> the loss keeps growing") < text.index("[interrupted]")
        assert "[verdict undetermined" in text


async def test_no_text_is_missing_in_any_language(knowledge: KnowledgeBase) -> None:
    """Every message that the screens use exists and is translated."""
    parts = ("ui", "say", "talk", "ask", "choice", "guide", "outcome")
    used = [m for m in knowledge.messages.values() if m.id.split(".")[0] in parts]
    assert len(used) > 150
    assert [m.id for m in used if not (m.en and m.zh and m.ko)] == []
