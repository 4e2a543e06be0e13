"""Comparisons over fields in the manner of Sigma: `pooling_param.stride|gt_field: pooling_param.kernel_size`.

A condition is a map; all of it must hold for one layer (or the solver). A field that is not written satisfies only
`missing`: defaults are Caffe's business and stand in the check file as a second condition where they matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from nandoctor.readers.caffe import Layer, Solver
from nandoctor.source import Location

MODIFIERS = ("exists", "missing", "eq", "ne", "gt", "ge", "lt", "le", "in", "gt_field", "lt_field", "re")
Wanted = str | float | bool | list[str] | None
Subject = Layer | Solver


def holds(subject: Subject, conditions: Mapping[str, Wanted]) -> bool:
    """Whether every condition holds for the layer or solver.

    Raises:
        ValueError: an unknown modifier.
    """
    return all(_holds(subject, key, wanted) for key, wanted in conditions.items())


def places(subject: Subject, conditions: Mapping[str, Wanted]) -> tuple[Location, ...]:
    """Where the fields of the conditions stand, or would stand."""
    paths = dict.fromkeys(key.partition("|")[0] for key in conditions)
    written = [subject.where(path) for path in paths if subject.has(path)]
    return tuple(written or [subject.where(path) for path in paths][:1])


def value_of(subject: Subject, conditions: Mapping[str, Wanted]) -> object:
    """The value of the first field of the conditions that is written."""
    for key in conditions:
        found = subject.get(key.partition("|")[0])
        if found is not None:
            return found
    return ""


def _holds(subject: Subject, key: str, wanted: Wanted) -> bool:
    path, _, modifier = key.partition("|")
    modifier = modifier or "eq"
    if modifier not in MODIFIERS:
        raise ValueError(f"unknown modifier `{modifier}` in `{key}`")
    if modifier == "exists":
        return subject.has(path) is (wanted is not False)
    if modifier == "missing":
        return subject.has(path) is (wanted is False)
    found = subject.all(path)
    if modifier == "ne":
        return bool(found) and not any(_equal(value, wanted) for value in found)
    return any(_compare(subject, modifier, value, wanted) for value in found)


def _compare(subject: Subject, modifier: str, value: object, wanted: Wanted) -> bool:
    match modifier:
        case "eq":
            return _equal(value, wanted)
        case "in":
            return isinstance(wanted, list) and any(_equal(value, one) for one in wanted)
        case "re":
            return re.search(str(wanted), str(value)) is not None
        case "gt_field" | "lt_field":
            other = subject.get(str(wanted))
            return _order(value, other, "gt" if modifier == "gt_field" else "lt")
    return _order(value, wanted, modifier)  # type: ignore[arg-type]


def _equal(value: object, wanted: object) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return str(value).lower() == str(wanted).lower()
    if isinstance(value, int | float):
        return isinstance(wanted, int | float) and value == wanted
    return str(value) == str(wanted)


def _order(value: object, wanted: object, modifier: Literal["gt", "ge", "lt", "le"]) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return False
    if not (isinstance(value, int | float) and isinstance(wanted, int | float)):
        return False
    match modifier:
        case "gt":
            return value > wanted
        case "ge":
            return value >= wanted
        case "lt":
            return value < wanted
    return value <= wanted
