"""Finds the knowledge folders, reads every file, merges overlays by id.

A cache of the converted base (msgpack, keyed by every file's name, size and time of change) makes a start cheap; it is
invisible: any doubt about it, and the files are read.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nandoctor.errors import KnowledgeError
from nandoctor.kb import model
from nandoctor.kb.model import KnowledgeBase
from nandoctor.source import Location

if TYPE_CHECKING:
    import yaml

KINDS: dict[str, type[Any]] = {
    "causes": model.Cause,
    "observations": model.Observation,
    "remedies": model.Remedy,
    "dialects": model.Dialect,
    "checks": model.Check,
    "texts": model.Messages,
}
CACHE_FORMAT = 2


class Problem(msgspec.Struct, frozen=True, order=True):
    """One fault in a knowledge file: `file:line:column: code text`."""

    location: Location
    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.location}: {self.code} {self.text}"


class Loaded(msgspec.Struct, frozen=True):
    """A file's entity and its node tree, for checks that point at a place."""

    path: Path
    kind: str
    entity: Any
    node: yaml.Node


def shipped_folder() -> Path:
    """The `knowledge/` folder: inside the installed package, or beside it in a checkout.

    Raises:
        KnowledgeError: the installation has none.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "knowledge", package.parent / "knowledge"):
        if (folder / "causes").is_dir():
            return folder
    raise KnowledgeError("the knowledge base is missing from this installation; install nandoctor again")


def load_knowledge(overlays: Sequence[str | Path] = (), *, cache: bool = True) -> KnowledgeBase:
    """The shipped knowledge with the `overlays` laid over it: a file adds its entity, or replaces the one of its id.

    Raises:
        KnowledgeError: with every problem of every file in `problems`.
    """
    folders = [shipped_folder(), *(Path(overlay) for overlay in overlays)]
    for folder in folders[1:]:
        if not folder.is_dir():
            raise KnowledgeError(f"no such knowledge folder: {folder}")
    files = [file for folder in folders for file in knowledge_files(folder)]
    place = _cache_file(files) if cache else None
    if place and (base := _read_cache(*place)):
        return base
    loaded, problems = read_files(Path(file) for file in files)
    if problems:
        raise KnowledgeError(_summary(problems), problems[0].location, tuple(problems))
    base = assemble(loaded)
    if place:
        _write_cache(*place, base)
    return base


def knowledge_files(folder: Path) -> list[os.DirEntry[str]]:
    """All YAML files of a knowledge folder in a fixed order, as the system lists them: paths cost a start 2 ms."""
    found = []
    for kind in KINDS:
        try:
            entries = list(os.scandir(folder / kind))
        except OSError:
            continue
        found += [entry for entry in entries if entry.name.endswith((".yaml", ".yml"))]
    return sorted(found, key=lambda entry: entry.path)


def read_files(paths: Iterable[Path]) -> tuple[list[Loaded], list[Problem]]:
    """Every file converted, and what is wrong with those that could not be."""
    loaded, problems = [], []
    for path in paths:
        try:
            loaded.append(read_file(path))
        except KnowledgeError as exc:
            problems.append(Problem(exc.location or Location(str(path)), "KB001", exc.message))
    return loaded, problems


def read_file(path: Path) -> Loaded:
    """One knowledge file.

    Raises:
        KnowledgeError: with file:line:column and, for an unknown field, the nearest known one.
    """
    from nandoctor.kb.yamlnode import build, compose, locate

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise KnowledgeError(f"cannot be read: {exc}", Location(str(path))) from None
    kind = path.parent.name
    struct: type[Any] = model.Quantities if path.stem == "quantities" and kind == "dialects" else KINDS[kind]
    node = compose(text, str(path))
    data = build(node, str(path))
    try:
        entity = msgspec.convert(data, struct)
    except msgspec.ValidationError as exc:
        problem, _, where = str(exc).partition(" - at `")
        unknown = re.search(r"unknown field `([^`]+)`", problem)
        key = unknown[1] if unknown else ""
        raise KnowledgeError(problem + _did_you_mean(key, struct), locate(node, where, str(path), key)) from None
    own_id = getattr(entity, "id", path.stem)
    if own_id != path.stem:
        raise KnowledgeError(
            f"the id `{own_id}` must be the file's name `{path.stem}`", locate(node, "$.id", str(path))
        )
    return Loaded(path, kind, entity, node)


def assemble(loaded: Iterable[Loaded]) -> KnowledgeBase:
    """The knowledge base of files in order; a later entity replaces an earlier one of the same id."""
    by_kind: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    messages: dict[str, model.Message] = {}
    quantities: tuple[model.Quantity, ...] = ()
    tells: tuple[model.Tell, ...] = ()
    for item in loaded:
        if isinstance(item.entity, model.Quantities):
            quantities = item.entity.quantities + quantities
            tells = item.entity.tells + tells
        elif isinstance(item.entity, model.Messages):
            messages |= {message.id: message for message in item.entity.messages}
        else:
            by_kind[item.kind][item.entity.id] = item.entity
    return KnowledgeBase(
        causes=by_kind["causes"],
        observations=by_kind["observations"],
        remedies=by_kind["remedies"],
        dialects=by_kind["dialects"],
        checks=by_kind["checks"],
        messages=messages,
        quantities=quantities,
        tells=tells,
    )


def _did_you_mean(key: str, struct: type[Any]) -> str:
    if not key:
        return ""
    import difflib

    near = difflib.get_close_matches(key, struct.__struct_fields__, 1)
    return f" (did you mean `{near[0]}`?)" if near else ""


def _summary(problems: Sequence[Problem]) -> str:
    more = f" (and {len(problems) - 1} more; `nandoctor kb check` lists all)" if len(problems) > 1 else ""
    return problems[0].text + more


# --- cache


class _Cache(msgspec.Struct, frozen=True):
    """What the cache file holds: the state of all files it was made from, in full, and the base."""

    made_from: str
    base: KnowledgeBase


def _cache_file(files: Sequence[os.DirEntry[str]]) -> tuple[Path, str] | None:
    """Where the cache of these files is, and the key that it must hold; None where there is no place for one."""
    root = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("HOME", "") and os.environ["HOME"] + "/.cache")
    if not root or os.environ.get("NANDOCTOR_NO_CACHE"):
        return None
    code = Path(model.__file__).stat()
    parts = [f"{CACHE_FORMAT} {code.st_size} {code.st_mtime_ns}"]
    for file in files:
        stat = file.stat()
        parts.append(f"{file.path} {stat.st_size} {stat.st_mtime_ns}")
    key = "\n".join(parts).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return Path(root) / "nandoctor" / f"knowledge-{zlib.crc32(key.encode()):08x}.msgpack", key


def _read_cache(place: Path, key: str) -> KnowledgeBase | None:
    try:
        cache = msgspec.msgpack.decode(place.read_bytes(), type=_Cache)
    except (OSError, msgspec.MsgspecError):
        return None
    return cache.base if cache.made_from == key else None


def _write_cache(place: Path, key: str, base: KnowledgeBase) -> None:
    """Written whole or not at all; older caches go, so that the folder does not grow."""
    import tempfile

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.msgpack.encode(_Cache(key, base)))
        Path(name).replace(place)
        old = sorted(place.parent.glob("knowledge-*.msgpack"), key=lambda p: p.stat().st_mtime)[:-4]
        for path in old:
            path.unlink(missing_ok=True)
    except OSError:
        return
