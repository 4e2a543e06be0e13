"""The table's own reader of plain lines against click's: whatever the former reads, the latter reads the same."""

import os
import subprocess
import sys

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nandoctor.cli import commands
from nandoctor.cli.options import COMMANDS, REPORT, Options, read

VALUES = ["a.log", "-", "--", "", "json", "ko", "x=y", "-x", "--net", "a b", "run", "kb", "\n", "ü", "1,2"]
NAMES = [name for option in REPORT for name in option.names]
LONE = [*VALUES, *NAMES, *(f"{n}={v}" for n in NAMES for v in VALUES), "-h", "--version", "-ih", "--lo", "--formt"]
PAIR = st.sampled_from(REPORT).flatmap(
    lambda option: st.tuples(st.sampled_from(option.names), st.sampled_from([*option.choices, *VALUES]))
)
# Pairs of a name and a value make long lines that are right; lone words make the lines that are not.
LINES = st.lists(st.one_of(PAIR.map(list), st.sampled_from(LONE).map(lambda word: [word])), max_size=6)


def by_click(arguments: list[str]) -> Options | None:
    try:
        context = commands.report.make_context("nandoctor", list(arguments))
    except (click.ClickException, click.exceptions.Exit):
        return None
    return Options(**context.params)


@given(LINES.map(lambda parts: [word for part in parts for word in part]))
def test_what_is_read_here_click_reads_alike(arguments: list[str]) -> None:
    mine = read(arguments)
    if mine is not None:
        assert mine == by_click(arguments)


def test_a_line_with_every_option_is_plain() -> None:
    arguments = ["run"]
    for option in REPORT:
        arguments.append(option.names[-1])
        if not option.is_flag:
            arguments.append(option.choices[-1] if option.choices else "value")
    mine = read(arguments)
    assert mine is not None
    assert mine == by_click(arguments)
    untouched = {field for field in Options.__struct_fields__ if getattr(mine, field) == getattr(Options(), field)}
    assert not untouched


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--help"], ["-h"], ["--version"], ["--formt", "json"], ["--lo", "x"], ["--format", "pdf"]),
        *(["--log"], ["--log", ""], ["--log", "--net", "x"], ["--details=1"], ["one", "two"], ["--", "run"], ["-ih"]),
        *([name] for name in COMMANDS),
    ],
    ids=" ".join,
)
def test_anything_unusual_is_left_to_click(arguments: list[str]) -> None:
    assert read(arguments) is None


def test_a_shell_that_asks_for_completions_gets_them() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nandoctor"],
        env={**os.environ, "_NANDOCTOR_COMPLETE": "bash_complete", "COMP_WORDS": "nandoctor --in", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert {"plain,--input-shape", "plain,--interactive"} <= set(done.stdout.split())
