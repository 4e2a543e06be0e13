"""Several files of one run into one history."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.dialect import Lexicon
from nandoctor.readers.facts import Run
from nandoctor.readers.lines import Source
from nandoctor.readers.log import LogReader

Progress = Callable[[int, int], None]


def read_files(paths: Sequence[str], kb: KnowledgeBase, dialect: str, progress: Progress | None) -> Run:
    """All files of one run."""
    runs = [read_log(path, Lexicon(kb, dialect), progress) for path in paths]
    return runs[0]


def read_log(path: str, lexicon: Lexicon, progress: Progress | None = None) -> Run:
    """One log file."""
    source = Source(path)
    reader = LogReader(path, lexicon)
    for chunk in source.chunks():
        reader.feed(chunk)
    return reader.finish()
