"""Writing an edited file in place: atomically, with a backup, and back again."""

from __future__ import annotations

import os
from pathlib import Path

from nandoctor.errors import UsageError
from nandoctor.source import Location

# How a text may have been decoded; the first that gives the expected text and encodes back to the same bytes is used.
_ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "gbk", "cp949", "latin-1")
_MARK = ".before-"


def write_with_backup(path: str | Path, expected_old_text: str, new_text: str) -> Path:
    """Replaces a file's text, if it still holds the expected one, and keeps the old file beside it.

    Encoding, line ends, mode and a symbolic link to the file stay. The file is never half written: it is replaced in
    one step.

    Args:
        path: the file.
        expected_old_text: the text as it was read, line ends untouched.
        new_text: what to write.

    Returns:
        the backup, named after the content it was made for, so that `undo` finds the right one.

    Raises:
        UsageError: the file changed since it was read, or cannot be read or written.
    """
    target, raw = _read(path)
    encoding = _encoding(raw, expected_old_text)
    if encoding is None:
        raise UsageError("the file changed since it was read; nothing was written", Location(str(path)))
    try:
        new = new_text.encode(encoding, _errors(encoding))
    except UnicodeEncodeError as error:
        raise UsageError(
            f"the change cannot be written in the file's encoding, {encoding}", Location(str(path))
        ) from error
    backup = target.with_name(target.name + _MARK + _digest(new))
    try:
        _replace(backup, raw, target)
        if target.read_bytes() != raw:
            raise UsageError("the file changed while it was written; nothing was written", Location(str(path)))
        _replace(target, new, target)
    except OSError as error:
        raise UsageError(f"cannot write: {error.strerror or error}", Location(str(path))) from error
    return backup


def undo(path: str | Path) -> Path:
    """Takes back the last `write_with_backup` of a file and removes its backup; may be repeated for earlier ones.

    Returns:
        the file.

    Raises:
        UsageError: there is no backup, or the file was changed after it was written.
    """
    target, raw = _read(path)
    backup = target.with_name(target.name + _MARK + _digest(raw))
    if not backup.is_file():
        others = sorted(found.name for found in target.parent.glob(f"{_escaped(target.name)}{_MARK}*"))
        if others:
            raise UsageError(
                f"the file was changed after nandoctor wrote it; the earlier text is in {', '.join(others)}",
                Location(str(path)),
            )
        raise UsageError("there is no backup of this file to go back to", Location(str(path)))
    try:
        _replace(target, backup.read_bytes(), target)
        backup.unlink()
    except OSError as error:
        raise UsageError(f"cannot write: {error.strerror or error}", Location(str(path))) from error
    return target


def _read(path: str | Path) -> tuple[Path, bytes]:
    try:
        target = Path(path).resolve(strict=True)
        return target, target.read_bytes()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"cannot read: {reason}", Location(str(path))) from error


def _encoding(raw: bytes, text: str) -> str | None:
    for encoding in _ENCODINGS:
        try:
            decoded = raw.decode(encoding, _errors(encoding))
            if decoded == text and decoded.encode(encoding, _errors(encoding)) == raw:
                return encoding
        except UnicodeError:
            continue
    return None


def _errors(encoding: str) -> str:
    return "surrogateescape" if encoding.startswith("utf-8") else "strict"


def _digest(content: bytes) -> str:
    import hashlib  # 3 ms that a report, which writes nothing, does not pay

    return hashlib.blake2b(content, digest_size=4).hexdigest()


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _replace(target: Path, content: bytes, like: Path) -> None:
    """Writes beside the target, with the mode of `like`, then moves over it."""
    import tempfile  # 4 ms, as above

    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(like.stat().st_mode & 0o7777)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
