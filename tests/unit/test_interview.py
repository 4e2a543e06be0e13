"""The conversation: one line in, replies out; nothing that can be typed breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interview_samples import FALLING, GROWING, Talk, caffe_log, tiny_knowledge

from nandoctor import interview as iv
from nandoctor.consultation import Consultation
from nandoctor.diagnosis import Evidence
from nandoctor.events import Said
from nandoctor.ingest import Ingested, Inputs
from nandoctor.interview import state
from nandoctor.interview.pending import Ask, AtPlan, Carried, Free, SameRun, Settle
from nandoctor.interview.replies import Asking, Believed, Outcome, Planned, Reasons, StepShown
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.facts import Run
from nandoctor.source import Location

KB = tiny_knowledge()


@pytest.fixture(scope="module")
def knowledge() -> KnowledgeBase:
    return load_knowledge()


def put(talk: Talk, observation: str) -> None:
    """Puts a question, whatever else would be asked."""
    talk.turn = state.ask(talk.now, observation)


def asked(talk: Talk) -> str:
    assert isinstance(talk.now.pending, Ask)
    return talk.now.pending.observation


class TestWords:
    def test_opens_by_asking_what_is_wrong_or_for_a_file(self) -> None:
        assert "What is happening?" in Talk(KB).words
        assert "a log, or a net or solver" in Talk(KB).words

    def test_shows_what_it_understood_with_the_words_that_said_it(self) -> None:
        said = Talk(KB).say("Since yesterday the loss keeps growing, then NaN")
        assert "loss before nan: growing" in said
        assert '"loss keeps growing"' in said

    def test_one_thing_misunderstood_is_dropped_by_one_key_and_asked_instead(self) -> None:
        talk = Talk(KB)
        talk.say("the loss keeps growing", "x")
        assert "loss_before_nan" not in talk.now.consultation.belief.evidence
        assert asked(talk) == "loss_before_nan"

    def test_of_several_the_wrong_one_is_picked(self) -> None:
        talk = Talk(KB)
        talk.say("the loss keeps growing. we use mixed precision", "x")
        wrong = next(c.key for c in talk.now.choices if c.of == "precision")
        talk.say(wrong)
        assert set(talk.now.consultation.belief.evidence) == {"loss_before_nan"}
        assert asked(talk) == "precision"

    def test_nonsense_gets_a_sentence_and_a_question(self) -> None:
        talk = Talk(KB)
        said = talk.say("qwertz uiop")
        assert 'I could not make anything of "qwertz uiop"' in said
        asked(talk)
        assert talk.now.consultation.events == ()

    def test_an_answer_in_words_answers_the_question(self) -> None:
        talk = Talk(KB)
        put(talk, "precision")
        talk.say("mixed precision")
        assert talk.now.consultation.answers["precision"] == "fp16"

    def test_a_long_answer_may_say_more_than_the_answer(self) -> None:
        talk = Talk(KB)
        put(talk, "precision")
        talk.say("we train in mixed precision and the loss keeps growing")
        assert talk.now.consultation.answers["precision"] == "fp16"
        assert talk.now.consultation.belief.evidence["loss_before_nan"].state == "growing"
        talk.say("undo")
        assert talk.now.consultation.belief.evidence == {}

    @pytest.mark.parametrize("line", ["I don't know", "0", "不知道", "모르겠습니다", "unknown"])
    def test_not_knowing_is_no_evidence(self, line: str) -> None:
        talk = Talk(KB)
        talk.say("xyzzy")
        name = asked(talk)
        talk.say(line)
        assert talk.now.consultation.answers == {name: "unknown"}
        assert talk.now.consultation.belief.evidence == {}


class TestQuestions:
    def test_a_number_answers_and_the_beliefs_move(self) -> None:
        talk = Talk(KB)
        talk.say("xyzzy")
        name = asked(talk)
        talk.say("1")
        assert talk.now.consultation.answers[name] == KB.observations[name].states[0].id
        assert any(isinstance(reply, Believed) for reply in talk.replies)

    def test_why_says_what_each_answer_would_do_and_is_right_about_it(self) -> None:
        talk = Talk(KB)
        talk.say("xyzzy", "why")
        told = next(reply for reply in talk.replies if isinstance(reply, Reasons))
        assert len(told.separates) > 1
        for answer, _, moves in told.rows:
            then = Talk(KB)
            then.say("xyzzy")
            then.say(then.key(answer))
            # An owner's answer counts for a little less than a certainty.
            for cause, probability, now in moves:
                after = then.now.consultation.belief.marginals[cause]
                assert (after - now) * (probability - now) > 0

    def test_how_to_find_out_knows_the_framework(self) -> None:
        talk = Talk(KB, start=iv.begin(Consultation(KB, (), Ingested(run=Run((), {}, framework="pytorch")))))
        put(talk, "precision")
        said = talk.say("?")
        assert "Look for autocast." in said
        assert "Search for torch.autocast." in said

    def test_an_experiment_tells_its_cost_and_what_to_change_and_can_wait(self) -> None:
        talk = Talk(KB)
        put(talk, "zero_lr_effect")
        assert "about 8 min: Run with rate 0" in talk.words_of(talk.turn)
        assert "about 8 min" not in talk.say("")  # repeated briefly
        assert "Set it to 0." in talk.say("?")
        assert "group['lr'] = 0" in talk.words
        later = next(c.key for c in talk.now.choices if c.id == "choice.later")
        talk.say(later)
        assert talk.now.later == ("zero_lr_effect",)
        assert talk.now.consultation.answers["zero_lr_effect"] == "unknown"

    def test_out_of_range_and_unknown_requests_change_nothing(self) -> None:
        talk = Talk(KB)
        talk.say("xyzzy")
        before = talk.now
        assert "no choice 77" in talk.say("77")
        assert "/wyh" in talk.say("/wyh")
        assert "why" in talk.words
        assert talk.now == before

    def test_enter_repeats_the_question(self) -> None:
        talk = Talk(KB)
        talk.say("xyzzy")
        name = asked(talk)
        talk.say("")
        assert [r.observation for r in talk.replies if isinstance(r, Asking)] == [name]

    def test_language_can_change_at_any_time(self) -> None:
        talk = Talk(KB)
        talk.say("xyzzy")
        assert "从现在起使用中文" in talk.say("lang zh")
        assert "（中）" in talk.words


class TestContradiction:
    @staticmethod
    def talk() -> Talk:
        seen = Evidence("loss_before_nan", "falling", "log", (Location("train.log", 12),), trust=0.97)
        consultation = Consultation(KB, (), Ingested(evidence=(seen,)))
        talk = Talk(KB, start=iv.begin(consultation))
        talk.say("the loss keeps growing")
        return talk

    def test_is_shown_with_both_sides_and_asked_about_once(self) -> None:
        talk = self.talk()
        assert talk.now.pending == Settle("loss_before_nan")
        assert "train.log:12 says: falling" in talk.words
        assert "You say: growing" in talk.words
        talk.say("0")
        assert not isinstance(talk.now.pending, Settle)
        talk.say("it diverges, the loss keeps growing")
        assert not isinstance(talk.now.pending, Settle)

    def test_the_owner_may_be_right(self) -> None:
        talk = self.talk()
        talk.say("2")
        assert talk.now.consultation.belief.evidence["loss_before_nan"].state == "growing"

    def test_or_the_file(self) -> None:
        talk = self.talk()
        talk.say("1")
        assert talk.now.consultation.belief.evidence["loss_before_nan"].state == "falling"
        assert talk.now.consultation.contradictions == ()


def to_plan(talk: Talk) -> Talk:
    talk.say("the loss keeps growing")
    if not isinstance(talk.now.pending, AtPlan):
        talk.say("plan")
    return talk


class TestPlan:
    def test_verdict_reasons_and_plan(self) -> None:
        said = to_plan(Talk(KB)).words
        assert "learning rate too high" in said.lower()
        assert "Lower the learning rate" in said

    def test_two_variants(self) -> None:
        talk = to_plan(Talk(KB))
        talk.say("plan")
        assert isinstance(talk.now.pending, AtPlan)
        assert talk.now.pending.variant == "diagnostic"

    def test_a_number_opens_a_step_with_its_code(self) -> None:
        talk = to_plan(Talk(KB))
        talk.say(next(c.key for c in talk.now.choices if c.id == "lower-learning-rate"))
        assert isinstance(talk.replies[0], StepShown)
        assert "group['lr'] /= 10" in talk.words

    def test_an_experiment_of_the_plan_is_put_as_its_question(self) -> None:
        talk = Talk(KB)
        talk.say("we use mixed precision", "plan diagnostic")
        talk.say(next(c.key for c in talk.now.choices if c.id == "zero-learning-rate-run"))
        assert asked(talk) == "zero_lr_effect"

    def test_a_step_that_failed_counts_against_its_cause(self) -> None:
        talk = to_plan(Talk(KB))
        before = talk.now.consultation.belief.marginals["learning-rate-too-high"]
        talk.say("tried lower-learning-rate no")
        assert talk.now.consultation.belief.marginals["learning-rate-too-high"] < before
        assert "lower-learning-rate" not in [s.id for s in talk.now.consultation.diagnosis.fastest]

    def test_a_step_that_helped_ends_it(self) -> None:
        talk = to_plan(Talk(KB))
        key = next(c.key for c in talk.now.choices if c.id == "lower-learning-rate")
        said = talk.say(f"tried {key}", "it helped")
        assert "most probably this: learning rate too high" in said

    @pytest.mark.parametrize(
        ("words", "helps"), [("it did not help", False), ("no change", False), ("that helped", True)]
    )
    def test_what_an_open_step_brought_is_said_in_words(self, words: str, helps: bool) -> None:
        talk = to_plan(Talk(KB))
        talk.say(next(c.key for c in talk.now.choices if c.id == "lower-learning-rate"), words)
        assert talk.now.consultation.remedies_tried == {"lower-learning-rate": helps}

    def test_words_at_the_plan_that_say_nothing_are_met_with_what_does(self) -> None:
        assert "A number opens a step" in to_plan(Talk(KB)).say("qwerty asdf")

    def test_one_more_question_on_request(self) -> None:
        talk = to_plan(Talk(KB))
        talk.say("more")
        asked(talk)

    def test_what_did_not_change_is_not_said_again(self) -> None:
        talk = Talk(KB)
        talk.say("the loss keeps growing")
        while isinstance(talk.now.pending, Ask):
            talk.say("0")
        talk.say("more", "0")
        assert not any(isinstance(reply, Planned) for reply in talk.replies)

    @pytest.mark.parametrize("name", ["report.md", "report.json", "report.html", "report.txt"])
    def test_save_names_the_form(self, name: str) -> None:
        talk = Talk(KB)
        assert name in talk.say(f"save {name} redacted")
        assert talk.saved == [name]

    def test_save_refuses_other_endings(self) -> None:
        talk = Talk(KB)
        assert ".json" in talk.say("/save report.docx")
        assert talk.saved == []


ANSWERS = st.sampled_from(
    [(o.id, s) for o in KB.observations.values() for s in (*[state.id for state in o.states], "unknown")]
)
STEPS = st.lists(st.one_of(ANSWERS, st.sampled_from(list(KB.observations)), st.just("")), max_size=12)


class TestUndo:
    @given(STEPS)
    @settings(max_examples=60, deadline=None)
    def test_answers_and_undos_equal_the_same_answers_at_once(self, steps: list[object]) -> None:
        """Any order of answers, undos of the last thing and of a named answer: only what is left counts."""
        now = iv.begin(Consultation(KB))
        left: list[dict[str, str]] = [{}]
        for step in steps:
            if isinstance(step, tuple):
                asking = now.having(pending=Ask(step[0]))
                key = "0" if step[1] == "unknown" else next(c.key for c in asking.choices if c.id == step[1])
                now = iv.turn(asking, key).interview
                left.append({**{k: v for k, v in left[-1].items() if k != step[0]}, step[0]: step[1]})
            elif step:
                turn = iv.turn(now, f"undo {step}")
                if turn.interview.consultation is not now.consultation:
                    left.append({k: v for k, v in left[-1].items() if k != step})
                now = turn.interview
            else:
                now = iv.turn(now, "undo").interview
                left = left[:-1] or [{}]
        assert now.consultation.answers == left[-1]
        at_once = Consultation.open(kb=KB, answers=left[-1])
        assert now.consultation.belief.marginals == pytest.approx(at_once.belief.marginals)
        asked_set = set(left[-1])
        assert set(now.consultation.asked) == asked_set

    def test_undo_brings_back_the_question_before(self) -> None:
        talk = Talk(KB)
        talk.say("xyzzy")
        first = asked(talk)
        talk.say("1", "undo")
        assert asked(talk) == first
        assert "Taken back" in talk.words

    def test_nothing_to_undo(self) -> None:
        assert "nothing to take back" in Talk(KB).say("undo")


# Without slash and tilde: a folder of this machine that is named by chance would be read.
TYPED = st.text(st.characters(codec="utf-8", exclude_characters="/~"), max_size=40)


@given(st.lists(TYPED, max_size=6))
@settings(max_examples=150, deadline=None)
def test_nothing_that_can_be_typed_breaks_it(lines: list[str]) -> None:
    talk = Talk(KB)
    for line in lines:
        assert talk.say(line).strip()


@pytest.mark.parametrize("paste", ["\x00\x01\x02\x03" * 500, "PNG\x00\x00\x1a" + "\x05" * 90, "\ufffd" * 300])
def test_binary_paste_is_named_and_loses_nothing(paste: str) -> None:
    talk = Talk(KB)
    talk.say("xyzzy", "1")
    before = talk.now
    assert "binary data" in talk.say(paste)
    assert talk.now == before


class TestFiles:
    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        talk = Talk(KB)
        assert "There is no file" in talk.say(str(tmp_path / "train.log"))

    def test_words_beside_a_missing_file_are_kept(self, tmp_path: Path) -> None:
        talk = Talk(KB)
        said = talk.say(f"the loss keeps growing, see {tmp_path / 'gone.log'}")
        assert "no file" in said
        assert "growing" in talk.now.consultation.belief.evidence["loss_before_nan"].state

    def test_a_log_answers_questions_with_lines(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        log = tmp_path / "train.log"
        log.write_text(caffe_log(GROWING))
        talk = Talk(knowledge)
        said = talk.say(f"the loss explodes, {log}")
        assert "of my questions from your log" in said
        assert "train.log:23" in said  # the first NaN
        assert any(isinstance(e, Said) for e in talk.now.consultation.events)

    def test_words_and_file_of_one_line_are_undone_together(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        log = tmp_path / "train.log"
        log.write_text(caffe_log(GROWING))
        talk = Talk(knowledge)
        talk.say(f"loss is nan with fp16, {log}", "undo")
        assert talk.now.consultation.events == ()
        assert talk.now.pending == Free()

    def test_net_and_solver_are_told_apart_by_content(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        net, solver = tmp_path / "a.txt", tmp_path / "b.txt"
        net.write_text('layer { name: "ip" type: "InnerProduct" inner_product_param { num_output: 2 } }\n')
        solver.write_text('base_lr: 0.5\nlr_policy: "fixed"\nmax_iter: 10\n')
        talk = Talk(knowledge)
        talk.say(f"{net} {solver}")
        assert talk.now.consultation.ingested.net is not None
        assert talk.now.consultation.ingested.solver is not None

    @pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + b"\x00" * 3000, b"GET / HTTP/1.1\nfoo\n" * 40])
    def test_a_file_of_no_use_changes_nothing(self, knowledge: KnowledgeBase, tmp_path: Path, content: bytes) -> None:
        talk = Talk(knowledge)
        talk.say("loss became nan in mixed precision")
        before = talk.now.consultation
        bad = tmp_path / "thing.log"
        bad.write_bytes(content)
        said = talk.say(str(bad))
        assert "thing.log" in said
        assert talk.now.consultation.events == before.events
        assert talk.now.consultation.belief.ranking == before.belief.ranking

    def test_a_pasted_log_is_read(self, knowledge: KnowledgeBase) -> None:
        talk = Talk(knowledge)
        said = talk.say(caffe_log(GROWING))
        assert "pasted" in said
        assert "pasted:23" in said
        assert talk.now.consultation.ingested.run is not None

    def test_a_terminal_pastes_returns_for_line_ends(self, knowledge: KnowledgeBase) -> None:
        assert "pasted:23" in Talk(knowledge).say(caffe_log(GROWING).replace("\n", "\r"))

    def test_a_pasted_solver_is_read(self, knowledge: KnowledgeBase) -> None:
        talk = Talk(knowledge)
        talk.say('net: "train_val.prototxt"\nbase_lr: 0.01\nlr_policy: "step"\nmax_iter: 100\n')
        assert talk.now.consultation.ingested.solver is not None

    def test_a_second_paste_has_its_own_name(self, knowledge: KnowledgeBase) -> None:
        talk = Talk(knowledge)
        talk.say('base_lr: 0.01\nlr_policy: "step"\nmax_iter: 100\n', caffe_log(GROWING))
        assert talk.now.consultation.ingested.run is not None
        assert talk.now.consultation.ingested.run.files == ("pasted-2",)

    def test_stopping_the_reading_forgets_the_file(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        log = tmp_path / "train.log"
        log.write_text(caffe_log(GROWING))
        start = iv.begin(Consultation(knowledge))
        turn = iv.turn(start, f"the loss explodes, {log}")
        assert isinstance(turn.effect, iv.ReadFiles)
        stopped = iv.stopped_reading(turn.interview)
        assert stopped.interview.consultation.events == ()

    def test_files_of_the_command_line_are_read_first(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        log = tmp_path / "train.log"
        log.write_text(caffe_log(GROWING))
        wanted = Talk(knowledge, start=iv.begin(Consultation(knowledge), "en", Inputs(logs=(str(log),))))
        given = Talk(knowledge, start=iv.begin(Consultation.open(kb=knowledge, log=str(log)), "en"))
        assert wanted.words == given.words
        assert "I have looked at what you gave me" in wanted.words


class TestComingBack:
    @pytest.fixture
    def at_plan(self, knowledge: KnowledgeBase, tmp_path: Path) -> Talk:
        log = tmp_path / "train.log"
        log.write_text(caffe_log(GROWING))
        talk = Talk(knowledge)
        talk.say(str(log))
        while isinstance(talk.now.pending, Ask):
            talk.say("0")
        return talk

    def new_log(self, tmp_path: Path, losses: list[str]) -> str:
        log = tmp_path / "next.log"
        log.write_text(caffe_log(losses, lr=0.01))
        return str(log)

    def outcome(self, talk: Talk) -> Outcome:
        return next(reply for reply in talk.replies if isinstance(reply, Outcome))

    def test_a_second_log_may_be_a_new_run(self, at_plan: Talk, tmp_path: Path) -> None:
        at_plan.say(self.new_log(tmp_path, FALLING))
        assert isinstance(at_plan.now.pending, SameRun)

    def test_fixed(self, at_plan: Talk, tmp_path: Path) -> None:
        at_plan.say(self.new_log(tmp_path, FALLING), "1")
        assert self.outcome(at_plan).course == "fixed"
        assert "last time it broke at step 70" in at_plan.words
        assert isinstance(at_plan.now.pending, Carried)
        first = at_plan.now.pending.steps[0]
        at_plan.say("1")
        assert at_plan.now.consultation.remedies_tried == {first: True}

    def test_not_fixed(self, at_plan: Talk, tmp_path: Path) -> None:
        at_plan.say(self.new_log(tmp_path, GROWING), "1")
        assert self.outcome(at_plan).course == "not-fixed"
        at_plan.say("1")
        assert list(at_plan.now.consultation.remedies_tried.values()) == [False]

    def test_too_early(self, at_plan: Talk, tmp_path: Path) -> None:
        at_plan.say(self.new_log(tmp_path, FALLING[:4]), "1")
        assert self.outcome(at_plan).course in ("too-early", "unclear")

    def test_more_of_the_same_run_is_merged(self, at_plan: Talk, tmp_path: Path) -> None:
        at_plan.say(self.new_log(tmp_path, FALLING), "2")
        run = at_plan.now.consultation.ingested.run
        assert run is not None
        assert len(run.files) == 2

    def test_undo_goes_back_to_the_run_before(self, at_plan: Talk, tmp_path: Path) -> None:
        before = at_plan.now.consultation
        at_plan.say(self.new_log(tmp_path, FALLING), "1", "undo")
        assert at_plan.now.consultation.events == before.events
