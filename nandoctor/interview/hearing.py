"""What the owner's input is: words, paths, a pasted log or net; and what the words mean."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

from nandoctor.diagnosis import Evidence
from nandoctor.errors import NandoctorError, TextFormatError
from nandoctor.ingest import Inputs
from nandoctor.interview.replies import Heard
from nandoctor.kb.model import KnowledgeBase

WORDS_LIMIT = 4000  # characters; nobody describes a problem in more, and matching is not free
LONG = 4  # words from which an answer may say more than the answer
PROTOTXT_NAMES = (".prototxt", ".pbtxt")
LOOKED_AT = 4 << 20  # bytes of a prototxt that is parsed to see whether it is a net or a solver
SAMPLE = 20_000  # characters that show whether a paste is text
BINARY_SHARE = 0.02  # of control characters; text has none but tab and line ends
FILE_NAMES = (
    ".log", ".txt", ".out", ".err", ".prototxt", ".json", ".jsonl", ".csv", ".tsv", ".cfg", ".gz", ".bz2", ".xz",
    ".zst", ".yaml", ".yml",
)  # fmt: skip


def is_binary(text: str) -> bool:
    """Whether a paste holds control characters that no text has (escape sequences of colours are text)."""
    sample = text[:SAMPLE]
    odd = sum(char in "\ufffd\x7f" or (char < " " and char not in "\t\n\r\x1b\x08\x0c") for char in sample)
    return odd > max(2, BINARY_SHARE * len(sample))


def kind_of(text: str) -> Literal["log", "prototxt", "words"]:
    """What a pasted text of several lines is."""
    from nandoctor.dialogue import looks_like_log, looks_like_prototxt

    if looks_like_prototxt(text) or _is_prototxt(text):
        return "prototxt"
    return "log" if looks_like_log(text) else "words"


def _is_prototxt(text: str) -> bool:
    """Whether the whole text is a net or a solver, however its fields are spread over the lines."""
    from nandoctor.readers.caffe import kind_of as prototxt_kind
    from nandoctor.readers.textproto import parse

    if "{" not in text[:SAMPLE] and ":" not in text[:SAMPLE]:
        return False
    try:
        return prototxt_kind(parse(text, "")) != "unknown"
    except NandoctorError:
        return False


def paths(text: str) -> tuple[str, ...]:
    """The files named in a line, typed or dropped; a lone word that ends like a file counts even if it is missing."""
    from nandoctor.dialogue import paths_in

    found = tuple(dict.fromkeys(str(path) for path in paths_in(text)))
    if found:
        return found
    word = text.strip().strip("'\"")
    if not word or "\n" in word or len(word) > 4096:
        return ()
    if os.path.exists(word) or (" " not in word and (word.endswith(FILE_NAMES) or os.sep in word[:2])):  # noqa: PTH110
        return (word,)
    return ()


def exists(path: str) -> bool:
    """Whether there is such a file or folder."""
    try:
        return os.path.exists(path)  # noqa: PTH110 - pathlib costs more and says the same
    except (OSError, ValueError):
        return False


def without_paths(text: str, found: Sequence[str]) -> str:
    """The words of a line that also names files."""
    for path in found:
        for form in (f"'{path}'", f'"{path}"', path.replace(" ", "\\ "), path):
            text = text.replace(form, " ")
    return " ".join(text.split()).strip(" ,;:，；：")


def inputs_of(found: Sequence[str]) -> Inputs:
    """Files as inputs, each as what it holds: log, net or solver."""
    folder = next((path for path in found if os.path.isdir(path)), "")  # noqa: PTH112
    by_kind: dict[str, list[str]] = {"net": [], "solver": [], "log": []}
    for path in found:
        if path != folder:
            by_kind[_prototxt_kind(path) or "log"].append(path)
    net, *more_nets = by_kind["net"] or [""]
    solver, *more_solvers = by_kind["solver"] or [""]
    return Inputs(run_dir=folder, logs=(*by_kind["log"], *more_nets, *more_solvers), net=net, solver=solver)


def _prototxt_kind(path: str) -> str:
    """`net` or `solver`; "" for anything else, and for files too large to be worth a look.

    With a mistake in it a file is a `net`: read as one, its mistake is told with the line.
    """
    from nandoctor.readers.caffe import kind_of as prototxt_kind
    from nandoctor.readers.sniff import sniff
    from nandoctor.readers.textproto import parse

    try:
        if os.path.getsize(path) > LOOKED_AT:  # noqa: PTH202
            return ""
        if sniff(path) != "prototxt" and not path.endswith(PROTOTXT_NAMES):
            return ""
        kind = prototxt_kind(parse(Path(path).read_text(encoding="utf-8", errors="replace"), path))
    except TextFormatError:
        return "net"
    except (OSError, NandoctorError):
        return ""
    return "" if kind == "unknown" else kind


def names(inputs: Inputs) -> tuple[str, ...]:
    """What was handed over, as given."""
    given = (inputs.run_dir, *inputs.logs, inputs.net, inputs.solver, *(name for name, _ in inputs.texts))
    return tuple(dict.fromkeys(name for name in given if name))


def paste_name(count: int) -> str:
    """What a pasted text is called in locations: `pasted`, `pasted-2`, ..."""
    return f"pasted-{count + 1}" if count else "pasted"


def understood(text: str, kb: KnowledgeBase, besides: Collection[str] = ()) -> tuple[Heard, ...]:
    """What free words say about observations, but not about those in `besides`."""
    if not text.strip():
        return ()
    from nandoctor.dialogue import understand

    return tuple(
        Heard(item.observation, item.state, " ".join(text[slice(*item.span)].split()), item.trust)
        for item in understand(text[:WORDS_LIMIT], kb)
        if item.observation not in besides
    )


def evidence(heard: Sequence[Heard]) -> list[Evidence]:
    """As evidence of the owner's description."""
    return [Evidence(item.observation, item.state, "description", trust=item.trust) for item in heard]


def answer(text: str, observation: str, lang: str, kb: KnowledgeBase) -> str | None:
    """The state that free words choose; `unknown`; None if they are no answer to this question."""
    from nandoctor.dialogue import answer_in_words

    found: str | None = answer_in_words(text[:WORDS_LIMIT], observation, lang, kb)
    return found


def is_long(text: str) -> bool:
    """Whether an answer in words may say more than the answer: several words, or as many ideographs."""
    return len(text.split()) >= LONG or sum("\u2e80" <= char <= "\ud7af" for char in text) >= 3 * LONG
