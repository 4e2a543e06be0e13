"""How long until the first screen, against a bare Textual app; and until an answer shows. On a real pseudo-terminal.

    python benchmarks/tui_start.py [--rounds 9]

Prints the best of the rounds in milliseconds. The promise: the first screen within 2.5 times the bare app, an answer
within 50 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROMISE = 2.5
ANSWER_MS = 50.0
BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("the first screen")
Bare().run()
"""
OURS = """
from pathlib import Path
from nandoctor import tui
from nandoctor.consultation import Consultation
from nandoctor.kb.load import load_knowledge
tui.run(Consultation(load_knowledge()), "en", transcript=Path({transcript!r}))
"""


def first_screen(program: str, wanted: bytes) -> float:
    """Seconds from the start of a process until `wanted` is on its screen."""
    main, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=child, stdout=child, stderr=child, env=environment
    )
    os.close(child)
    seen = b""
    try:
        while wanted not in seen:
            ready, _, _ = select.select([main], [], [], 20.0)
            if not ready:
                raise TimeoutError(f"{wanted!r} never came")
            seen += os.read(main, 65536)
        return time.perf_counter() - begun
    finally:
        process.kill()
        process.wait()
        os.close(main)


async def answers() -> list[float]:
    """Milliseconds from a key to the painted answer, for each question of a consultation without files."""
    from nandoctor import interview
    from nandoctor.consultation import Consultation
    from nandoctor.kb.load import load_knowledge
    from nandoctor.render.transcript import Recording
    from nandoctor.tui.app import NandoctorApp

    app = NandoctorApp(Recording(interview.begin(Consultation(load_knowledge()))))
    took = []
    async with app.run_test(size=(100, 30)) as pilot:
        await app.screen.give("loss is nan")  # type: ignore[attr-defined]
        for _ in range(6):
            begun = time.perf_counter()
            await app.screen.give("2")  # type: ignore[attr-defined]
            took.append(1000 * (time.perf_counter() - begun))
            await pilot.pause()
    return took


def main() -> None:
    """Measures and prints."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=9)
    rounds = options.parse_args().rounds
    bare, ours = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            one = first_screen(BARE, b"the first screen")
            two = first_screen(OURS.format(transcript=f"{folder}/{number}.txt"), b"What is happening?")
            if number:  # the first round fills the caches
                bare.append(one)
                ours.append(two)
    ratio = min(ours) / min(bare)
    print(f"bare Textual app   {1000 * min(bare):6.0f} ms best, {1000 * statistics.median(bare):6.0f} ms median")
    print(f"nandoctor          {1000 * min(ours):6.0f} ms best, {1000 * statistics.median(ours):6.0f} ms median")
    print(f"ratio              {ratio:6.2f}    promised at most {PROMISE}")
    took = asyncio.run(answers())
    middle = statistics.median(took)
    print(f"answer shown       {middle:6.0f} ms median, {max(took):.0f} ms most; promised {ANSWER_MS:.0f}")


if __name__ == "__main__":
    main()
