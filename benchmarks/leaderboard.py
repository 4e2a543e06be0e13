"""nandoctor against what a person would take instead, on labelled cases: first cause right.

Baselines: always "lower the learning rate" (healthy where the log holds no NaN); the most frequent cause of the other
cases (leave one out); a checklist of greps as found in forum answers. Usage: python benchmarks/leaderboard.py CASES_DIR
"""

import re
import sys
from collections import Counter
from pathlib import Path

from nandoctor import evaluation
from nandoctor.kb.load import load_knowledge

CHECKLIST = (
    (r"lr[ =:]+[-+]?(nan|inf)|learning.rate\D{0,4}(nan|inf)", "lr-schedule-invalid"),
    (r"Check failed|out of (range|bounds)|label value", "bad-labels"),
    (r"encountered in log|LogBackward|primitive:? log", "log-of-zero"),
    (r"divide by zero|DivBackward", "division-by-zero"),
    (r"SqrtBackward|PowBackward|NormBackward", "singular-gradient"),
    (r"overflow encountered in exp|ExpBackward", "exp-overflow"),
    (r"loss scale|fp16|float16|GradScaler", "fp16-overflow"),
    (r"LSTM|RNN|recurrent", "recurrent-gradient-explosion"),
    (r"BatchNorm", "batchnorm-instability"),
)
NAN = re.compile(r"(?<![a-z])(nan|inf)(?![a-z])", re.IGNORECASE)
BIG = re.compile(r"loss\D{0,4}\d+\.?\d*e\+?(\d\d)|loss\D{0,4}(\d{6,})", re.IGNORECASE)


def text_of(case: evaluation.Case) -> str:
    names = [*case.logs, *filter(None, (case.net, case.solver))]
    return "\n".join(Path(name).read_text(encoding="utf-8", errors="replace") for name in names)


def grep_checklist(case: evaluation.Case) -> str:
    text = text_of(case)
    if not NAN.search(text):
        return "healthy"
    found = next((cause for pattern, cause in CHECKLIST if re.search(pattern, text, re.IGNORECASE)), "")
    return found or ("learning-rate-too-high" if BIG.search(text) else "bad-input-data")


def always_lower_lr(case: evaluation.Case) -> str:
    return "learning-rate-too-high" if NAN.search(text_of(case)) else "healthy"


def right(case: evaluation.Case, answer: str) -> bool:
    if case.causes[0] in evaluation.FINE:
        return answer in evaluation.FINE
    return answer in {*case.causes, *case.acceptable}


def table(folder: Path) -> str:
    """The leaderboard as a Markdown table."""
    cases = evaluation.load_cases(folder)
    counts = Counter(case.causes[0] for case in cases)

    def majority(case: evaluation.Case) -> str:
        rest = counts - Counter({case.causes[0]: 1})
        return max(rest, key=lambda cause: (rest[cause], cause))

    kb = load_knowledge()
    rows = [
        ("nandoctor, files and answers", [o.first for o in evaluation.evaluate(cases, kb, "all")]),
        ("nandoctor, files alone", [o.first for o in evaluation.evaluate(cases, kb, "files")]),
        ("checklist of greps", [right(c, grep_checklist(c)) for c in cases]),
        ('always "lower the learning rate"', [right(c, always_lower_lr(c)) for c in cases]),
        ("most frequent cause", [right(c, majority(c)) for c in cases]),
    ]
    lines = [f"| on {len(cases)} cases | right cause first | 95 % interval |", "|---|---|---|"]
    for name, flags in rows:
        figure = evaluation.share(flags)
        lines.append(f"| {name} | {figure.share:.0%} | {figure.low:.0%} to {figure.high:.0%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
