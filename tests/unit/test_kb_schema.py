"""The schemas accept what the loader accepts, and tell every fault in the author's words."""

from __future__ import annotations

import pytest

from nandoctor.kb import model, schema
from nandoctor.kb.yamlnode import build, compose

jsonschema = pytest.importorskip("jsonschema")


def told(text: str, struct: type = model.Cause) -> list[str]:
    node = compose(text, "f")
    return [
        f"{place.line}:{place.column} {words}" for place, words in schema.faults(build(node, "f"), struct, node, "f")
    ]


@pytest.mark.parametrize("kind", list(schema.STRUCTS))
def test_schemas_are_valid_json_schema(kind: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema.schema(kind))


def test_every_fault_in_words() -> None:
    text = """\
id: Learning
title: {en: x, fr: y}
summry: hello
prior: comon
fault: maybe
shows:
  - {observation: a, state: b, how_often: ofen}
  - {observation: a, state: b, how_often: 1.5}
  - {observation: a, state: [x], how_often: {a: b}}
  - 3
remedies: {use: x}
"""
    assert told(text) == [
        "1:1 missing field `summary`",
        "1:5 `Learning` is no id: lower-case letters, digits, `-`, `_` and `.`",
        "2:16 unknown field `fr`",
        "3:1 unknown field `summry` (did you mean `summary`?)",
        "4:8 `comon` is none of `common`, `rare`, `uncommon`, `very common` (did you mean `common`?)",
        "5:8 expected true or false, got `maybe`",
        "7:43 `ofen` is none of `almost always`, `never`, `often`, `rarely`, `sometimes` (did you mean `often`?)",
        "8:43 `1.5` must be less than 1",
        "9:29 expected text, got a list",
        "9:45 expected `almost always`, `never`, `often`, `rarely`, `sometimes` or a number, got a map",
        "10:5 expected a map, got `3`",
        "11:11 expected a list, got a map",
    ]


def test_optional_texts_are_told_from_inside() -> None:
    text = """\
id: x
kind: course
title: {en: x}
normal: a
question: {en: 3}
states: [{id: a, label: {en: x}, background: 0.5, means: no}]
"""
    assert told(text, model.Observation) == ["5:16 expected text, got `3`", "6:58 expected a map or nothing, got `no`"]
