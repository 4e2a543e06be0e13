"""The same dialogue line by line: pipes, screen readers, scripts; and what it leaves behind."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from interview_samples import FALLING, GROWING, caffe_log, tiny_knowledge

from nandoctor import cli, interview, plain
from nandoctor.consultation import Consultation
from nandoctor.errors import UnreadableError
from nandoctor.interview.pending import Ask, Settle
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import KnowledgeBase
from nandoctor.render.transcript import replay

KB = tiny_knowledge()


@pytest.fixture(scope="module")
def knowledge() -> KnowledgeBase:
    return load_knowledge()


def hold(
    lines: list[str], transcript: Path, kb: KnowledgeBase = KB, lang: str = "en", start: object = None
) -> tuple[int, str]:
    out = io.StringIO()
    stdin = io.StringIO("".join(line + "\n" for line in lines))
    code = plain.run(start or Consultation(kb), lang, stdin, out, transcript=transcript)  # type: ignore[arg-type]
    return code, out.getvalue()


def test_a_whole_consultation(tmp_path: Path) -> None:
    code, out = hold(["the loss keeps growing", "plan", "1", "quit"], tmp_path / "t.txt")
    assert code == 4  # one weak sign decides nothing
    assert "Lower the learning rate" in out
    assert "nandoctor --resume" in out
    assert "\x1b" not in out


def test_leaving_at_once_is_no_fault(tmp_path: Path) -> None:
    assert hold([], tmp_path / "t.txt")[0] == 0


def test_a_pasted_log_is_one_turn_and_the_line_after_the_dot_the_next(knowledge: KnowledgeBase, tmp_path: Path) -> None:
    lines = [*caffe_log(GROWING).splitlines(), ".", "why"]
    _, out = hold(lines, tmp_path / "t.txt", knowledge)
    assert out.count("of my questions from your log") == 1
    assert "could not make anything" not in out


def test_every_language(tmp_path: Path) -> None:
    for lang, word in (("en", "What is happening?"), ("zh", "遇到了什么问题？"), ("ko", "무슨 일이 있습니까?")):
        assert word in hold([], tmp_path / f"{lang}.txt", lang=lang)[1]


def test_a_transcript_is_written_as_it_goes_and_replays(knowledge: KnowledgeBase, tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text(caffe_log(GROWING))
    path = tmp_path / "t.txt"
    hold([f"the loss explodes, {tmp_path}/train.log", "why", "1", "?", "undo", "how", "plan", "1"], path, knowledge)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("nandoctor transcript 1\nlanguage: en\n")
    assert "> why" in text
    assert f"[read {tmp_path}/train.log]" in text
    assert "[verdict fault: " in text
    assert replay(path, knowledge) is None


def test_the_first_difference_is_shown_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    hold(["the loss keeps growing"], path)
    lines = path.read_text(encoding="utf-8").split("\n")
    place = next(n for n, line in enumerate(lines) if line.startswith("Now: "))
    good = lines[place]
    lines[place] = "Now: everything is fine"
    path.write_text("\n".join(lines), encoding="utf-8")
    found = replay(path, KB)
    assert found is not None
    assert (found.line, found.expected, found.got) == (place + 1, "Now: everything is fine", good)
    assert f"t.txt:{place + 1}" in str(found)


def test_a_transcript_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("hello\n")
    with pytest.raises(UnreadableError, match="not a transcript"):
        replay(path, KB)


def test_an_existing_transcript_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    hold(["the loss keeps growing"], path)
    first = path.read_bytes()
    hold(["we use mixed precision"], path)
    assert path.read_bytes() == first
    assert (tmp_path / "t-2.txt").exists()


def test_an_unwritable_place_is_told_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, out = hold(["the loss keeps growing"], tmp_path / "file" / "t.txt")
    assert "cannot be recorded" in out
    assert code == 4  # one weak sign decides nothing


def test_reports_are_saved_and_never_over_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["the loss keeps growing", "save a.json", "save a.md", "save a.json"]
    _, out = hold(lines, tmp_path / "t.txt")
    assert json.loads((tmp_path / "a.json").read_text())["schema"] == 1
    assert (tmp_path / "a.md").read_text().startswith("## ")
    assert "Not saved, a.json: there is such a file already" in out


class TestResume:
    def first_visit(self, knowledge: KnowledgeBase, tmp_path: Path) -> Path:
        (tmp_path / "train.log").write_text(caffe_log(GROWING))
        path = tmp_path / "t.txt"
        hold([str(tmp_path / "train.log"), *["0"] * 8], path, knowledge)
        return path

    def resume(self, path: Path, knowledge: KnowledgeBase, losses: list[str], lines: list[str]) -> str:
        new = path.parent / "next.log"
        new.write_text(caffe_log(losses, lr=0.01))
        again = interview.resume(path, knowledge, logs=[str(new)])
        return hold(lines, path, knowledge, start=again)[1]

    def test_fixed(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        path = self.first_visit(knowledge, tmp_path)
        out = self.resume(path, knowledge, FALLING, ["1"])
        assert "Last time I believed: Learning rate too high" in out
        assert "Fixed: the new run reaches step 590 without a fault; last time it broke at step 70." in out
        assert "=== visit 2" in path.read_text(encoding="utf-8")
        assert replay(path, knowledge) is None

    def test_not_fixed(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        path = self.first_visit(knowledge, tmp_path)
        assert "Not fixed" in self.resume(path, knowledge, GROWING, ["1"])
        assert replay(path, knowledge) is None

    def test_new_fault(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        path = self.first_visit(knowledge, tmp_path)
        sudden = [*FALLING[:40], *["nan"] * 5]
        out = self.resume(path, knowledge, sudden, [])
        assert "A new fault" in out or "The new run does not decide it" in out

    def test_a_third_visit_knows_only_what_still_holds(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        path = self.first_visit(knowledge, tmp_path)
        self.resume(path, knowledge, GROWING, ["1"])
        again = interview.resume(path, knowledge)
        assert again.visit == 3
        assert [e for e in again.consultation.evidence if e.origin == "log" and "train.log" in str(e.locations)] == []
        assert len(again.consultation.remedies_tried) == 1

    def test_without_a_new_log_it_goes_on_where_it_was(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        path = tmp_path / "t.txt"
        hold(["the loss keeps growing", "we use fp16"], path, knowledge)
        again = interview.resume(path, knowledge)
        assert set(again.consultation.belief.evidence) >= {"loss_before_nan", "precision"}
        assert "Last time" in hold([], path, knowledge, start=again)[1]

    def test_an_overwritten_log_is_a_new_run(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        path = self.first_visit(knowledge, tmp_path)
        (tmp_path / "train.log").write_text(caffe_log(FALLING, lr=0.01))
        out = hold([], path, knowledge, start=interview.resume(path, knowledge))[1]
        assert "Fixed" in out

    def test_a_question_left_open_is_asked_again(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        (tmp_path / "train.log").write_text(caffe_log([*FALLING[:40], *["nan"] * 5]))
        path = tmp_path / "t.txt"
        _, first = hold([str(tmp_path / "train.log")], path, knowledge)
        again = interview.resume(path, knowledge)
        assert isinstance(again.pending, Ask)
        assert again.consultation.ingested.run is not None
        _, out = hold(["1"], path, knowledge, start=again)
        question = next(line for line in first.splitlines() if line.startswith("Question 1."))
        assert question.removeprefix("Question 1. ") in out
        assert len(interview.resume(path, knowledge).consultation.answers) == 1
        assert replay(path, knowledge) is None

    def test_a_plan_left_open_is_shown_and_a_number_opens_a_step(
        self, knowledge: KnowledgeBase, tmp_path: Path
    ) -> None:
        path = self.first_visit(knowledge, tmp_path)
        _, out = hold(["1", "plan"], path, knowledge, start=interview.resume(path, knowledge))
        assert "Plan, fastest cure first" in out
        assert "Step 1: " in out
        assert "Not enough evidence" not in out
        assert replay(path, knowledge) is None

    def test_a_disagreement_left_open_is_asked_again(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        path = tmp_path / "t.txt"
        net = Path(__file__).parents[2] / "benchmarks" / "cases" / "healthy_lenet_step" / "train_val.prototxt"
        hold([str(net), "we use fp16"], path, knowledge)
        again = interview.resume(path, knowledge)
        assert again.pending == Settle("precision")
        assert "Which is right?" in hold(["0"], path, knowledge, start=again)[1]
        assert interview.resume(path, knowledge).raised == {"precision"}
        assert replay(path, knowledge) is None

    @pytest.mark.parametrize("name", ["train.log", "gone.log"])
    def test_a_log_of_no_use_leaves_everything_as_it_was(
        self, knowledge: KnowledgeBase, tmp_path: Path, name: str
    ) -> None:
        """The log of last time, or a missing one, is no new run: nothing is dropped, nothing compared with itself."""
        path = self.first_visit(knowledge, tmp_path)
        again = interview.resume(path, knowledge, logs=[str(tmp_path / name)])
        _, out = hold(["1"], path, knowledge, start=again)
        assert "Not fixed" not in out
        assert "Learning rate too high" in out
        assert "Step 1: " in out
        third = interview.resume(path, knowledge)
        assert third.consultation.ingested.run is not None
        assert third.consultation.evidence == interview.resume(path, knowledge).consultation.evidence
        assert replay(path, knowledge) is None

    @pytest.mark.parametrize("given", ["typed", "option"])
    def test_a_solver_handed_over_later_is_no_new_run(
        self, knowledge: KnowledgeBase, tmp_path: Path, given: str
    ) -> None:
        path = self.first_visit(knowledge, tmp_path)
        solver = tmp_path / "solver.prototxt"
        solver.write_text('base_lr: 0.1\nlr_policy: "fixed"\nmax_iter: 100\n')
        again = interview.resume(path, knowledge, solver=str(solver) if given == "option" else "")
        _, out = hold([str(solver)] if given == "typed" else [], path, knowledge, start=again)
        assert "Not fixed" not in out
        third = interview.resume(path, knowledge)
        assert third.consultation.ingested.run is not None
        assert third.consultation.ingested.solver is not None
        assert replay(path, knowledge) is None

    def test_a_log_that_went_on_may_be_the_same_run(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        path = self.first_visit(knowledge, tmp_path)
        (tmp_path / "train.log").write_text(caffe_log([*GROWING, *["nan"] * 5]))
        out = hold(["2"], path, knowledge, start=interview.resume(path, knowledge))[1]
        assert "Is this a new run" in out
        assert "Not fixed" not in out
        assert "Learning rate too high" in out

    def test_which_step_it_was_can_be_said_on_the_next_return(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        path = self.first_visit(knowledge, tmp_path)
        self.resume(path, knowledge, FALLING, [])
        out = hold(["1"], path, knowledge, start=interview.resume(path, knowledge))[1]
        assert "Which step did you carry out" in out
        assert interview.resume(path, knowledge).consultation.remedies_tried
        assert replay(path, knowledge) is None

    def test_a_file_that_is_gone_is_told(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        path = self.first_visit(knowledge, tmp_path)
        (tmp_path / "train.log").unlink()
        told = hold([], path, knowledge, start=interview.resume(path, knowledge))[1]
        assert "There is no file " in " ".join(told.split())  # a long path begins a line of its own

    def test_the_language_of_the_return(
        self,
        knowledge: KnowledgeBase,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """As asked for; else that of the last visit."""
        path = self.first_visit(knowledge, tmp_path)
        for options, heading in ((["--lang", "zh"], "方案"), ([], "方案"), (["--lang", "en"], "Plan, ")):
            monkeypatch.setattr("sys.stdin", io.StringIO("1\n"))
            with pytest.raises(SystemExit):
                cli.main(["--plain", "--resume", str(path), *options])
            assert heading in capsys.readouterr().out
        assert replay(path, knowledge) is None

    def test_another_folder_the_next_day(
        self, knowledge: KnowledgeBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Relative paths of each visit are kept apart, and the record goes on in the same file by default."""
        first, second = tmp_path / "monday", tmp_path / "tuesday"
        first.mkdir()
        second.mkdir()
        (first / "train.log").write_text(caffe_log(GROWING))
        (first / "solver.prototxt").write_text('base_lr: 0.1\nlr_policy: "fixed"\nmax_iter: 100\n')
        (second / "next.log").write_text(caffe_log(FALLING, lr=0.01))
        monkeypatch.chdir(first)
        hold(["train.log solver.prototxt", *["0"] * 8], tmp_path / "t.txt", knowledge)
        monkeypatch.chdir(second)
        again = interview.resume(Path("../t.txt"), knowledge, logs=["next.log"])
        out = io.StringIO()
        plain.run(again, "en", io.StringIO("1\n"), out)
        assert "Fixed" in out.getvalue()
        assert "solver.prototxt" in out.getvalue()
        assert "=== visit 2" in (tmp_path / "t.txt").read_text(encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        third = interview.resume(Path("t.txt"), knowledge).consultation.ingested
        assert third.run is not None
        assert [Path(name).parent.name for name in third.run.files] == ["tuesday"]  # the old log is not read with it
        assert third.solver is not None
        assert replay(tmp_path / "t.txt", knowledge) is None
        elsewhere = tmp_path / "kept" / "copy.txt"
        hold(["why"], elsewhere, knowledge, start=interview.resume(Path("t.txt"), knowledge))
        assert replay(elsewhere, knowledge) is None

    def test_a_crash_in_the_middle_loses_nothing(self, knowledge: KnowledgeBase, tmp_path: Path) -> None:
        path = self.first_visit(knowledge, tmp_path)
        text = path.read_text(encoding="utf-8")
        path.write_text(text[: text.index("[verdict")], encoding="utf-8")
        again = interview.resume(path, knowledge)
        assert again.earlier is not None
        assert again.earlier.ranking[0][0] == "learning-rate-too-high"


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_leaves_a_complete_transcript(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    program = (
        "import sys, pathlib\n"
        "from nandoctor import plain\n"
        "from nandoctor.consultation import Consultation\n"
        "from nandoctor.kb.load import load_knowledge\n"
        f"path = pathlib.Path({str(path)!r})\n"
        "sys.exit(plain.run(Consultation(load_knowledge()), 'en', sys.stdin, sys.stdout, transcript=path))\n"
    )
    root = str(Path(__file__).parents[2])
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
        text=True,
        encoding="utf-8",
    )
    assert child.stdin is not None
    child.stdin.write("the loss is nan from the first iteration\n")
    child.stdin.flush()
    deadline = time.monotonic() + 30
    while not (path.exists() and "Question 1" in path.read_text(encoding="utf-8")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "Interrupted" in out
    text = path.read_text(encoding="utf-8")
    assert "[interrupted]" in text
    assert "[verdict " in text


def test_a_mistake_in_a_net_is_shown_with_its_line(knowledge: KnowledgeBase, tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text('layer {\n  name "data"\n}\n')
    _, out = hold([str(net)], tmp_path / "t.txt", knowledge, "ko")
    told = f"{net}:2:8: name 뒤에 ':' 또는 '{{'이(가) 와야 하는데 \"data\"이(가) 있습니다"
    assert "".join(told.split()) in "".join(out.split())
    assert '    name "data"\n         ^\n' in out


def test_an_undo_names_the_file_it_takes_back(knowledge: KnowledgeBase, tmp_path: Path) -> None:
    first, second = tmp_path / "first.log", tmp_path / "solver.prototxt"
    first.write_text(caffe_log(GROWING))
    second.write_text('net: "n.prototxt"\nbase_lr: 10\nlr_policy: "fixed"\nmax_iter: 10\n')
    _, out = hold([str(first), str(second), "undo"], tmp_path / "t.txt", knowledge)
    assert f"Taken back: the file {second}\n" in out.replace(f"file\n{second}", f"file {second}")
