"""Hostile logs: mutated real ones and noise. No exception but `NandoctorError`, no input longer than a second.

python benchmarks/fuzz_logs.py [--inputs 100000] [--seed 1]
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a checkout need not be installed

LIMIT = 1.0  # seconds of CPU for one input
TOKENS = (
    b"nan", b"-nan", b"inf", b"NaN", b"1.#QNAN", b"-1.#IND", b"nan.0", b"-nan(ind)", b"Infinity", b"1e400", b"-1e-400",
    b"\r", b"\n", b"\r\n", b"\x08" * 30, b"\x1b[2K", b"\x1b[1;31m", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc4\xe3",
    b"Iteration 0, loss = ", b"Train net output #0: ", b"Traceback (most recent call last):", b"RuntimeWarning: ",
    b"{'loss': ", b"'epoch': ", b"Epoch 1/", b"100%|", b"| 1/2 [", b"v_num=", b" - loss: ", b"\x85\x0c\x1c", b"\t",
    b"Initializing net from parameters: ", b"(", b"[" * 40, b"{" * 40, b"," * 50, b" " * 200, b"1 " * 100, b"a." * 100,
    b"-" * 100, b"9" * 400, b"\xe2\x96\x88" * 50, b"epoch,loss,lr\n", b'"log_history": [', b'{"loss": NaN, "step": ',
    b"all", b"=", b":", b"loss ", b"#",
)  # fmt: skip


def seeds() -> list[bytes]:
    """Real logs, in pieces of at most 6 kB, and the samples of all dialects."""
    from nandoctor.kb.load import load_knowledge

    found: list[bytes] = []
    for path in sorted((ROOT / "tests" / "corpus").rglob("*")):
        if path.is_file() and path.suffix in (".log", ".csv", ".json", ".jsonl"):
            data = path.read_bytes()
            found += [data[:6000], data[-6000:], data[len(data) // 2 : len(data) // 2 + 6000]]
    for dialect in load_knowledge().dialects.values():
        found += [sample.line.encode() for sample in dialect.samples]
        found.append(b"\n".join(sample.line.encode() for sample in dialect.samples))
    return found


def mutations(seeds_: list[bytes], random_: random.Random) -> Iterator[bytes]:
    """Endless mutated inputs: cut, joined, repeated, bytes changed, tokens put in, recoded, noise."""
    while True:
        data = bytearray(random_.choice(seeds_))
        for _ in range(random_.choice((1, 1, 2, 3, 8, 20))):
            at = random_.randrange(len(data) + 1)
            kind = random_.randrange(9)
            if kind == 0:
                del data[at : at + random_.randrange(1, 200)]
            elif kind <= 3:
                data[at:at] = random_.choice(TOKENS)
            elif kind == 4:
                data[at : at + 1] = random_.randbytes(random_.randrange(4))
            elif kind == 5:
                other = random_.choice(seeds_)
                start = random_.randrange(len(other) + 1)
                data[at:at] = other[start : start + random_.randrange(1, 2000)]
            elif kind == 6:
                piece = bytes(data[at : at + random_.randrange(1, 80)])
                data[at:at] = piece * random_.randrange(1, 60)
            elif kind == 7 and random_.random() < 0.2:
                data = data.replace(b"\n", random_.choice((b"\r", b"\r\n", b"", b" ", b"\n\n")))
            elif random_.random() < 0.1:
                data = bytearray(random_.randbytes(random_.randrange(300)))
            if len(data) > 40_000:
                del data[40_000:]
        if random_.random() < 0.02:
            data = bytearray(
                bytes(data).decode("utf-8", "replace").encode(random_.choice(("utf-16", "utf-16-be", "gb18030")))
            )
        yield bytes(data)


def main() -> int:
    """1 if an input broke the promise; it is written beside this script's working folder as `fuzz-*.bin`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    from nandoctor.errors import NandoctorError
    from nandoctor.kb.load import load_knowledge
    from nandoctor.readers.log import read_text

    kb = load_knowledge()
    broken, refused, slowest, slow_input = 0, 0, 0.0, b""
    start = time.process_time()
    source = mutations(seeds(), random.Random(options.seed))
    for number in range(options.inputs):
        data = next(source)
        began = time.process_time()
        try:
            read_text(data, "fuzz", kb)
        except NandoctorError:
            refused += 1
        except Exception as exc:
            broken += 1
            Path(f"fuzz-{options.seed}-{number}.bin").write_bytes(data)
            print(f"input {number}: {type(exc).__name__}: {exc}")
        took = time.process_time() - began
        if took > slowest:
            slowest, slow_input = took, data
        if took > LIMIT:
            broken += 1
            Path(f"fuzz-{options.seed}-{number}.bin").write_bytes(data)
            print(f"input {number}: {took:.2f} s")
        if sys.stderr.isatty() and number % 500 == 0:
            print(f"\r{number}/{options.inputs}", end="", file=sys.stderr)
    total = time.process_time() - start
    print(
        f"{options.inputs} inputs, seed {options.seed}: {broken} broken, {refused} refused as unreadable; "
        f"slowest {slowest:.3f} s ({len(slow_input)} bytes); {total:.0f} s in all"
    )
    return int(broken > 0)


if __name__ == "__main__":
    raise SystemExit(main())
