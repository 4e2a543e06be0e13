"""The knowledge files of all folders as an author's instrument sees them: every file read, none stops the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from nandoctor.errors import KnowledgeError
from nandoctor.kb import model
from nandoctor.kb.load import KINDS, Loaded, Problem, knowledge_files, read_file
from nandoctor.kb.schema import did_you_mean, faults, place_of
from nandoctor.source import Location

NodePath = Sequence[str | int]  # keys and indices from the root of a file


class Shelf(NamedTuple):
    """The files of all folders, later ones over earlier ones, as `kb check` sees them.

    `files`: kind -> id -> file that counts. `unreadable`: kind -> ids of files that exist and cannot be converted, so
    that a link to one of them is not called unknown.
    """

    files: dict[str, dict[str, Loaded]]
    unreadable: dict[str, set[str]]

    def entities(self, kind: str) -> dict[str, Any]:
        """The entities of a kind by id."""
        return {name: item.entity for name, item in self.files[kind].items()}

    def known(self, kind: str) -> set[str]:
        """Every id of a kind that some file claims."""
        return set(self.files[kind]) | self.unreadable[kind]

    def everything(self) -> Iterator[Loaded]:
        """All files that count."""
        for files in self.files.values():
            yield from files.values()


def read_shelf(folders: Sequence[Path]) -> tuple[Shelf, list[Problem]]:
    """All files of the folders, and what is wrong with each on its own."""
    shelf = Shelf({kind: {} for kind in KINDS}, {kind: set() for kind in KINDS})
    problems: list[Problem] = []
    for folder in folders:
        if not folder.is_dir():
            problems.append(Problem(Location(str(folder)), "KB001", "no such knowledge folder"))
            continue
        problems += _strange_folders(folder)
        seen: dict[tuple[str, str], Path] = {}
        for path in map(Path, knowledge_files(folder)):
            kind, name = path.parent.name, path.stem
            if (kind, name) in seen:
                first = seen[kind, name].name
                problems.append(Problem(Location(str(path), 1, 1), "KB003", f"`{first}` beside it has the same id"))
            seen[kind, name] = path
            item, found = examine(path)
            problems += found
            if item is None:
                shelf.unreadable[kind].add(name)
                continue
            shelf.files[kind][name] = item
            shelf.unreadable[kind].discard(name)
    return shelf, problems


def examine(path: Path) -> tuple[Loaded | None, list[Problem]]:
    """One file: converted if it can be, and every problem it has on its own."""
    from nandoctor.kb.yamlnode import compose

    file = str(path)
    problems = []
    try:
        text = path.read_text(encoding="utf-8")
        node = compose(text, file)
    except (OSError, UnicodeDecodeError) as exc:
        return None, [Problem(Location(file), "KB001", f"cannot be read: {exc}")]
    except KnowledgeError as exc:
        return None, [Problem(exc.location or Location(file), "KB001", exc.message)]
    problems += [Problem(place, "KB003", f"duplicate key `{key}`") for place, key in _duplicates(node, file)]
    try:
        return read_file(path), problems
    except KnowledgeError as exc:
        if problems:
            return None, problems
        problems += _all_faults(path, node)
        return None, problems or [Problem(exc.location or Location(file), "KB001", exc.message)]


def _all_faults(path: Path, node: yaml.Node) -> list[Problem]:
    """Everything a readable YAML file gets wrong, where the loader stops at the first."""
    from nandoctor.kb.yamlnode import build

    file, kind = str(path), path.parent.name
    try:
        data = build(node, file)
    except KnowledgeError:
        return []
    struct = model.Quantities if path.stem == "quantities" and kind == "dialects" else KINDS[kind]
    problems = [Problem(place, "KB001", text) for place, text in faults(data, struct, node, file)]
    if isinstance(data, dict) and isinstance(own := data.get("id"), str) and own != path.stem:
        text = f"the id `{own}` must be the file's name `{path.stem}`"
        problems.append(Problem(place_of(node, ("id",), file), "KB002", text))
    return problems


def _duplicates(node: yaml.Node, file: str) -> list[tuple[Location, str]]:
    """Every key that stands twice in its map."""
    found = []
    pending = [node]
    met = set()  # an alias makes the tree a graph, perhaps with a circle
    while pending:
        node = pending.pop()
        if id(node) in met:
            continue
        met.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            pending += node.value
        elif isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                if str(key.value) in seen:
                    found.append((Location(file, key.start_mark.line + 1, key.start_mark.column + 1), str(key.value)))
                seen.add(str(key.value))
                pending.append(value)
    return found


def _strange_folders(folder: Path) -> list[Problem]:
    """Folders that hold YAML files and that nobody reads: mostly misspelt."""
    known = (*KINDS, "schema")
    return [
        Problem(
            Location(str(entry)), "KB002", f"`{entry.name}` is no folder of knowledge{did_you_mean(entry.name, known)}"
        )
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and entry.name not in known and (any(entry.glob("*.yaml")) or any(entry.glob("*.yml")))
    ]


def problem(item: Loaded, path: NodePath, code: str, text: str, key: str = "") -> Problem:
    """A problem at a path of keys and indices in a file."""
    return Problem(place_of(item.node, path, str(item.path), key), code, text)


def texts(entity: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every language map of an entity, with its path."""
    if isinstance(entity, model.Text | model.Phrases | model.Message):
        yield path, entity
    elif isinstance(entity, msgspec.Struct):
        for field in entity.__struct_fields__:
            yield from texts(getattr(entity, field), (*path, field))
    elif isinstance(entity, tuple):
        for index, part in enumerate(entity):
            yield from texts(part, (*path, index))
    elif isinstance(entity, dict):
        for name, part in entity.items():
            yield from texts(part, (*path, str(name)))
