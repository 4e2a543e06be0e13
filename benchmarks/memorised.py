"""Whether the knowledge remembers the cases: its words against words mixed with counts, and against shuffled words.

Every P(state | cause) becomes (s * word + count) / (s + n), with s = 12 (and 100) and counts of what the cases of
that cause show (files, answers and experiments). Leave one out: the judged case does not count. Split halves: counts
from one half, judged on the other. Blurred: every row disturbed at random (log P + normal noise of 0.5, a factor of
1.6), which costs knowledge little and a fit to the cases much. Shuffled: each observation's rows, and the priors,
dealt out anew among the causes; what then comes out is what chance gives. Usage:

    python benchmarks/memorised.py CASES_DIR [CASES_DIR ...] [--disagreements] [--write docs]
"""

import argparse
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from figures import percent, place, rows

from nandoctor import evaluation
from nandoctor.consultation import Consultation
from nandoctor.diagnosis import Evidence
from nandoctor.inference.belief import Belief, settled
from nandoctor.inference.tables import Tables, fault_sets
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import KnowledgeBase

STRENGTH = 12.0  # a word weighs as much as this many cases
LOOSE = 100.0  # the same, trusting the words more
BLUR = 0.5  # standard deviation of log P
ROUNDS = 5  # of what is left to chance
SEED = 3
KINDS = {"run": "runs", "reported": "reported cases"}
Counts = dict[tuple[str, str], Counter[str]]  # (cause, observation) -> state -> cases


class Seen(NamedTuple):
    """A case, the evidence held with all answers, and with the experiments too; the states that are counted."""

    case: evaluation.Case
    answers: tuple[Evidence, ...]
    experiments: tuple[Evidence, ...]
    states: dict[str, str]


def seen(case: evaluation.Case, kb: KnowledgeBase) -> Seen:
    opened = evaluation.open_case(case, kb, "all")
    told: Consultation = opened
    for name, state in case.experiments.items():
        if (known := kb.observations.get(name)) and known.state(state):
            told = told.answer(name, state, asked=False)
    states = {name: item.state for name, item in settled(told.evidence).items() if name in told.tables.rows}
    return Seen(case, opened.evidence, told.evidence, states)


def counted(items: Iterable[Seen]) -> Counts:
    """How often the cases of a cause show each state; a case with several causes counts for none."""
    counts: Counts = {}
    for item in items:
        if len(item.case.causes) == 1:
            for name, state in item.states.items():
                counts.setdefault((item.case.causes[0], name), Counter())[state] += 1
    return counts


def mixed(tables: Tables, counts: Counts, strength: float = STRENGTH) -> Tables:
    """The tables with every counted row mixed with its counts."""
    out = {name: list(row) for name, row in tables.rows.items()}
    for (cause, name), count in counts.items():
        if cause not in tables.causes:
            continue
        index, total = tables.causes.index(cause), sum(count.values())
        out[name][index] = tuple(
            (strength * p + count[state]) / (strength + total)
            for p, state in zip(tables.rows[name][index], tables.states[name], strict=True)
        )
    return msgspec.structs.replace(tables, rows={name: tuple(row) for name, row in out.items()})


def shuffled(tables: Tables, chooser: random.Random) -> Tables:
    """Each observation's rows, and the priors, dealt out anew among the causes (`none-of-these` keeps its own)."""

    def deal(values: Sequence[object]) -> list[object]:
        dealt = list(values[:-1])
        chooser.shuffle(dealt)
        return [*dealt, values[-1]]

    priors = tuple(deal(tables.priors))
    out = {name: tuple(deal(row)) for name, row in tables.rows.items()}
    return msgspec.structs.replace(tables, rows=out, priors=priors, sets=fault_sets(priors, tables.pairs))  # type: ignore[arg-type]


def blurred(tables: Tables, chooser: random.Random) -> Tables:
    """Every row of every cause disturbed on its own; rows that say nothing (the background) keep saying nothing."""
    out = {}
    for name, row in tables.rows.items():
        changed = []
        for distribution in row:
            if distribution == row[-1]:
                changed.append(distribution)
                continue
            weights = [p * math.exp(chooser.gauss(0.0, BLUR)) for p in distribution]
            total = math.fsum(weights)
            changed.append(tuple(weight / total for weight in weights))
        out[name] = tuple(changed)
    return msgspec.structs.replace(tables, rows=out)


def judged(items: Sequence[Seen], tables_for: Callable[[Seen], Tables]) -> list[tuple[bool, bool, bool, bool]]:
    """Per case: first and among three with answers, first and among three with answers and experiments."""
    out = []
    for item in items:
        tables = tables_for(item)
        flags: list[bool] = []
        for evidence in (item.answers, item.experiments):
            belief = Belief(tables, evidence)
            flags += evaluation.compare(item.case, belief.ranking, belief.verdict())
        out.append((flags[0], flags[1], flags[2], flags[3]))
    return out


def halves(items: Sequence[Seen], chooser: random.Random) -> tuple[list[Seen], list[Seen]]:
    """Two halves with each cause's cases dealt out to both."""
    order = sorted(items, key=lambda item: (item.case.causes, chooser.random()))
    return order[::2], order[1::2]


def trials(items: list[Seen], tables: Tables) -> dict[str, list[tuple[bool, bool, bool, bool]]]:
    """Every variant's flags."""
    total = counted(items)

    def without(strength: float) -> Callable[[Seen], Tables]:
        def tables_for(item: Seen) -> Tables:
            cause = item.case.causes[0]
            mine = {(cause, name): total[cause, name] - Counter([state]) for name, state in item.states.items()}
            return mixed(tables, total | mine, strength)

        return tables_for

    def by_chance(change: Callable[[Tables, random.Random], Tables]) -> list[tuple[bool, bool, bool, bool]]:
        flags = []
        for number in range(ROUNDS):
            changed = change(tables, random.Random(SEED + number))
            flags += judged(items, lambda _, changed=changed: changed)  # type: ignore[misc]
        return flags

    one, other = halves(items, random.Random(SEED))
    from_one, from_other = mixed(tables, counted(one)), mixed(tables, counted(other))
    fitted = mixed(tables, total)
    return {
        "words as they stand": judged(items, lambda _: tables),
        f"words and counts, leave one out, s = {STRENGTH:.0f}": judged(items, without(STRENGTH)),
        f"words and counts, leave one out, s = {LOOSE:.0f}": judged(items, without(LOOSE)),
        f"words and counts, split halves, s = {STRENGTH:.0f}": judged(other, lambda _: from_one)
        + judged(one, lambda _: from_other),
        f"words and counts, the case itself counted, s = {STRENGTH:.0f}": judged(items, lambda _: fitted),
        f"words blurred (mean of {ROUNDS})": by_chance(blurred),
        f"words shuffled between causes (mean of {ROUNDS})": by_chance(shuffled),
    }


def disagreements(items: Sequence[Seen], tables: Tables, limit: float = 0.02) -> str:
    """Rows of cause, observation, state whose word the counts make surprising, most surprising first."""
    from counts import tail

    found = []
    for (cause, name), count in counted(items).items():
        if cause not in tables.causes:
            continue
        total, row = sum(count.values()), tables.rows[name][tables.causes.index(cause)]
        for state, p in zip(tables.states[name], row, strict=True):
            if (chance := tail(count[state], total, p)) <= limit:
                found.append((chance, cause, name, state, f"{p:.2f}", f"{count[state]} of {total}"))
    lines = [(f"{row[0]:.0e}", *row[1:]) for row in sorted(found)]
    return rows(["chance", "cause", "observation", "state", "knowledge says", "cases show"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path, nargs="+")
    parser.add_argument("--disagreements", action="store_true", help="words that the counts make surprising")
    parser.add_argument("--write", type=Path, help="folder with accuracy.md, whose figures are replaced")
    options = parser.parse_args()
    kb = load_knowledge()
    tables = Consultation(kb).tables
    items = [seen(case, kb) for folder in options.cases for case in evaluation.load_cases(folder)]
    groups: dict[str, list[Seen]] = {}
    for item in items:
        groups.setdefault(KINDS.get(item.case.kind, item.case.kind), []).append(item)
    parts = []
    for name, group in groups.items():
        lines = []
        for variant, flags in trials(group, tables).items():
            columns = list(zip(*flags, strict=True))
            lines.append([variant, *(percent(evaluation.share(column)) for column in columns)])
        head = [f"{name} ({len(group)})", "first", "among three", "first, experiments too", "among three"]
        parts.append(rows(head, lines))
    if len(groups) > 1:
        lines = []
        for name, group in groups.items():
            others = mixed(tables, counted(item for item in items if item not in group))
            columns = list(zip(*judged(group, lambda _, others=others: others), strict=True))  # type: ignore[misc]
            lines.append([name, *(percent(evaluation.share(column)) for column in columns)])
        head = ["words and counts of the other kind", "first", "among three", "first, experiments too", "among three"]
        parts.append(rows(head, lines))
    text = "\n".join(parts)
    print(text)
    if options.disagreements:
        for name, group in groups.items():
            print(f"{name}\n\n{disagreements(group, tables)}")
    if options.write:
        place(options.write / "accuracy.md", "memorised", text)


if __name__ == "__main__":
    main()
