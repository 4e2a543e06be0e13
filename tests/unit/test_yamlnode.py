"""YAML under 1.2's scalar rules, and what an author, or somebody hostile, may get wrong."""

from __future__ import annotations

import math

import pytest

from nandoctor.errors import KnowledgeError
from nandoctor.kb.yamlnode import build, compose, locate
from nandoctor.source import Location


def read(text: str) -> object:
    return build(compose(text, "file.yaml"), "file.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("-3", -3),
        ("+7", 7),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("Off", "Off"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("1_000", "1_000"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("'1e-4'", "1e-4"),
        ('"true"', "true"),
        ("nan", "nan"),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("1.#QNAN", "1.#QNAN"),
        ("!!python/object:os.system ls", "ls"),
    ],
)
def test_scalars(text: str, value: object) -> None:
    data = read(f"key: {text}")
    assert isinstance(data, dict)
    assert data["key"] == value
    assert type(data["key"]) is type(value)


def test_not_a_number() -> None:
    data = read("key: .nan")
    assert isinstance(data, dict)
    assert math.isnan(data["key"])


def test_block_text_keeps_its_form() -> None:
    assert read("a: >-\n  one\n  two\nb: |\n  1e-4\n") == {"a": "one two", "b": "1e-4\n"}


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "duplicate key `a`"),
        ("a:\n  - {x: 1, y: 2, x: 3}\n", 2, 18, "duplicate key `x`"),
        ("a: [1, 2\nb: 3\n", 2, 2, "not YAML"),
        ("a:\tb\n\tc: d\n", 2, 1, "tab"),
        ("a: 'open\n", 2, 1, "unexpected end"),
        ("a: b\n---\nc: d\n", 2, 1, "another document"),
        ("? [a]\n: b\n", 1, 3, "key must be plain"),
        ("a: \x07\n", 1, 1, "control characters"),
        ("", 1, 1, "empty"),
        ("# a comment only\n", 1, 1, "empty"),
        ("a: &x [1, 2]\nb: {c: *x}\n", 1, 4, "anchors and aliases"),
        ("a: &x [*x]\n", 1, 4, "anchors and aliases"),
        ("a: &x 1\nb: *x\n", 1, 4, "anchors and aliases"),
    ],
)
def test_faults_are_told_with_their_place(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(KnowledgeError, match=words) as caught:
        read(text)
    assert caught.value.location == Location("file.yaml", line, column)


def test_deep_nesting_and_long_numbers_do_no_harm() -> None:
    with pytest.raises(KnowledgeError, match="nested too deeply"):
        read("[" * 2000 + "]" * 2000)
    with pytest.raises(KnowledgeError):
        read("{a: " * 20_000)
    assert read("a: " + "9" * 5000) == {"a": math.inf}


def test_laughing_bomb_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(KnowledgeError, match="anchors"):
        read("\n".join(lines))


FILE = """\
id: x
title: {en: y}
shows:
- {observation: a, state: b}
- {observation: c, state: d}
"""


@pytest.mark.parametrize(
    ("path", "key", "line", "column"),
    [
        ("$.shows[1].state", "", 5, 27),
        ("$.shows[1]", "state", 5, 20),
        ("$.shows[9].state", "", 4, 1),
        ("$.title[...]", "", 2, 8),
        ("$", "title", 2, 1),
        ("$.nothing", "", 1, 1),
    ],
)
def test_locate(path: str, key: str, line: int, column: int) -> None:
    assert locate(compose(FILE, "f"), path, "f", key) == Location("f", line, column)
