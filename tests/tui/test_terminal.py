"""A real terminal: started in tmux, typed into, answered, left; the terminal must be as it was."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from interview_samples import GROWING, caffe_log

ROOT = Path(__file__).parents[2]
PATIENCE = 40.0
PROGRAM = """
import sys
from pathlib import Path
from nandoctor import tui
from nandoctor.consultation import Consultation
from nandoctor.kb.load import load_knowledge
sys.exit(tui.run(Consultation(load_knowledge()), {lang!r}, transcript=Path({transcript!r})))
"""

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Terminal:
    """A tmux session with a shell in it, on a server of its own."""

    def __init__(self, folder: Path, columns: int, rows: int) -> None:
        self.socket = str(folder / "tmux")
        environment = {k: v for k, v in os.environ.items() if k not in ("TMUX", "NO_COLOR")}
        environment |= {"LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT), "PS1": "$ "}
        size = ["-x", str(columns), "-y", str(rows)]
        subprocess.run(
            ["tmux", "-S", self.socket, "-f", os.devnull, "new-session", "-d", *size, "sh"], check=True, env=environment
        )

    def tmux(self, *arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-S", self.socket, *arguments], check=True, capture_output=True, text=True, encoding="utf-8"
        ).stdout

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)

    def keys(self, *names: str) -> None:
        self.tmux("send-keys", *names)

    def paste(self, text: str) -> None:
        """As a terminal pastes: bracketed, where the program asked for it."""
        self.tmux("set-buffer", text)
        self.tmux("paste-buffer", "-p")

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def until(self, wanted: str) -> str:
        deadline = time.monotonic() + PATIENCE
        while wanted not in (text := self.screen()):
            assert time.monotonic() < deadline, f"{wanted!r} never came:\n{text}"
            time.sleep(0.05)
        return text


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    one = Terminal(tmp_path, 100, 30)
    try:
        yield one
    finally:
        one.tmux("kill-server")


def start(terminal: Terminal, transcript: Path, lang: str = "en", prefix: str = "") -> None:
    program = PROGRAM.format(lang=lang, transcript=str(transcript))
    terminal.type(f"{prefix}{shlex.quote(sys.executable)} -c {shlex.quote(program)}; echo left with $?")
    terminal.keys("Enter")


def test_a_consultation_from_the_first_word_to_the_plan(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text(caffe_log(GROWING))
    transcript = tmp_path / "t.txt"
    start(terminal, transcript)
    terminal.until("What is happening?")
    terminal.type(f"the loss explodes, {tmp_path}/train.log")
    terminal.keys("Enter")
    terminal.until("more: evidence")
    for _ in range(8):
        if "opens a step" in terminal.screen():
            break
        terminal.type("0")
        time.sleep(0.5)
    terminal.until("opens a step")
    terminal.type("1")
    terminal.until("It helped")
    terminal.type("quit")
    terminal.keys("Enter")
    text = terminal.until("left with 1")
    assert "nandoctor --resume" in text
    assert "What is happening?" not in text  # the alternate screen is gone
    terminal.type("stty -a | grep -c -- ' icanon'")
    terminal.keys("Enter")
    terminal.until("\n1\n")
    assert "[verdict fault" in transcript.read_text(encoding="utf-8")


def test_a_bracketed_paste_is_one_turn(terminal: Terminal, tmp_path: Path) -> None:
    start(terminal, tmp_path / "t.txt")
    terminal.until("What is happening?")
    terminal.paste(caffe_log(GROWING))
    assert "pasted:23" in terminal.until("more: evidence")


def test_no_color_means_none(terminal: Terminal, tmp_path: Path) -> None:
    """Neither foreground nor background may be set; black on black has been seen."""
    start(terminal, tmp_path / "t.txt", prefix="NO_COLOR=1 ")
    terminal.until("What is happening?")
    terminal.type("loss is nan")
    terminal.keys("Enter")
    terminal.until("Question 1.")
    painted = terminal.tmux("capture-pane", "-e", "-p")
    codes = {code for run in re.findall(r"\x1b\[([\d;]*)m", painted) for code in run.split(";")}
    assert codes <= {"", "0", "1", "2", "4", "7", "22", "24", "27", "39", "49"}


@pytest.mark.parametrize("how", ["key", "TERM", "INT"])
def test_a_sudden_end_restores_the_terminal(terminal: Terminal, tmp_path: Path, how: str) -> None:
    transcript = tmp_path / "t.txt"
    start(terminal, transcript, "ko")
    terminal.until("무슨 일이 있습니까?")
    terminal.type("loss is nan")
    terminal.keys("Enter")
    terminal.until("질문 1.")
    if how == "key":
        terminal.keys("C-c")
    else:
        shell = terminal.tmux("display-message", "-p", "#{pane_pid}").strip()
        child = subprocess.run(["ps", "-o", "pid=", "--ppid", shell], capture_output=True, text=True, check=True)
        os.kill(int(child.stdout.split()[0]), {"TERM": 15, "INT": 2}[how])
    terminal.until("left with 130")
    text = transcript.read_text(encoding="utf-8")
    assert "> loss is nan" in text
    assert "[interrupted]" in text
    terminal.type("echo still $((40 + 2))")
    terminal.keys("Enter")
    terminal.until("still 42")
