"""Big logs: CPU time and memory against `grep -ciE 'nan|inf'` and against a plain reader, on the same file in one run.

    python benchmarks/biglog.py [--megabytes 300] [--folder DIR] [--keep] [--hard]

Promises: at most 5 times grep's CPU time, at most 150 MB resident, the same onset, every peak of the loss kept.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a checkout need not be installed
ONSET_AT = 0.985  # of the file
PEAK = 90.0  # one line in 50,000 has such a loss


def caffe_lines(random_: random.Random, steps: int) -> Iterator[str]:
    """A Caffe log: loss, output and learning rate every 20 iterations, a test pass every 1000; NaN near the end."""
    yield "I1120 15:33:31.471632  4688 caffe.cpp:211] Use CPU.\n"
    yield "I1120 15:33:31.497956  4688 caffe.cpp:239] Starting Optimization\n"
    bad = int(steps * ONSET_AT)
    for i in range(steps):
        it = 20 * i
        head = f"I1120 {15 + i // 3600 % 9:02d}:{i // 60 % 60:02d}:{i % 60:02d}.{random_.randrange(10**6):06d}  4688 "
        loss = 2.3 * math.exp(-3 * i / steps) + 0.2 * random_.random()
        if i % 50_000 == 49_999:
            loss = PEAK + random_.random()
        text = "nan" if i >= bad else f"{loss:.6g}"
        if it % 1000 == 0:
            yield f"{head}solver.cpp:347] Iteration {it}, Testing net (#0)\n"
            yield f"{head}solver.cpp:414]     Test net output #0: accuracy = {random_.random():.6g}\n"
            yield f"{head}solver.cpp:414]     Test net output #1: loss = {loss:.6g} (* 1 = {loss:.6g} loss)\n"
        speed = 20 / (0.01 + random_.random())
        yield f"{head}solver.cpp:239] Iteration {it} ({speed:.6g} iter/s, {20 / speed:.6g}s/20 iters), loss = {text}\n"
        yield f"{head}solver.cpp:258]     Train net output #0: loss = {text} (* 1 = {text} loss)\n"
        yield f"{head}sgd_solver.cpp:112] Iteration {it}, lr = {0.01 * (1 + 1e-6 * it) ** -0.75:.6g}\n"


def hf_lines(
    random_: random.Random, steps: int, form: str = ".4g", noise: float = 0.2, fall: float = 3.0
) -> Iterator[str]:
    """A Hugging Face log as a redirected terminal: bar, blanks, dict; NaN near the end."""
    bad = int(steps * ONSET_AT)
    for i in range(1, steps + 1):
        share = i / steps
        bar = "█" * int(10 * share) + ("▏▎▍▌▋▊▉"[int(70 * share) % 7] if share < 1 else "")
        clock = f"{i // 3600}:{i // 60 % 60:02d}:{i % 60:02d}"
        shown = f"\r{100 * share:3.0f}%|{bar:<10}| {i - 1}/{steps} [{clock}<{clock}, {3 + random_.random():.2f}it/s]"
        loss = 2.3 * math.exp(-fall * share) + noise * random_.random()
        if i % 50_000 == 0:
            loss = PEAK
        values = {
            "loss": loss,
            "grad_norm": random_.random(),
            "learning_rate": 5e-5 * (1 - share) + 1e-9,
            "epoch": 3 * share,
        }
        if i >= bad:
            values["loss"] = values["grad_norm"] = math.nan
        yield shown + "\r" + " " * 60 + "\r" + str({k: f"{v:{form}}" for k, v in values.items()}) + "\n"


LOGS = (("caffe", caffe_lines), ("hf", hf_lines))
HARD = (
    ("hf-exponents", functools.partial(hf_lines, form=".3e")),
    ("hf-no-noise", functools.partial(hf_lines, form=".6g", noise=0.0, fall=12.0)),
)


def write(path: Path, megabytes: int, lines: Callable[[random.Random, int], Iterator[str]]) -> None:
    """A log of about that size."""
    sample = sum(len(line.encode()) for line in lines(random.Random(1), 2000)) / 2000
    with path.open("w", encoding="utf-8", newline="") as file:
        for line in lines(random.Random(1), int(megabytes * 1e6 / sample)):
            file.write(line)


def plain_reader(path: str) -> dict[str, object]:
    """The baseline: every line through one regular expression after another."""
    patterns = [
        re.compile(r"Iteration (?P<step>\d+).*, loss = (?P<loss>\S+)"),
        re.compile(r"Train net output #\d+: \S+ = (?P<loss>\S+)"),
        re.compile(r"Iteration (?P<step>\d+), lr = (?P<lr>\S+)"),
        re.compile(r"'loss': '?(?P<loss>[^,'}]+)"),
    ]
    onset, count, peaks = None, 0, [0] * len(patterns)
    with Path(path).open(encoding="utf-8", errors="replace", newline="") as file:
        number = 0
        for physical in file:
            for line in re.split(r"\r\n|\r|\n", physical)[:-1]:
                number += 1
                for kind, pattern in enumerate(patterns):
                    match = pattern.search(line)
                    if match is not None:
                        value = match.groupdict().get("loss")
                        if value is not None:
                            count += 1
                            peaks[kind] += float(value) >= PEAK
                            if onset is None and not math.isfinite(float(value)):
                                onset = number
                        break
    return {"onset_line": onset, "readings": count, "peaks": max(peaks)}


def our_reader(path: str) -> dict[str, object]:
    """`read_run` with the shipped knowledge."""
    from nandoctor.kb.load import load_knowledge
    from nandoctor.readers.log import read_run
    from nandoctor.readers.series import onset

    run = read_run([path], load_knowledge())
    found = onset(run)
    losses = [s.finite() for s in run.series if s.role in ("loss", "loss_running")]
    return {
        "onset_line": found[1].line if found else None,
        "onset_step": found[1].step if found else None,
        "readings": sum(s.count for s in run.series),
        "peaks": max(sum(r.value >= PEAK for r in finite) for finite in losses),
    }


def measured(command: list[str]) -> tuple[float, float, str]:
    """CPU seconds, peak resident megabytes and output of a command."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, env={**os.environ, "LC_ALL": "C.UTF-8"})
        _, _, usage = os.wait4(process.pid, 0)
        out.seek(0)
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out.read().decode()


def main() -> int:
    """Prints a table; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--hard", action="store_true", help="logs beyond the promise: exponents, losses without noise")
    parser.add_argument("--read", choices=["ours", "plain"], help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        result = (our_reader if options.read == "ours" else plain_reader)(options.path)
        result["resident"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(result))
        return 0
    folder = options.folder or Path(tempfile.mkdtemp(prefix="nandoctor-biglog-"))
    folder.mkdir(parents=True, exist_ok=True)
    broken = False
    for name, lines in HARD if options.hard else LOGS:
        path = folder / f"{name}.log"
        if not path.exists():
            write(path, options.megabytes, lines)
        measured(["md5sum", str(path)])  # the file is in the page cache for all alike
        grep = min(measured(["grep", "-ciE", "nan|inf", str(path)])[0] for _ in range(3))
        me = [sys.executable, __file__, "--path", str(path), "--read"]
        ours, memory, told = min((measured([*me, "ours"]) for _ in range(3)), key=lambda m: m[0])
        plain, plain_memory, plain_told = measured([*me, "plain"])
        a, b = json.loads(told), json.loads(plain_told)
        same = a["onset_line"] == b["onset_line"] and a["peaks"] == b["peaks"]
        broken = broken or not same or ours > 5 * grep or memory > 150
        start = time.strftime("%Y-%m-%d")
        print(
            f"{start} {name}: {path.stat().st_size / 1e6:.0f} MB, grep {grep:.2f} s, nandoctor {ours:.2f} s "
            f"({ours / grep:.1f} x grep), {memory:.0f} MB resident; plain reader {plain:.2f} s, {plain_memory:.0f} MB; "
            f"onset line {a['onset_line']} (plain: {b['onset_line']}), step {a['onset_step']}, "
            f"{a['peaks']} of {b['peaks']} peaks kept"
        )
        if not options.keep and options.folder is None:
            path.unlink()
    return int(broken)


if __name__ == "__main__":
    raise SystemExit(main())
