"""How early `watch` warns, and how often it warns in healthy runs: every prefix of every shipped log is watched.

python benchmarks/early_warning.py benchmarks/cases
"""

import sys
from pathlib import Path

from nandoctor import evaluation
from nandoctor.kb.load import load_knowledge
from nandoctor.readers.dialect import Lexicon
from nandoctor.readers.logreader import LogReader
from nandoctor.readers.series import onset
from nandoctor.watch import forecast

DIVERGENT = {
    "learning-rate-too-high", "recurrent-gradient-explosion", "optimizer-misconfigured", "loss-weight-too-large",
    "loss-scale-too-large", "lr-schedule-invalid", "input-not-normalized", "unstable-architecture",
}  # fmt: skip


def first_warning(log: Path, lexicon: Lexicon) -> tuple[int | None, int | None]:
    """(line of the first warning, line of the onset), reading the log line by line as it would be written."""
    reader = LogReader(str(log), lexicon)
    lines = log.read_bytes().splitlines(keepends=True)
    size = max(1, len(lines) // 400)  # polls, not lines: a watcher sees a few lines at a time
    for start in range(0, len(lines), size):
        reader.feed(b"".join(lines[start : start + size]))
        run = reader.finish()
        if onset(run):
            return None, start + size
        if forecast(run):
            return start + size, None
    return None, None


def main() -> None:
    lexicon = Lexicon(load_knowledge())
    healthy = false = divergent = warned = 0
    for case in evaluation.load_cases(Path(sys.argv[1])):
        logs = [Path(name) for name in case.logs if name.endswith("train.log")]
        if not logs:
            continue
        line, _ = first_warning(logs[0], lexicon)
        if case.causes[0] in evaluation.FINE:
            healthy += 1
            false += line is not None
            if line is not None:
                print(f"false warning: {case.id} at line {line}")
        elif case.causes[0] in DIVERGENT:
            divergent += 1
            warned += line is not None
    print(f"healthy or benign runs: {healthy}, false warnings: {false}")
    print(f"divergent runs: {divergent}, warned before the NaN: {warned}")


if __name__ == "__main__":
    main()
