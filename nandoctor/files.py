"""Files as they lie on the disk: the text of a net or solver, and whether one that nobody named is a log."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from nandoctor.errors import NandoctorError, UnreadableError, reason
from nandoctor.kb.model import KnowledgeBase
from nandoctor.remark import Remark

CHUNKS_LOOKED_AT = 16  # of a folder's file, 2 MB: a Caffe log names its layers long before its first loss
KNOWN_LINES, KNOWN_SHARE = 5, 0.01  # of these, that make a file of a folder a log of a training
MAX_PROTOTXT = 64 << 20  # bytes; a net text beyond this is no net


def shows_training(path: str, kb: KnowledgeBase) -> bool:
    """Whether a dialect knows lines of the beginning of a file that nobody named.

    One line in hundreds may come from anything: login.defs speaks of a "cost factor of 5".
    """
    from nandoctor.readers.lines import Source
    from nandoctor.readers.log import read_text

    try:
        run = read_text(b"".join(islice(Source(path).chunks(), CHUNKS_LOOKED_AT)), path, kb)
    except NandoctorError:
        return False
    known = sum(run.dialects.values())
    return known >= KNOWN_LINES or known >= KNOWN_SHARE * run.lines > 0


def read_prototxt(path: str) -> str:
    """The text of a prototxt file, whatever its encoding.

    Raises:
        UnreadableError: missing, a directory, empty, binary, or beyond `MAX_PROTOTXT`.
    """
    try:
        size = Path(path).stat().st_size
        if size > MAX_PROTOTXT:
            raise UnreadableError(
                Remark("{file}: {size} MB is too large for a net or solver", file=path, size=size >> 20)
            )
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise UnreadableError(Remark("{file}: no such file", file=path)) from None
    except IsADirectoryError:
        raise UnreadableError(Remark("{file} is a folder, not a file", file=path)) from None
    except OSError as exc:
        raise UnreadableError(Remark("{file} cannot be read: {reason}", file=path, reason=reason(exc))) from None
    if not data.strip():
        raise UnreadableError(Remark("{file} is empty", file=path))
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if b"\0" in data[:4096]:
        raise UnreadableError(Remark("{file} is binary, not a prototxt (a .caffemodel?)", file=path))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
