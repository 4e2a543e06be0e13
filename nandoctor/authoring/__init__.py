"""The instruments of those who write knowledge: what `kb check`, `kb test`, `kb sensitivity` and `kb new` do.

Above the consultation, because knowledge is tested by consulting it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from nandoctor.kb.load import Problem
    from nandoctor.kb.model import KnowledgeBase


def check(folders: Sequence[Path], *, ignore: Collection[str] = ()) -> list[Problem]:
    """Every problem of the knowledge in `folders`, later ones lying over earlier ones, sorted by place.

    Samples of dialects and checks are run, pairs of causes that nothing tells apart are found. `ignore`: codes to leave
    out. The codes are explained in `docs/authoring.md`.
    """
    from nandoctor.authoring.samples import sample_problems
    from nandoctor.authoring.separability import inseparable
    from nandoctor.kb.check import review
    from nandoctor.kb.shelf import read_shelf

    shelf, problems = read_shelf(folders)
    problems += [*review(shelf), *sample_problems(shelf), *inseparable(shelf)]
    return sorted({problem for problem in problems if problem.code not in ignore})


def check_all(overlays: Sequence[str | Path] = (), *, ignore: Collection[str] = ()) -> list[Problem]:
    """`check` of the shipped knowledge with the overlays over it; files below the working folder by relative path."""
    from nandoctor.source import Location

    here = Path.cwd()

    def nearer(place: Location) -> Location:
        path = Path(place.file)
        return Location(str(path.relative_to(here)), place.line, place.column) if path.is_relative_to(here) else place

    return [
        msgspec.structs.replace(problem, location=nearer(problem.location))
        for problem in check(layered(overlays), ignore=ignore)
    ]


def layered(overlays: Sequence[str | Path] = ()) -> list[Path]:
    """The shipped knowledge folder and the overlays, as `check` takes them."""
    from nandoctor.kb.load import shipped_folder

    return [shipped_folder(), *(Path(overlay) for overlay in overlays)]


def run_embedded(
    kb: KnowledgeBase, form: str = "text", lang: str = "en", causes: Collection[str] = ()
) -> tuple[str, bool]:
    """Every embedded case and the simulated owners (of `causes` only, if given): the report, and whether any failed.

    Raises:
        UsageError: an unknown cause id.
    """
    from nandoctor.authoring.cases import report_text, run_tests

    report = run_tests(kb, causes)
    return (report.to_json() if form == "json" else report_text(report, kb, lang)), not report.passed


def sensitivity_table(kb: KnowledgeBase) -> str:
    """A Markdown table of every word that, moved one step, turns an embedded case over."""
    from nandoctor.authoring.sensitivity import sensitivity, table

    return table(list(sensitivity(kb)))


def new_entity(kind: str, name: str, folder: Path) -> Path:
    """Writes a commented template of a cause, an observation or a remedy below the knowledge folder; returns the file.

    Raises:
        UsageError: an unknown kind, no valid id, or the file is there already.
    """
    from nandoctor.authoring.templates import write_template

    return write_template(kind, name, folder)
