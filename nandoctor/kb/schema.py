"""JSON Schemas of the knowledge files, exported from the model; and every fault of a file against its schema.

Editors complete and check knowledge files with the schemas (`knowledge/schema/*.json`); `kb check` uses the same ones,
so that a file with five faults is told all five, each at its place.
"""

from __future__ import annotations

import difflib
import importlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nandoctor.kb import model
from nandoctor.source import Location

if TYPE_CHECKING:
    import yaml

    ValidationError = Any  # of jsonschema, which has no types of its own

# Name of the schema file -> struct of the knowledge file.
STRUCTS: dict[str, type[Any]] = {
    "cause": model.Cause,
    "observation": model.Observation,
    "remedy": model.Remedy,
    "dialect": model.Dialect,
    "check": model.Check,
    "texts": model.Messages,
    "quantities": model.Quantities,
}
DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TYPES = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a map",
    "null": "nothing",
}
_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "greater than",
    "exclusiveMaximum": "less than",
}


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of one kind of knowledge file (a key of `STRUCTS`)."""
    exported = msgspec.json.schema(STRUCTS[kind])
    return {"$schema": DRAFT, "title": f"nandoctor knowledge: {kind}", **exported}


def schema_text(kind: str = "") -> str:
    """The schema as it stands in `knowledge/schema/<kind>.json`; without a kind, a map of all."""
    content = schema(kind) if kind else {name: schema(name) for name in STRUCTS}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write_schemas(folder: Path) -> list[Path]:
    """Writes the schema of every kind below `folder`; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in STRUCTS:
        path = folder / f"{kind}.json"
        path.write_text(schema_text(kind), encoding="utf-8")
        written.append(path)
    return written


def faults(data: object, struct: type[Any], node: yaml.Node, file: str) -> list[tuple[Location, str]]:
    """Every fault of a converted file against the schema of `struct`; empty where jsonschema is not installed."""
    try:
        jsonschema = importlib.import_module("jsonschema")
    except ImportError:
        return []
    kind = next(name for name, known in STRUCTS.items() if known is struct)
    validator = jsonschema.Draft202012Validator(schema(kind))
    found = []
    for error in validator.iter_errors(data):
        for place, key, text in _told(error):
            found.append((place_of(node, place, file, key), text))
    return sorted(set(found))


def place_of(node: yaml.Node, path: Iterable[str | int], file: str, key: str = "") -> Location:
    """The place of a path of keys and indices, as far as it exists; with `key`, the place of that key itself."""
    for part in path:
        children = node.value if isinstance(node.value, list) else []
        if isinstance(part, int):
            if part >= len(children):
                break
            node = children[part]
        else:
            child = next((value for name, value in children if name.value == part), None)
            if child is None:
                break
            node = child
    if key and isinstance(node.value, list):
        node = next((item[0] for item in node.value if isinstance(item, tuple) and item[0].value == key), node)
    return Location(file, node.start_mark.line + 1, node.start_mark.column + 1)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean ...?)`, or nothing."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean `{near[0]}`?)" if near else ""


def _told(error: ValidationError) -> list[tuple[Sequence[str | int], str, str]]:
    """(path, key, text) of a fault in the author's words; several for an object with several unknown fields."""
    path: Sequence[str | int] = list(error.absolute_path)
    value, wanted, rule = error.instance, error.validator_value, error.validator
    if rule == "additionalProperties":
        known = error.schema.get("properties", {})
        return [
            (path, name, f"unknown field `{name}`{did_you_mean(str(name), known)}")
            for name in value
            if name not in known
        ]
    if rule == "required":
        # jsonschema reports one error for each missing field; the name is the first word of its message
        return [(path, "", f"missing field `{error.message.split(chr(39))[1]}`")]
    if rule == "anyOf":
        return _closest(error)
    if rule == "enum":
        choices = ", ".join(f"`{item}`" for item in wanted)
        return [(path, "", f"`{value}` is none of {choices}{did_you_mean(str(value), map(str, wanted))}")]
    if rule == "type":
        return [(path, "", f"expected {_TYPES.get(str(wanted), str(wanted))}, got {_shown(value)}")]
    if rule == "pattern":
        return [(path, "", f"`{value}` is no id: lower-case letters, digits, `-`, `_` and `.`")]
    if rule in _BOUNDS:
        return [(path, "", f"{_shown(value)} must be {_BOUNDS[str(rule)]} {wanted}")]
    return [(path, "", error.message)]


def _closest(error: ValidationError) -> list[tuple[Sequence[str | int], str, str]]:
    """Of several allowed forms, the faults of the one whose type fits; else what would have been allowed."""
    branches: dict[int, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(int(inner.relative_schema_path[0]), []).append(inner)
    misfits = ("type",) if isinstance(error.instance, str) else ("type", "enum")
    for inners in branches.values():
        if not any(inner.validator in misfits and not inner.relative_path for inner in inners):
            return [item for inner in inners for item in _told(inner)]
    allowed = " or ".join(dict.fromkeys(_allowed(branch) for branch in error.validator_value))
    return [(list(error.absolute_path), "", f"expected {allowed}, got {_shown(error.instance)}")]


def _allowed(branch: dict[str, Any]) -> str:
    if "enum" in branch:
        return ", ".join(f"`{item}`" for item in branch["enum"])
    return _TYPES.get(branch.get("type", "object"), "a map")


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    text = "nothing" if value is None else str(value).lower() if isinstance(value, bool) else f"`{value}`"
    return text if len(text) <= 60 else f"{text[:57]}...`"
