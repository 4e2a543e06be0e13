"""Holds the consultations of `benchmarks/scenarios/` with a simulated owner, and records them in `transcripts/`.

    python benchmarks/make_transcripts.py [CAUSE ...] [--check]

A scenario (one a cause, file name = cause) says the language, the case of `benchmarks/cases/` whose files and answers
the owner has (or none, then `answers` holds what the owner knows), the first lines (`open`), what the owner asks before
answering question n (`asks`), answers given in words (`words`), and the lines at the plan (`end`). The owner answers
from the case, tells what an experiment showed when it is asked for, and leaves the rest open. `--check` writes nothing
and fails if a transcript would change.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from nandoctor import interview  # noqa: E402
from nandoctor.consultation import Consultation  # noqa: E402
from nandoctor.ingest import Inputs  # noqa: E402
from nandoctor.interview import Ask, Leave, ReadFiles, Turn, record  # noqa: E402
from nandoctor.interview.pending import Settle  # noqa: E402
from nandoctor.interview.resuming import restore  # noqa: E402
from nandoctor.kb.load import load_knowledge  # noqa: E402
from nandoctor.kb.model import KnowledgeBase  # noqa: E402
from nandoctor.kb.yamlnode import build, compose  # noqa: E402
from nandoctor.render.transcript import Recording  # noqa: E402
from nandoctor.render.words import Words, percent  # noqa: E402

CASES = ROOT / "benchmarks" / "cases"
SCENARIOS = ROOT / "benchmarks" / "scenarios"
OUT = ROOT / "transcripts"
MOST = 12  # questions; more would be a fault of the program
LANGUAGES = {"en": "English", "zh": "中文", "ko": "한국어"}


class Owner:
    """Answers from what the scenario and its case say."""

    def __init__(self, kb: KnowledgeBase, cause: str) -> None:
        self.kb = kb
        self.cause = cause
        self.scenario: dict[str, Any] = read(SCENARIOS / f"{cause}.yaml")
        name = self.scenario.get("case", "")
        self.folder = CASES / name if name else OUT
        known = read(self.folder / "case.yaml") if name else {}
        self.answers = {**known.get("answers", {}), **known.get("experiments", {}), **self.scenario.get("answers", {})}
        self.lines: list[str] = []
        base = os.path.relpath(self.folder, OUT).replace(os.sep, "/")
        start = interview.begin(Consultation(kb), self.scenario["language"])
        self.recording = Recording(start, self.lines.append, base=base)
        self.questions = 0

    def hold(self) -> str:
        """The whole consultation; the transcript's text."""
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            self._settled(self.recording.open())
            for line in self.scenario["open"]:
                self.say(line)
            self._answer_all()
            for line in self.scenario.get("end", ()):
                self.say(line)
                self._answer_all()
            self.say("quit")
            if "next_visit" in self.scenario:
                self._return(self.scenario["next_visit"])
        finally:
            os.chdir(before)
        return "".join(self.lines)

    def _return(self, visit: dict[str, Any]) -> None:
        """The next day, with the log of a new run."""
        recorded = record.parse("".join(self.lines))
        start = restore(recorded, self.kb, Inputs(logs=tuple(visit["logs"])), OUT)
        self.recording = Recording(start, self.lines.append, base=self.recording.base)
        self._settled(self.recording.open())
        for line in visit["say"]:
            self.say(line)
            self._answer_all()
        self.say("quit")

    def say(self, line: str) -> None:
        """One line of the owner."""
        self._settled(self.recording.line(str(line).rstrip("\n")))

    def _answer_all(self) -> None:
        while isinstance(pending := self.recording.now.pending, Ask | Settle):
            if isinstance(pending, Settle):
                self.say("1")
                continue
            self.questions += 1
            if self.questions > MOST:
                raise SystemExit(f"{self.cause}: more than {MOST} questions")
            for line in self.scenario.get("asks", {}).get(str(self.questions), ()):
                self.say(line)
            self.say(self._answer(pending.observation))

    def _answer(self, observation: str) -> str:
        words = self.scenario.get("words", {}).get(observation)
        if words:
            return str(words)
        state = self.answers.get(observation)
        return next((c.key for c in self.recording.now.choices if c.kind == "state" and c.id == state), "0")

    def _settled(self, turn: Turn) -> None:
        while isinstance(turn.effect, ReadFiles):
            turn = self.recording.read(turn.interview.consultation.read(turn.effect.inputs))
        assert turn.effect is None or isinstance(turn.effect, Leave), turn.effect


def read(path: Path) -> dict[str, Any]:
    """A YAML file as plain data."""
    data = build(compose(path.read_text(encoding="utf-8"), str(path)), str(path))
    return dict(data)


def index(rows: list[tuple[str, str, str, str, int, str]]) -> str:
    """The table of contents."""
    head = (
        "# Transcripts\n\n"
        "Consultations held with nandoctor, one for each cause it knows by name, in English, Chinese and Korean in "
        "turn. Each is\nthe program's own record: `nandoctor replay FILE` runs it again and shows the first "
        "difference, `nandoctor --resume FILE`\ncontinues it. Lines beginning with `>` are the owner's; lines in "
        "brackets are what the program noted.\n\n"
        "The runs stand in `benchmarks/cases/`. Made by `python benchmarks/make_transcripts.py` from the scenarios in "
        "`benchmarks/scenarios/`.\n\n"
        "| cause | language | run | framework | questions | verdict |\n|---|---|---|---|---|---|\n"
    )
    lines = [
        f"| [{title}]({cause}.txt) | {LANGUAGES[lang]} | {run} | {framework} | {questions} | {verdict} |"
        for cause, title, lang, run, questions, verdict, framework in rows  # type: ignore[misc]
    ]
    return head + "\n".join(lines) + "\n"


def main() -> int:
    """Writes, or checks, the transcripts asked for."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("causes", nargs="*")
    options.add_argument("--check", action="store_true")
    given = options.parse_args()
    kb = load_knowledge()
    wanted = given.causes or sorted(path.stem for path in SCENARIOS.glob("*.yaml"))
    wrong = 0
    rows: list[Any] = []
    for cause in wanted:
        owner = Owner(kb, cause)
        text = owner.hold()
        said = owner.recording.now
        path = OUT / f"{cause}.txt"
        first, probability = verdict_of(text, said.consultation)
        right = first == cause
        wrong += not right
        print(f"{'ok   ' if right else 'WRONG'} {cause:32} {owner.questions} questions  {first} {probability:.2f}")
        if given.check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                wrong += 1
                print(f"      {path} would change")
        else:
            path.write_text(text, encoding="utf-8", newline="\n")
        rows.append(
            (
                cause,
                kb.causes[cause].title.en,
                owner.scenario["language"],
                owner.scenario.get("case", "told in words"),
                owner.questions,
                percent(probability),
                Words(kb, "en").framework(said.consultation.framework) if said.consultation.framework else "",
            )
        )
    if not given.check and not given.causes:
        (OUT / "README.md").write_text(index(rows), encoding="utf-8", newline="\n")
    return 1 if wrong else 0


def verdict_of(text: str, consultation: Consultation) -> tuple[str, float]:
    """The cause that the first verdict put first (what was tried afterwards changes the beliefs)."""
    for line in text.split("\n"):
        if line.startswith("[verdict "):
            cause, _, probability = line.partition(": ")[2].rstrip("]").split(", ")[0].rpartition(" ")
            return cause, float(probability)
    return consultation.belief.ranking[0]


if __name__ == "__main__":
    raise SystemExit(main())
