"""Every figure of the diagnosis's accuracy on labelled cases, with bootstrap intervals, and the reliability diagram.

Runs: files alone, files and answers, a consultation with experiments. Reports: everything they offer, words alone. Two
faults: cases composed by `compose.py` from the runs given. Usage:

    python benchmarks/accuracy.py CASES_DIR [CASES_DIR ...] [--misses] [--write docs]
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from figures import percent, place, rows

from nandoctor import evaluation
from nandoctor.evaluation import Case, Outcome
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import KnowledgeBase

BINS = 10
KINDS = {"run": "runs", "reported": "reported cases"}
MEASURED = (  # kind, mode, what it is, floors of first and among three in per cent
    ("runs", "files", "runs, files alone", "72 / 90"),
    ("runs", "all", "runs, files and answers", "85 / 97"),
    ("runs", "consult", "runs, consultation with experiments", "90 / 98"),
    ("reported cases", "all", "reported cases, everything they offer", "72 / 92"),
    ("reported cases", "words", "reported cases, the owner's words alone", "- / 60"),
    ("reported cases", "consult", "reported cases, consultation", ""),
)
SERIES = (("runs", "#0b6bcb", "#6cb4ff"), ("reported cases", "#b3540b", "#ffab66"))  # light, dark


class Bin(NamedTuple):
    """The cases whose stated probability falls into one tenth."""

    stated: float
    right: float
    low: float
    high: float
    size: int


def bins(outcomes: Sequence[Outcome]) -> list[Bin]:
    table: list[list[Outcome]] = [[] for _ in range(BINS)]
    for item in outcomes:
        table[min(int(item.confidence * BINS), BINS - 1)].append(item)
    found = []
    for group in table:
        if group:
            share = evaluation.share([o.first for o in group])
            stated = sum(o.confidence for o in group) / len(group)
            found.append(Bin(stated, share.share, share.low, share.high, len(group)))
    return found


def reliability(groups: dict[str, list[Outcome]]) -> str:
    """Stated probability of the first cause against the share that is right, as SVG, readable on light and dark."""
    left, top, side = 62, 30, 360

    def x(p: float) -> float:
        return left + side * p

    def y(p: float) -> float:
        return top + side * (1 - p)

    colours = [(name, light, dark) for name, light, dark in SERIES if groups.get(name)]
    styles = "".join(
        f".s{i}{{fill:{light};stroke:{light}}}" for i, (_, light, _) in enumerate(colours)
    ) + "@media (prefers-color-scheme: dark){text{fill:#e6e6e6}.axis{stroke:#9a9a9a}.grid{stroke:#444}" + "".join(
        f".s{i}{{fill:{dark};stroke:{dark}}}" for i, (_, _, dark) in enumerate(colours)
    )  # fmt: skip
    out = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 450" width="640" height="450" role="img">',
        "<title>Reliability: stated probability of the first cause and share that is right</title>",
        "<style>text{font:13px sans-serif;fill:#222}.axis{stroke:#555;fill:none}.grid{stroke:#ddd}"
        ".bar{stroke-width:1.5}.line{fill:none;stroke-width:1.5}" + styles + "}</style>",
    ]
    for tenth in range(0, 11, 2):
        p = tenth / 10
        out += [
            f'<path class="grid" d="M{x(p):.1f} {top}V{top + side}M{left} {y(p):.1f}H{left + side}"/>',
            f'<text x="{x(p):.1f}" y="{top + side + 18}" text-anchor="middle">{10 * tenth} %</text>',
            f'<text x="{left - 8}" y="{y(p) + 4:.1f}" text-anchor="end">{10 * tenth} %</text>',
        ]
    out += [
        f'<rect class="axis" x="{left}" y="{top}" width="{side}" height="{side}"/>',
        f'<path class="axis" stroke-dasharray="4 4" d="M{x(0)} {y(0)}L{x(1)} {y(1)}"/>',
        f'<text x="{left + side / 2}" y="{top + side + 42}" text-anchor="middle">probability stated</text>',
        f'<text transform="translate(16 {top + side / 2}) rotate(-90)" text-anchor="middle">share right</text>',
    ]
    for number, (name, _, _) in enumerate(colours):
        found, shift = bins(groups[name]), 4 * number - 2
        path = "L".join(f"{x(b.stated) + shift:.1f} {y(b.right):.1f}" for b in found)
        out.append(f'<path class="s{number} line" style="fill:none" d="M{path}"/>')
        for b in found:
            place_x = x(b.stated) + shift
            radius = 2.5 + (b.size / len(groups[name])) ** 0.5 * 9  # area with the number of cases
            out.append(
                f'<g class="s{number}"><path class="bar" d="M{place_x:.1f} {y(b.low):.1f}V{y(b.high):.1f}"/>'
                f'<circle cx="{place_x:.1f}" cy="{y(b.right):.1f}" r="{radius:.1f}">'
                f"<title>{name}: stated {b.stated:.2f}, right {b.right:.2f}, {b.size} cases</title></circle></g>"
            )
        out += [
            f'<circle class="s{number}" cx="445" cy="{top + 20 + 24 * number}" r="6"/>',
            f'<text x="458" y="{top + 24 + 24 * number}">{name} ({len(groups[name])})</text>',
        ]
    note = ("larger: more cases", "bars: 95 % bootstrap", "dashed: as stated")
    out += [f'<text x="440" y="{top + 90 + 20 * i}">{text}</text>' for i, text in enumerate(note)]
    return "\n".join([*out, "</svg>", ""])


def confusion(outcomes: Sequence[Outcome], most: int = 9) -> str:
    """The causes that are confused most: planted down, what came first across, as a picture in text."""
    missed = [o for o in outcomes if not o.first]
    pairs = Counter((o.truth[0], o.ranking[0][0]) for o in missed)
    truths = [name for name, _ in Counter(o.truth[0] for o in missed).most_common(most)]
    times = Counter(o.ranking[0][0] for o in missed)
    found = sorted({b for a, b in pairs if a in truths}, key=lambda b: (-times[b], b))
    right = Counter(o.truth[0] for o in outcomes if o.first)
    head = " " * 29 + "right " + " ".join(f"{chr(65 + i):>2}" for i in range(len(found)))
    lines = [
        f"{truth:<29}{right[truth]:>5} " + " ".join(f"{pairs[truth, other] or '.':>2}" for other in found)
        for truth in truths
    ]
    legend = [f"{chr(65 + i)}: {name}" for i, name in enumerate(found)]
    return "```\n" + "\n".join([head, *lines, "", *legend]) + "\n```\n"


def compose(folder: Path, out: Path) -> list[Case]:
    """The cases with two faults made from the runs of a folder."""
    script = Path(__file__).with_name("compose.py")
    subprocess.run([sys.executable, str(script), str(folder), str(out)], check=True, stdout=subprocess.DEVNULL)
    return evaluation.load_cases(out)


def two_faults(folder: Path, singles: dict[str, Case], kb: KnowledgeBase) -> list[list[str]]:
    """Figures of the composed cases: both named, both but for an accepted name of the first, both in the plan."""
    with tempfile.TemporaryDirectory() as out:
        cases = compose(folder, Path(out))
        strict, loose, three, planned = [], [], [], []
        for case in cases:
            opened = evaluation.open_case(case, kb, "all")
            first, among = evaluation.compare(case, opened.belief.ranking, opened.belief.verdict())
            log_fault = {case.causes[0], *singles[case.id.partition("+")[0]].acceptable}
            top = {cause for cause, _ in opened.belief.ranking[:2]}
            cured = {cause for step in opened.diagnosis.fastest for cause in step.cures}
            strict.append(first)
            three.append(among)
            loose.append(case.causes[1] in top and bool(log_fault & (top - {case.causes[1]})))
            planned.append(case.causes[1] in cured and bool(log_fault & cured))
    measured = (
        ("both are the first two", strict, "90"),
        ("both among three", three, ""),
        ("both first, the log's fault by any accepted name", loose, ""),
        ("the plan cures both", planned, ""),
    )
    return [
        [f"two planted faults ({len(cases)}): {n}", percent(evaluation.share(flags)), "", floor]
        for n, flags, floor in measured
    ]


def figures(name: str, outcomes: Sequence[Outcome], floor: str) -> list[str]:
    first, three = (evaluation.share([getattr(o, which) for o in outcomes]) for which in ("first", "among_three"))
    return [f"{name} ({len(outcomes)})", percent(first), percent(three), floor]


def honesty(results: dict[str, list[Outcome]]) -> str:
    """False alarms, missed faults, calibration, onset, for each measurement."""
    lines = []
    for name, outcomes in results.items():
        found = evaluation.summary(outcomes)
        fine = sum(o.fine for o in outcomes)
        undetermined = sum(o.verdict == "undetermined" for o in outcomes)
        lines.append([
            name, f"{len(found['healthy_called_faulty'])} of {fine}", len(found["faulty_called_fine"]), undetermined,
            f"{found['calibration_error']:.3f}", f"{found['brier']:.3f}",
            f"{found['onset_right']} of {found['onset_known']}" if found["onset_known"] else "-",
            f"{found['questions_mean']:.2f}, {found['questions_most']}" if found["questions_most"] else "-",
        ])  # fmt: skip
    head = ["", "healthy or benign called faulty", "faults called fine", "not enough evidence", "calibration error",
            "Brier score", "onset right", "questions: mean, most"]  # fmt: skip
    return rows(head, lines)


def bands(outcomes: Sequence[Outcome]) -> str:
    """What the words for probabilities are worth."""
    from nandoctor.inference.belief import band

    lines = []
    for word in ("very likely", "likely", "possible", "unlikely"):
        group = [o for o in outcomes if band(o.confidence) == word]
        if group:
            stated = sum(o.confidence for o in group) / len(group)
            lines.append(
                [word, len(group), f"{100 * stated:.0f} %", percent(evaluation.share([o.first for o in group]))]
            )
    return rows(["first cause is", "cases", "stated on average", "right"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path, nargs="+")
    parser.add_argument("--misses", action="store_true", help="list every case that is not right")
    parser.add_argument("--write", type=Path, help="folder with accuracy.md, whose figures and picture are replaced")
    options = parser.parse_args()
    kb = load_knowledge()
    groups: dict[str, list[Case]] = {}
    composed: list[list[str]] = []
    for folder in options.cases:
        cases = evaluation.load_cases(folder)
        for case in cases:
            groups.setdefault(KINDS.get(case.kind, case.kind), []).append(case)
        if any(case.kind == "run" and case.net and case.solver for case in cases):
            composed += two_faults(folder, {case.id: case for case in cases}, kb)
    results: dict[str, list[Outcome]] = {}
    lines = []
    for kind, mode, name, floor in MEASURED:
        if kind in groups:
            results[name] = evaluation.evaluate(groups[kind], kb, mode)
            lines.append(figures(name, results[name], floor))
    full = {kind: results[name] for kind, mode, name, _ in MEASURED if mode == "all" and name in results}
    pooled = [o for outcomes in full.values() for o in outcomes]
    parts = {
        "shares": rows(["", "first", "among three", "floor"], [*lines, *composed]),
        "honesty": honesty(results | ({"runs and reported cases together": pooled} if len(full) > 1 else {})),
        "bands": bands(pooled),
        "confusion": "\n".join(f"{kind}:\n\n{confusion(outcomes)}" for kind, outcomes in full.items()),
    }
    for block, text in parts.items():
        print(text)
        if options.write:
            place(options.write / "accuracy.md", block, text)
    if options.write:
        (options.write / "reliability.svg").write_text(reliability(full), "utf-8")
    if options.misses:
        for name, outcomes in results.items():
            print(name)
            for o in outcomes:
                if not o.first:
                    best = ", ".join(f"{cause} {p:.2f}" for cause, p in o.ranking[:3])
                    print(f"  {o.case}: {' + '.join(o.truth)}; found {best}")


if __name__ == "__main__":
    main()
