"""Reads the logs of a training run, whatever wrote them: from files, or from a pasted text."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nandoctor.errors import UnreadableError, UsageError
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.dialect import Lexicon
from nandoctor.readers.facts import Run
from nandoctor.readers.merge import Progress, read_files, read_parts
from nandoctor.remark import Remark
from nandoctor.source import printable


def read_run(
    paths: Sequence[str | os.PathLike[str]],
    kb: KnowledgeBase,
    *,
    dialect: str = "",
    progress: Progress | None = None,
) -> Run:
    """One training run from all its files (`-` is standard input), merged into one history.

    Args:
        paths: log, metrics.csv, train.jsonl, trainer_state.json, scalars.json, rotated parts, packed or not.
        kb: dialects and quantities come from here.
        dialect: id of the only dialect whose lines are read; events of all dialects are still found.
        progress: called now and then with bytes read and bytes in all (0 if unknown).

    Raises:
        UnreadableError: a file is missing, a folder, empty, binary or no log; or none was given.
        UsageError: no dialect of that id.
    """
    if dialect and dialect not in kb.dialects:
        raise UsageError(f"no dialect `{printable(dialect)}`; there are: {', '.join(sorted(kb.dialects))}")
    if not paths:
        raise UnreadableError(Remark("no log was given"))
    return read_files([os.fspath(path) for path in paths], kb, dialect, progress)


def read_text(text: str | bytes, name: str, kb: KnowledgeBase) -> Run:
    """The run in a pasted text, or in the bytes of a file.

    Raises:
        UnreadableError: nothing in it, binary, or a net.
    """
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return read_parts([name], Lexicon(kb), data=data)
