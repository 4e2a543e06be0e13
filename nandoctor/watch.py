"""`nandoctor watch LOG`: follows a log, warns before growth overflows, diagnoses at the onset.

The forecast is that of the growth test: with the measured growth r per print and the last value L, the loss overflows
in n = (ln FLT_MAX - ln L) / ln r prints. It speaks only when the growth is clear, so that healthy noise, spikes that
recover, warm-ups and restarts stay silent; the thresholds were chosen on healthy runs (benchmarks/early_warning.py).
"""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Callable
from typing import NamedTuple

from nandoctor.consultation import Consultation, Inputs
from nandoctor.errors import ExitCode
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.facts import Reading, Run, Series
from nandoctor.readers.follow import Follower
from nandoctor.readers.series import LOSS_ROLES, approach, main_loss, onset, steps_to_overflow

MIN_RISE = 3  # consecutive prints that grow
MIN_FACTOR = 30.0  # the last value against the calm level before the rise
MIN_RATE = 1.6  # growth per print over the rise
HORIZON = 200.0  # prints; an overflow further away is no warning yet
AT_MOST = 400  # last readings looked at


class Forecast(NamedTuple):
    """A loss that runs away: the series, its last reading, growth per print, and iterations until it overflows."""

    series: Series
    last: Reading
    rate: float
    factor: float
    iterations: float


def forecast(run: Run) -> Forecast | None:
    """Whether the present growth of a training loss will overflow soon; None while it is finite and calm."""
    if onset(run) is not None:
        return None
    for series in (main_loss(run), *run.of("grad_norm")):
        if series is None:
            continue
        readings = [r for r in series.readings[-AT_MOST:] if math.isfinite(r.value)]
        if len(readings) < MIN_RISE + 2:
            continue
        rise = approach(readings)
        if rise is None or rise.steps_growing < MIN_RISE or rise.ratio < MIN_FACTOR or rise.per_step < MIN_RATE:
            continue
        if series.role not in LOSS_ROLES and rise.ratio < MIN_FACTOR**2:
            continue  # gradient norms jump by themselves; only a very clear rise counts
        prints = steps_to_overflow(rise.last, rise.per_step)
        if prints > HORIZON:
            continue
        return Forecast(series, readings[-1], rise.per_step, rise.ratio, prints * _interval(readings))
    return None


def _interval(readings: list[Reading]) -> float:
    """Iterations between two prints near the end; 1 if unknown."""
    steps = [r.step for r in readings[-10:] if r.step is not None]
    gaps = sorted(b - a for a, b in zip(steps, steps[1:]) if b > a)
    return gaps[len(gaps) // 2] if gaps else 1.0


class Notice(NamedTuple):
    """Something to tell: `kind` is warning, calm, onset or restart."""

    kind: str
    text: str


class Watch:
    """Polls a log and says what changed. `poll` gives the notices since the last one."""

    def __init__(self, path: str, kb: KnowledgeBase, lang: str = "en", net: str = "", solver: str = "") -> None:
        self.kb = kb
        self.lang = lang
        self.files = Inputs(logs=(path,), net=net, solver=solver)
        self.follower = Follower(path, kb)
        self.warned = False
        self.onset_seen = False
        self.run: Run | None = None

    def poll(self) -> list[Notice]:
        """Reads what is new and compares with what was told."""
        restarts = self.follower.restarts
        if not self.follower.poll():
            return []
        notices = []
        if self.follower.restarts != restarts:
            self.warned = self.onset_seen = False
            notices.append(Notice("restart", self._text("watch:restart")))
        self.run = run = self.follower.run()
        if not self.onset_seen and (found := onset(run)):
            self.onset_seen = True
            step = found[1].step if found[1].step is not None else "?"
            notices.append(Notice("onset", self._text("watch:onset", step=_shown(step), line=found[1].line)))
            return notices
        ahead = None if self.onset_seen else forecast(run)
        if ahead and not self.warned:
            self.warned = True
            text = self._text(
                "watch:warning",
                name=ahead.series.quantity,
                value=f"{ahead.last.value:.3g}",
                factor=f"{ahead.factor:.3g}",
                count=_shown(max(1.0, round(ahead.iterations))),
            )
            notices.append(Notice("warning", text))
        elif self.warned and not ahead and not self.onset_seen:
            self.warned = False
            notices.append(Notice("calm", self._text("watch:calm")))
        return notices

    def diagnosis(self) -> Consultation:
        """The consultation on the log as it is now."""
        return Consultation(self.kb).read(self.files)

    def _text(self, message: str, **args: object) -> str:
        return self.kb.text(message, self.lang, **args)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def follow(
    watch: Watch,
    tell: Callable[[str], None],
    report: Callable[[Consultation], str],
    *,
    command: str = "",
    interval: float = 1.0,
    idle: float = math.inf,
    once: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Polls until the onset, until `idle` seconds bring nothing new, or once; gives the exit code.

    command: a shell command run at a warning and at the onset, with NANDOCTOR_EVENT and NANDOCTOR_LOG in its
    environment.
    """
    quiet = 0.0
    try:
        while True:
            before = watch.follower.bytes_read
            for notice in watch.poll():
                tell(notice.text)
                if command and notice.kind in ("warning", "onset"):
                    _run(command, notice, watch.follower.path, tell)
                if notice.kind == "onset":
                    tell(report(watch.diagnosis()))
                    return ExitCode.FAULT
            quiet = 0.0 if watch.follower.bytes_read != before else quiet + interval
            if once or quiet >= idle:
                return ExitCode.FAULT if watch.warned else ExitCode.FINE
            sleep(interval)
    finally:
        watch.follower.close()


def _run(command: str, notice: Notice, path: str, tell: Callable[[str], None]) -> None:
    import os

    environment = {**os.environ, "NANDOCTOR_EVENT": notice.kind, "NANDOCTOR_LOG": path, "NANDOCTOR_TEXT": notice.text}
    done = subprocess.run(command, shell=True, check=False, env=environment)
    if done.returncode:
        tell(f"nandoctor: `{command}` ended with {done.returncode}")
