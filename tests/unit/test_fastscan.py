"""Big logs are scanned: what the scan promises to keep, against reading everything."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nandoctor.kb.load import load_knowledge
from nandoctor.readers import fastscan, lines, merge
from nandoctor.readers.extremes import Extremes, outside
from nandoctor.readers.facts import Reading, Run
from nandoctor.readers.kinds import Keys, keys_of
from nandoctor.readers.log import read_run
from nandoctor.readers.runstate import LOSSES

KB = load_knowledge()
PRINTED = ["{:.4f}", "{:g}", "{:.1f}", "{:.0f}", "{:.3e}", "{:.6g}"]


# --- numbers outside a range


def some_number(source: random.Random) -> float:
    size = 10.0 ** source.choice([0, 0, 1, 2, 3, 5, -1, -2, -4])
    value = source.choice([source.uniform(0, 10) * size, source.randrange(100) * size, 0.0])
    return value * source.choice([1, 1, 1, -1])


@pytest.mark.parametrize("seed", range(20))
def test_numbers_outside_a_range_are_found(seed: int) -> None:
    source = random.Random(seed)
    within = found = 0
    for _ in range(60):
        low, high = sorted(float(source.choice(PRINTED[:4]).format(some_number(source))) for _ in range(2))
        regex = re.compile(outside(low, high))
        for _ in range(40):
            near = source.choice([low, high]) * source.uniform(0.8, 1.2)
            text = source.choice(PRINTED[:4]).format(source.choice([near, some_number(source)]))
            if "e" in text or (text[0] == "-" and float(text) == 0):
                continue
            value = float(text)
            if value > high + abs(high) / 10 or value < low - abs(low) / 10:
                assert regex.match(text), (low, high, text)
            elif low <= value <= high:
                within += 1
                found += regex.match(text) is not None
    assert found < within / 10  # few are read in vain


@pytest.mark.parametrize(
    ("low", "high", "inside", "beyond"),
    [
        (2.51, 2.51, ["2.51", "2.5", "2.59"], ["2.6", "2.49", "25.1", "3", "-2.5", "0.25"]),
        (0.012, 97, ["0.012", "1", "97.9", "12.5"], ["98", "0.0119", "112", "-1"]),
        (0.0, 3.0, ["0", "0.0000", "0.25", "3.04", "3"], ["3.1", "4", "12", "-0.1"]),
        (-2.0, 0.0, ["-2.04", "-1", "-0.5", "0", "0.00"], ["-2.1", "-13", "0.1", "1"]),
        (-30.0, -20.0, ["-30.5", "-29", "-20"], ["-31", "-19", "-2", "0", "25"]),
        (9.95, 9.99, ["9.95"], ["10", "9.8"]),
        (1000, 123456, ["1000.5", "99999", "123456"], ["130000", "999", "1000000"]),
    ],
)
def test_the_range_ends_at_two_digits(low: float, high: float, inside: list[str], beyond: list[str]) -> None:
    regex = re.compile(outside(low, high))
    assert [text for text in inside if regex.match(text)] == []
    assert [text for text in beyond if not regex.match(text)] == []


def test_before_the_first_finite_number_every_one_is_outside() -> None:
    extremes = Extremes(b"loss:")
    assert extremes.search is None
    extremes.widen([])
    assert extremes.search is None
    extremes.widen([float("nan")])
    assert extremes.search is not None
    assert extremes.search(b"step 5 loss: nan") is None
    assert extremes.search(b"step 5 loss:  0.5") is not None
    extremes.widen([0.5, float("inf")])
    assert extremes.search(b"step 5 loss: 0.5\nstep 6 loss: 0.505\n") is None
    assert extremes.search(b"step 5 loss: 0.5\nstep 6 loss: 0.62\n") is not None


# --- kinds of lines


@pytest.mark.parametrize("seed", range(30))
def test_the_kinds_of_a_chunk_are_those_of_its_lines(seed: int) -> None:
    source = random.Random(seed)
    end = source.choice(["\n", "\r", "\r\n"])
    unit = ["".join(source.choices("ab1 ", k=source.randrange(4))) for _ in range(source.randrange(1, 6))]
    text = unit * source.randrange(1, 400)
    text = text[: source.randrange(1, len(text) + 1)]
    if source.random() < 0.3:
        text[source.randrange(len(text))] = "nan"
    chunk = (end.join(text) + source.choice(["", end, f"{end}a", f"{end}7"])).encode()
    expected = keys_of(chunk, end == "\r\n")
    keys = Keys(chunk, end == "\r\n")
    assert (keys.kinds, keys.lines, keys.in_order) == (set(expected), len(expected), expected)


# --- peaks


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of 16 kB from 8 kB on."""
    for module, name, value in [
        (merge, "SMALL", 2048),
        (merge, "HEAD", 2048),
        (lines, "CHUNK", 2048),
        (fastscan, "WIDE", 8),
        (fastscan, "ALL_VALUES", 4096),
        (fastscan, "ABOVE", 300),
        (fastscan, "BELOW", 150),
    ]:
        monkeypatch.setattr(module, name, value)


def one_line(step: int, loss: str, source: random.Random) -> str:
    return f"step {step} | loss {loss} | lr 1e-3\n"


def caffe(step: int, loss: str, source: random.Random) -> str:
    head = f"I1120 15:00:{step % 60:02d}.471632  4688 "
    test = f"{head}solver.cpp:347] Iteration {step}, Testing net (#0)\n" if step % 50 == 0 else ""
    return (
        f"{test}{head}solver.cpp:239] Iteration {step} (27.5 iter/s, 0.7s/20 iters), loss = {loss}\n"
        f"{head}solver.cpp:258]     Train net output #0: accuracy = {source.random():.3f}\n"
        f"{head}sgd_solver.cpp:112] Iteration {step}, lr = 0.01\n"
    )


def hugging_face(step: int, loss: str, source: random.Random) -> str:
    bar = f"\r{step / 100:3.0f}%|##  | {step}/9000 [0:00:01<0:00:01, 3.13it/s]\r{'':20}\r"
    return f"{bar}{{'loss': '{loss}', 'grad_norm': '{source.random():.4f}', 'epoch': '{step / 100:.2f}'}}\n"


def losses(run: Run) -> tuple[Reading, ...]:
    series = [s for s in run.series if s.role in LOSSES]
    return max(series, key=lambda s: s.count).readings


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("write", [one_line, caffe, hugging_face])
@pytest.mark.usefixtures("small_limits")
def test_a_peak_anywhere_survives(
    write: Callable[[int, str, random.Random], str], seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = random.Random(seed)
    printed = source.choice(PRINTED)
    level = 10.0 ** source.choice([-3, -1, 0, 0, 2]) if "f" not in printed else source.choice([1.0, 20.0, 1000.0])
    steps, falls, noise = 4000, source.uniform(0, 4), source.uniform(0, 0.3)
    curve = [level * (2.718 ** (-falls * i / steps) + noise * source.random()) for i in range(steps)]
    planted = {}
    for part in range(4):  # one in every quarter, from a few lines to one
        at = source.randrange(part * 1000 + 250, part * 1000 + 750)  # no two in one window
        height = max(curve[part * 1000 : part * 1000 + 1000]) * 10 ** source.uniform(0.35, 4)
        for i in range(at, at + source.choice([1, 1, 3])):
            curve[i] = height * source.uniform(0.5, 0.9)
        curve[at] = height
        planted[at] = float(printed.format(height))
    path = tmp_path / "train.log"
    path.write_text("".join(write(i, printed.format(v), source) for i, v in enumerate(curve)), newline="")
    scanned = losses(read_run([path], KB))
    monkeypatch.setattr(merge, "SMALL", 1 << 30)
    monkeypatch.setattr(merge, "HEAD", 1)
    whole = losses(read_run([path], KB))
    kept = {reading.line: reading for reading in scanned}
    assert len(scanned) < steps
    for reading in whole:
        if reading.step in planted and reading.value == planted[int(reading.step)]:
            assert kept.get(reading.line) == reading
    assert {planted[at] for at in planted} <= {reading.value for reading in scanned}
    assert min(r.value for r in scanned) <= 1.1 * min(r.value for r in whole) + 1e-12


@pytest.mark.usefixtures("small_limits")
def test_a_peak_with_an_exponent_survives_wherever_such_numbers_are_known(tmp_path: Path) -> None:
    source = random.Random(5)
    text = ["2.5" if i % 7 else "2.45" for i in range(6000)]
    for at in range(500, 6000, 250):  # the kind of line is known from the first on
        text[at] = "1.5e-05"
    text[4321] = "3.25e+04"
    path = tmp_path / "train.log"
    path.write_text("".join(one_line(i, loss, source) for i, loss in enumerate(text)))
    assert Reading(4321.0, 4322, 3.25e4) in losses(read_run([path], KB))
