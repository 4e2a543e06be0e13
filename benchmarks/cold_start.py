"""Cold start of a report on a 3 MB log with net and solver, against a bare interpreter; best of nine each.

The ratio is what counts: both are measured in one run on one machine. Also printed: CPU time, and the modules that must
not be imported for a report. Usage: python benchmarks/cold_start.py
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CORPUS = Path(__file__).parent.parent / "tests" / "corpus" / "lr_leaky_debug"
ROUNDS = 9
SIZE = 3_000_000


def best(command: list[str]) -> tuple[float, float]:
    """(wall, CPU) seconds of the fastest of ROUNDS runs after one warm-up."""
    walls, cpus = [], []
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # users keep their bytecode
    for turn in range(ROUNDS + 1):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, env=environment)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        if turn:
            walls.append(wall)
            cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(walls), min(cpus)


def log_of_size(path: Path) -> None:
    """A Caffe log of 3 MB: the corpus run's header, many healthy iterations, then its last lines with the NaN."""
    text = (CORPUS / "train.log").read_text("utf-8")
    start = text.index("Solving")
    header = text[: text.index("\n", start) + 1]
    line = (
        "I1120 15:33:31.{0:06d}  4685 solver.cpp:239] Iteration {1} (454.545 iter/s, 0.002s/1 iters), loss = {2:.5f}\n"
        "I1120 15:33:31.{0:06d}  4685 solver.cpp:258]     Train net output #0: loss = {2:.5f} (* 1 = {2:.5f} loss)\n"
        "I1120 15:33:31.{0:06d}  4685 sgd_solver.cpp:112] Iteration {1}, lr = 0.01\n"
    )
    parts, size, step = [header], len(header), 0
    while size < SIZE:
        block = line.format(step % 1_000_000, step, 2.0 + 0.3 / (1 + step / 500))
        parts.append(block)
        size += len(block)
        step += 1
    parts += [line.format(0, step + i, value) for i, value in enumerate((2.5, 40.0, 9e5, 3e17))]
    parts += [line.format(0, step + 4 + i, float("nan")) for i in range(5)]
    path.write_text("".join(parts), "utf-8")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "train.log"
        log_of_size(log)
        report = [sys.executable, "-m", "nandoctor", "--log", str(log), "--net", str(CORPUS / "train_val.prototxt"),
                  "--solver", str(CORPUS / "solver.prototxt")]  # fmt: skip
        bare = best([sys.executable, "-c", "pass"])
        full = best(report)
        print(f"bare interpreter   {bare[0] * 1000:6.1f} ms wall, {bare[1] * 1000:6.1f} ms CPU")
        print(f"report             {full[0] * 1000:6.1f} ms wall, {full[1] * 1000:6.1f} ms CPU")
        print(f"ratio              {full[0] / bare[0]:6.1f}    wall, {full[1] / bare[1]:6.1f}    CPU (promise: 15)")


if __name__ == "__main__":
    main()
