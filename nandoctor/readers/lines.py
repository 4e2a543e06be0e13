"""Bytes to lines: compression, encodings, NUL bytes, carriage returns, endless lines; in constant memory.

Lines end at \\n, \\r\\n or a lone \\r, as everywhere in nandoctor. A chunk is a piece of the file, recoded to UTF-8,
that ends where a line ends.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from nandoctor.errors import UnreadableError, reason
from nandoctor.readers.dialect import LINE_LIMIT
from nandoctor.remark import Remark

if TYPE_CHECKING:
    from _typeshed import StrPath

CHUNK = 1 << 17  # bytes: fits the second-level cache together with what is made of it
_LONGEST = 4 * LINE_LIMIT  # bytes kept of a line without an end
_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\xfd7zXZ\x00", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2"))
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_BACKSPACES = re.compile(r"\x08+")


def compression(head: bytes) -> str:
    """`gzip`, `xz`, `zstd`, `bzip2` or nothing, by the first bytes."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "")


def encoding(head: bytes) -> tuple[str, int]:
    """Encoding and length of the byte-order mark; without a mark UTF-16 is known by its zero bytes."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    sample = head[: 4096 & ~1]
    if len(sample) >= 16:
        half = len(sample) // 2
        odd, even = sample[1::2].count(0), sample[0::2].count(0)
        if odd > 0.7 * half and even < 0.05 * half:
            return "utf-16-le", 0
        if even > 0.7 * half and odd < 0.05 * half:
            return "utf-16-be", 0
    return "", 0


class Source:
    """An open log: `chunks()` once. `size` and `position` (of the file, before decompression) are for progress.

    Raises:
        UnreadableError: missing, a folder, no permission, a broken archive.
    """

    def __init__(self, path: StrPath, data: bytes | None = None) -> None:
        self.name = os.fspath(path)
        self.data = data  # a pasted text instead of a file
        self.position = 0
        self.size = 0
        self.packed = False  # known once the first chunk was read
        self.notes: list[str] = []
        if data is not None:
            self._file: IO[bytes] = io.BytesIO(data)
            self.size = len(data)
            return
        try:
            self._file = (
                sys.stdin.buffer if self.name == "-" else Path(path).open("rb", buffering=0)  # noqa: SIM115
            )
            if self.name != "-":
                self.size = os.fstat(self._file.fileno()).st_size
        except FileNotFoundError:
            raise UnreadableError(Remark("{file}: no such file", file=self.name)) from None
        except IsADirectoryError:
            raise UnreadableError(Remark("{file} is a folder, not a log", file=self.name)) from None
        except (OSError, ValueError) as exc:
            raise UnreadableError(
                Remark("{file} cannot be read: {reason}", file=self.name, reason=reason(exc))
            ) from None

    def chunks(self) -> Iterator[bytes]:
        """Pieces of about `CHUNK` bytes, UTF-8, without NUL bytes, each ending at a line end (but the last).

        Raises:
            UnreadableError: a broken archive or read error before anything was read; later ones become a note.
        """
        return aligned(self._decoded())

    def _decoded(self) -> Iterator[bytes]:
        pieces = self._decompressed()
        head = next(pieces, b"")
        name, mark = encoding(head)
        if name in ("", "utf-8"):
            yield head[mark:] if mark else head
            yield from pieces
            return
        decoder = codecs.getincrementaldecoder(name)("replace")
        yield decoder.decode(head[mark:]).encode("utf-8", "replace")
        for piece in pieces:
            yield decoder.decode(piece).encode("utf-8", "replace")
        yield decoder.decode(b"", True).encode("utf-8", "replace")

    def _decompressed(self) -> Iterator[bytes]:
        raw = self._raw()
        head = next(raw, b"")
        kind = compression(head)
        if not kind:
            yield head
            yield from raw
            return
        self.packed = True
        something = False
        try:
            for piece in _decompress(kind, head, raw):
                something = something or bool(piece)
                yield piece
        except _broken(kind) as exc:
            if not something:
                raise UnreadableError(
                    Remark("{file}: broken {kind} file: {reason}", file=self.name, kind=kind, reason=exc)
                ) from None
            self.notes.append(
                Remark("{file}: the {kind} file is cut or broken; read up to there", file=self.name, kind=kind)
            )

    def _raw(self) -> Iterator[bytes]:
        try:
            with self._file as file:
                while piece := file.read(CHUNK):
                    self.position += len(piece)
                    yield piece
        except OSError as exc:
            if not self.position:
                raise UnreadableError(
                    Remark("{file} cannot be read: {reason}", file=self.name, reason=reason(exc))
                ) from None
            self.notes.append(Remark("{file}: reading stopped: {reason}", file=self.name, reason=reason(exc)))


def _broken(kind: str) -> tuple[type[Exception], ...]:
    """What the library raises for a cut or broken archive."""
    if kind == "gzip":
        import zlib

        return EOFError, zlib.error
    if kind == "xz":
        import lzma

        return EOFError, lzma.LZMAError
    if kind == "bzip2":
        return EOFError, OSError, ValueError
    try:
        import zstandard
    except ImportError:  # then `_decompressor` has said so
        return (EOFError,)
    return EOFError, zstandard.ZstdError


def _decompress(kind: str, head: bytes, raw: Iterator[bytes]) -> Iterator[bytes]:
    """The decompressed stream in pieces of bounded size, several members after one another included."""
    make = _decompressor(kind, head)
    engine = make()
    pending = head
    while True:
        if engine.eof:
            pending = engine.unused_data or pending
            if not pending.strip(b"\0"):
                pending = next(raw, b"")
            if not pending:
                return
            if compression(pending) != kind:
                return  # padding or rubbish after the archive
            engine = make()
        out = engine.decompress(pending, CHUNK)
        pending = b""
        if out:
            yield out
        if not engine.eof and engine.needs_input:
            pending = next(raw, b"")
            if not pending:
                raise EOFError("unexpected end")


class _Zlib:
    """zlib with the interface of the other decompressors."""

    def __init__(self) -> None:
        import zlib

        self._engine = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._engine.eof

    @property
    def unused_data(self) -> bytes:
        return self._engine.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._engine.unconsumed_tail

    def decompress(self, data: bytes, limit: int) -> bytes:
        return self._engine.decompress(self._engine.unconsumed_tail + data, limit)


class _Zstd:
    """zstandard with the interface of the other decompressors; a piece may expand to some megabytes."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._rest = b""

    @property
    def eof(self) -> bool:
        return bool(self._engine.eof) and not self._rest

    @property
    def unused_data(self) -> bytes:
        return bytes(self._engine.unused_data)

    @property
    def needs_input(self) -> bool:
        return not self._rest

    def decompress(self, data: bytes, limit: int) -> bytes:
        if data:
            self._rest += self._engine.decompress(data)
        out, self._rest = self._rest[:limit], self._rest[limit:]
        return out


def _decompressor(kind: str, head: bytes) -> Any:
    if kind == "gzip":
        return _Zlib
    if kind == "xz":
        import lzma

        return lzma.LZMADecompressor
    if kind == "bzip2":
        import bz2

        return bz2.BZ2Decompressor
    try:
        import zstandard
    except ImportError:
        raise UnreadableError(Remark("a .zst log needs the package `zstandard`; or unpack it with `zstd -d`")) from None
    return lambda: _Zstd(zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj())


def aligned(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces cut anew where lines end; NUL bytes dropped; a line beyond `_LONGEST` bytes loses its tail."""
    carry = b""
    cutting = False  # inside the lost tail of an endless line
    for bare in pieces:
        piece = bare.replace(b"\0", b"") if b"\0" in bare else bare
        if cutting:
            end = _first_end(piece)
            if end < 0:
                continue
            piece, cutting = piece[end:], False
        end = piece.rfind(b"\n") + 1
        if not end:
            piece, carry = carry + piece, b""
            # A \r at the very end may be half of \r\n; the one before it is a line end for certain.
            end = piece.rfind(b"\r", 0, -1) + 1
        if end:
            yield b"".join((carry, memoryview(piece)[:end]))
            carry = piece[end:]
        elif len(piece) > _LONGEST:
            carry, cutting = piece[:_LONGEST], True
        else:
            carry = piece
    if carry:
        yield carry


def _first_end(piece: bytes) -> int:
    """Index of the first line end, or -1."""
    ends = [i for i in (piece.find(b"\n"), piece.find(b"\r")) if i >= 0]
    return min(ends, default=-1)


def text_of(raw: bytes) -> str:
    """A line as text: UTF-8, else one of the Chinese and Korean encodings, else Latin-1; cut to `LINE_LIMIT`."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = _legacy(raw)
    return text[:LINE_LIMIT]


def _legacy(raw: bytes) -> str:
    for name in ("gb18030", "cp949"):
        try:
            return raw.decode(name)
        except UnicodeDecodeError:
            continue
    return raw.decode("utf-8", "replace")


def without_marks(text: str) -> str:
    """Without terminal escapes and markdown: colours, cursor moves, `**87.3365**`, `(\\* 1 = ...`, a leading `> `."""
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if "*" in text:
        text = text.replace("**", "").replace("\\*", "*")
    return text.removeprefix("> ")


def overprinted(text: str) -> list[str]:
    """The pieces of a line between runs of backspaces: each overprints the one before (Keras progress bars)."""
    return [piece for piece in _BACKSPACES.split(text) if piece.strip()]
