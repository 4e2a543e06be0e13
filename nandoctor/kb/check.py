"""The lint of knowledge files: everything that is wrong at once, each problem at its place.

This half needs nothing but the files: schemas, references, backgrounds, languages, cases, reachability. What needs
readers, checks or inference to be run (samples, separability) is `nandoctor.authoring`. The codes are explained in
`docs/authoring.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nandoctor.kb.load import Problem
from nandoctor.kb.references import references
from nandoctor.kb.review import reviews
from nandoctor.kb.shelf import Shelf, read_shelf


def check(folders: Sequence[Path]) -> list[Problem]:
    """Every problem of the knowledge in `folders` (later ones lie over earlier ones) that the files alone show."""
    shelf, problems = read_shelf(folders)
    return sorted({*problems, *review(shelf)})


def review(shelf: Shelf) -> list[Problem]:
    """Every problem of the files that could be converted."""
    return [*references(shelf), *reviews(shelf)]
