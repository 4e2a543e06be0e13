"""Regular expressions that may take for ever are recognised, ordinary ones are not.

That `SLOW` is slow was measured once (a line of 20 characters takes four times or more the time of one of 16).
"""

from __future__ import annotations

import pytest

from nandoctor.kb.patterns import backtracking, fault

SLOW = [
    r"(a+)+$",
    r"(\w+\s*)+x",
    r"(?:\d+\.?\d*)+x",
    r"(.*,?)*y",
    r"((?:ab)*)*x",
    r"(?:(?P<name>\w+)=?){20,}x",
    r"(\s*\S+)*x",
    r"(?:\w+|\s)*x",
]
FINE = [
    r"(\w+,)+x",
    r"(?:, \w+=\d+)*x",
    r"\d+\.?\d*",
    r"(?:[a-z]++)+x",
    r"(?>a+)+x",
    r"(?: [\w./@#-]++){0,3}?",
    r"^(\w+)\s+(\d+)$",
    r"(?:\w+: \d+;)*x",
    r"(?:\[\d+\])+x",
    r"(?:a|b)*x",
    r"(?<!\w)Iteration (?P<step>\d+)(?: \([^)]*\))?, loss = (?P<loss>\S+)",
]


@pytest.mark.parametrize("regex", SLOW)
def test_exponential(regex: str) -> None:
    assert backtracking(regex)


@pytest.mark.parametrize("regex", FINE)
def test_fine(regex: str) -> None:
    assert not backtracking(regex)
    assert fault(regex) == ""


@pytest.mark.parametrize("regex", ["(", "[a", "*x", "(?P<a>x)(?P<a>y)", "a{99999999999}"])
def test_no_regular_expression(regex: str) -> None:
    assert fault(regex).startswith("not a regular expression")
