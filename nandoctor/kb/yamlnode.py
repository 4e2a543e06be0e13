"""YAML to plain data with a place for every node, under YAML 1.2's scalar rules.

PyYAML's own construction reads `1e-4` as text, `no` as False, `12:30` as 750, and lets a duplicate key win silently;
all four hit exactly this domain. Composing once and building the data here is also faster (see `docs/benchmarks.md`).
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from nandoctor.errors import KnowledgeError
from nandoctor.source import Location

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
_INTEGER = re.compile(r"[-+]?\d+")
_FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
MAX_DEPTH = 40  # an anchor bomb or a runaway nesting is no knowledge file
MAX_NODES = 200_000


def compose(text: str, file: str) -> yaml.Node:
    """The node tree of a YAML text.

    Raises:
        KnowledgeError: with file:line:column, on a syntax error, an alias, or an empty file.
    """
    try:
        if "&" in text and (mark := _first_anchor(text)):
            raise KnowledgeError(
                "anchors and aliases are not used in knowledge files; write it out", _location(file, mark)
            )
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        raise KnowledgeError(f"not YAML: {exc.problem or exc.context}", _location(file, mark)) from None
    except yaml.YAMLError as exc:
        raise KnowledgeError(f"not YAML: {' '.join(str(exc).split())}", Location(file, 1, 1)) from None
    except RecursionError:
        raise KnowledgeError("nested too deeply", Location(file, 1, 1)) from None
    if node is None:
        raise KnowledgeError("the file is empty", Location(file, 1, 1))
    return node


def _first_anchor(text: str) -> Any:
    """The mark of the first anchor. Events come one by one, so a bomb is refused before it unfolds."""
    for event in yaml.parse(text, Loader=_Loader):
        if getattr(event, "anchor", None):
            return event.start_mark
    return None


def build(node: yaml.Node, file: str) -> object:
    """Plain dicts, lists and scalars of a node tree.

    Raises:
        KnowledgeError: on a duplicate key or nesting beyond `MAX_DEPTH`.
    """
    budget = [MAX_NODES]

    def walk(node: yaml.Node, depth: int) -> object:
        budget[0] -= 1
        if depth > MAX_DEPTH or budget[0] < 0:
            raise KnowledgeError("nested too deeply or far too large", _location(file, node.start_mark))
        if isinstance(node, yaml.ScalarNode):
            return scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [walk(item, depth + 1) for item in node.value]
        data: dict[str, object] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise KnowledgeError("a key must be plain text", _location(file, key.start_mark))
            if key.value in data:
                raise KnowledgeError(f"duplicate key `{key.value}`", _location(file, key.start_mark))
            data[key.value] = walk(value, depth + 1)
        return data

    return walk(node, 0)


def scalar(node: yaml.ScalarNode) -> object:
    """The value of a scalar under YAML 1.2's core schema: `no`, `yes`, `12:30` are text; 1e-4 is a number."""
    text: str = node.value
    if node.style:
        return text
    if text in _CORE:
        return _CORE[text]
    if text[0] in "+-.0123456789":
        if _INTEGER.fullmatch(text):
            return int(text) if len(text) < 30 else float(text)  # int() refuses numbers of thousands of digits
        if _FLOAT.fullmatch(text):
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def locate(node: yaml.Node, path: str, file: str, key: str = "") -> Location:
    """The place of msgspec's error path (`$.shows[1].state`); with `key`, the place of that key itself.

    Paths through free-key maps (`[...]`) end at the map.
    """
    for name, index in re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path):
        if index == "...":
            break
        if index and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
            node = node.value[int(index)]
        elif isinstance(node, yaml.MappingNode):
            child = next((value for k, value in node.value if k.value == name), None)
            if child is None:
                break
            node = child
    if key and isinstance(node, yaml.MappingNode):
        found = next((k for k, _ in node.value if k.value == key), None)
        node = found or node
    return _location(file, node.start_mark)


def _location(file: str, mark: Any) -> Location:
    return Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
