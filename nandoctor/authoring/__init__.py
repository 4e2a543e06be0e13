"""The instruments of those who write knowledge: what `kb check`, `kb test`, `kb sensitivity` and `kb new` do.

Above the consultation, because knowledge is tested by consulting it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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


def layered(overlays: Sequence[str | Path] = ()) -> list[Path]:
    """The shipped knowledge folder and the overlays, as `check` takes them."""
    from nandoctor.kb.load import shipped_folder

    return [shipped_folder(), *(Path(overlay) for overlay in overlays)]


def knowledge(folders: Sequence[Path]) -> KnowledgeBase:
    """The knowledge of these folders alone, without the shipped one.

    Raises:
        KnowledgeError: with every file that cannot be used.
    """
    from nandoctor.errors import KnowledgeError
    from nandoctor.kb.load import assemble, knowledge_files, read_files

    loaded, problems = read_files(path for folder in folders for path, _ in knowledge_files(folder))
    if problems:
        raise KnowledgeError(problems[0].text, problems[0].location, tuple(problems))
    return assemble(loaded)
