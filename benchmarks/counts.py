"""Where the words of the knowledge and the counts over labelled cases disagree.

For every cause and observation: how often the cause's cases show each state (files, answers and experiments together),
against what the knowledge says; rows whose counts would be surprising (two-sided binomial test) are printed. An author
reads them, understands why, and changes a word if the reason is general. Usage:

    python benchmarks/counts.py CASES_DIR [--cause ID] [--observation ID] [--limit 0.02]
"""

import argparse
import math
from collections import Counter, defaultdict
from pathlib import Path

from nandoctor import evaluation
from nandoctor.consultation import Consultation
from nandoctor.inference.belief import settled
from nandoctor.kb.load import load_knowledge


def states_of(case: evaluation.Case, kb: object) -> dict[str, str]:
    opened: Consultation = evaluation.open_case(case, kb, "all")  # type: ignore[arg-type]
    held = {name: item.state for name, item in settled(opened.evidence).items()}
    return {**{k: v for k, v in case.experiments.items() if k in opened.tables.rows}, **held}


def tail(count: int, total: int, p: float) -> float:
    """Two-sided binomial tail: the chance of a count at most as likely as this one."""
    chance = [math.comb(total, k) * p**k * (1 - p) ** (total - k) for k in range(total + 1)]
    return sum(c for c in chance if c <= chance[count] * (1 + 1e-9))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--cause", default="")
    parser.add_argument("--observation", default="")
    parser.add_argument("--limit", type=float, default=0.02)
    options = parser.parse_args()
    kb = load_knowledge()
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    tables = Consultation(kb).tables
    for case in evaluation.load_cases(options.cases):
        for name, state in states_of(case, kb).items():
            counts[case.causes[0], name][state] += 1
    rows = []
    for (cause, name), seen in counts.items():
        if options.cause not in ("", cause) or options.observation not in ("", name) or cause not in tables.causes:
            continue
        total = sum(seen.values())
        said = tables.rows[name][tables.causes.index(cause)]
        for state, p in zip(tables.states[name], said, strict=True):
            chance = tail(seen[state], total, p)
            if chance <= options.limit:
                rows.append((chance, cause, name, state, p, seen[state], total))
    for chance, cause, name, state, p, count, total in sorted(rows):
        print(f"{chance:8.1e}  {cause:<30} {name:<24} {state:<28} says {p:.3f}, seen {count}/{total}")


if __name__ == "__main__":
    main()
