"""A tiny knowledge base, runs written for the purpose, and a driver for conversations."""

from __future__ import annotations

from pathlib import Path

from nandoctor import interview as iv
from nandoctor.consultation import Consultation
from nandoctor.interview.state import Interview
from nandoctor.kb.load import read_file
from nandoctor.kb.model import (
    Cause,
    KnowledgeBase,
    Observation,
    Phrases,
    Remedy,
    RemedyUse,
    Shows,
    State,
    Text,
)
from nandoctor.render.speech import speak
from nandoctor.render.words import Words

TEXTS = Path(__file__).parents[2] / "knowledge" / "texts"


def text(en: str) -> Text:
    return Text(en, zh=f"{en}（中）", ko=f"{en}(한)")


def observation(
    name: str, kind: str, states: dict[str, float], *, phrases: dict[str, str] | None = None, **more: object
) -> Observation:
    return Observation(
        id=name,
        kind=kind,  # type: ignore[arg-type]
        title=text(name.replace("_", " ")),
        states=tuple(
            State(s, text(s.replace("_", " ")), p, phrases=Phrases(en=((phrases or {}).get(s, s.replace("_", " ")),)))
            for s, p in states.items()
        ),
        normal=next(reversed(states)),
        question=text(f"What about {name}?"),
        **more,  # type: ignore[arg-type]
    )


def tiny_knowledge() -> KnowledgeBase:
    """Four causes that four observations and one experiment tell apart."""
    observations = [
        observation(
            "loss_before_nan",
            "course",
            {"growing": 0.4, "falling": 0.6},
            phrases={"growing": "loss keeps growing", "falling": "loss was falling"},
        ),
        observation(
            "precision",
            "setup",
            {"fp16": 0.3, "fp32": 0.7},
            phrases={"fp16": "mixed precision", "fp32": "full precision"},
            find_out=text("Look for autocast."),
            find_out_in={"pytorch": text("Search for torch.autocast.")},
        ),
        observation("data_finite", "setup", {"has_bad_samples": 0.2, "checked_clean": 0.8}),
        observation("zero_lr_effect", "experiment", {"still_nan": 0.5, "fine": 0.5}, minutes=8),
    ]
    causes = [
        _cause("learning-rate-too-high", 0.3, "lower-learning-rate", growing=0.9, fp16=0.3, still_nan=0.005),
        _cause("bad-input-data", 0.2, "clean-the-data", growing=0.1, has_bad_samples=0.9, still_nan=0.9),
        _cause("fp16-overflow", 0.1, "use-bf16", growing=0.3, fp16=0.99, still_nan=0.6),
        _cause("healthy", 0.05, "", growing=0.05),
    ]
    remedies = [
        Remedy(
            "lower-learning-rate",
            "fix",
            text("Lower the learning rate"),
            (text("Divide it by ten."),),
            10,
            text("No NaN."),
            snippets={"pytorch": "group['lr'] /= 10\n"},
        ),
        Remedy("clean-the-data", "fix", text("Clean the data"), (text("Drop bad samples."),), 20, text("No NaN.")),
        Remedy("use-bf16", "fix", text("Use bf16"), (text("Switch autocast."),), 5, text("No NaN.")),
        Remedy(
            "zero-learning-rate-run",
            "experiment",
            text("Run with rate 0"),
            (text("Set it to 0."),),
            8,
            text("The losses."),
            asks="zero_lr_effect",
            snippets={"pytorch": "group['lr'] = 0\n"},
        ),
    ]
    messages = [m for file in sorted(TEXTS.glob("*.yaml")) for m in read_file(file).entity.messages]
    return KnowledgeBase(
        causes={c.id: c for c in causes},
        observations={o.id: o for o in observations},
        remedies={r.id: r for r in remedies},
        dialects={},
        checks={},
        messages={m.id: m for m in messages},
    )


_OF = {
    "growing": "loss_before_nan",
    "fp16": "precision",
    "has_bad_samples": "data_finite",
    "still_nan": "zero_lr_effect",
}


def _cause(name: str, prior: float, remedy: str, **shows: float) -> Cause:
    return Cause(
        id=name,
        title=text(name.replace("-", " ")),
        summary=text(f"All about {name}."),
        prior=prior,
        shows=tuple(Shows(_OF[state], state, p) for state, p in shows.items()),
        remedies=(RemedyUse(remedy, "often"),) if remedy else (),
        fault=name != "healthy",
    )


class Talk:
    """Drives a conversation: lines in, what was said out; files are read at once."""

    def __init__(self, kb: KnowledgeBase, lang: str = "en", start: Interview | None = None) -> None:
        self.kb = kb
        self.turn = iv.Turn(start or iv.begin(Consultation(kb), lang))
        self.replies: list[object] = []
        self.saved: list[str] = []
        self._take(iv.opening(self.now))

    @property
    def now(self) -> Interview:
        return self.turn.interview

    def say(self, *lines: str) -> str:
        """The program's words after the last line."""
        for line in lines:
            self.replies = []
            self._take(iv.turn(self.now, line))
        return self.words

    def _take(self, turn: iv.Turn) -> None:
        self.turn = turn
        self.replies += turn.replies
        while isinstance(self.turn.effect, iv.ReadFiles | iv.SaveReport):
            effect = self.turn.effect
            if isinstance(effect, iv.SaveReport):
                self.saved.append(effect.path)
                self.turn = iv.after_saving(self.now, effect.path)
            else:
                self.turn = iv.after_reading(self.now, self.now.consultation.read(effect.inputs))
            self.replies += self.turn.replies

    @property
    def words(self) -> str:
        return self.words_of(self.turn._replace(replies=tuple(self.replies)))  # type: ignore[arg-type]

    def words_of(self, turn: iv.Turn) -> str:
        page = speak(turn.replies, turn.interview.choices, Words(self.kb, turn.interview.lang), 96)
        return page.render(colour=False, ascii_only=False)

    def key(self, state: str) -> str:
        """The number that picks a state."""
        return next(choice.key for choice in self.now.choices if choice.id == state)


def caffe_log(losses: list[str], *, lr: float = 0.1, every: int = 10) -> str:
    """A log as BVLC Caffe writes it, with these loss values."""
    head = "I0817 10:00:00.000000  4242 solver.cpp:279] Solving LeNet\n"
    lines = []
    for number, loss in enumerate(losses):
        stamp = f"I0817 10:{number // 60:02d}:{number % 60:02d}.000000  4242"
        lines += [
            f"{stamp} solver.cpp:228] Iteration {number * every}, loss = {loss}",
            f"{stamp} solver.cpp:244]     Train net output #0: loss = {loss} (* 1 = {loss} loss)",
            f"{stamp} sgd_solver.cpp:106] Iteration {number * every}, lr = {lr}",
        ]
    return head + "\n".join(lines) + "\n"


GROWING = ["2.3", "3.1", "7.4", "28.2", "310.5", "87012.4", "6.1e+09", "nan", "nan", "nan"]
FALLING = [f"{2.3 * 0.93**n:.4f}" for n in range(60)]
