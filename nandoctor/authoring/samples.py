"""Runs the samples inside dialect and check files: each must read, or fire, as it says."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from nandoctor.errors import NandoctorError
from nandoctor.kb import model, patterns
from nandoctor.kb.load import Loaded, Problem, assemble
from nandoctor.kb.model import KnowledgeBase
from nandoctor.kb.schema import did_you_mean
from nandoctor.kb.shelf import Shelf, problem


def sample_problems(shelf: Shelf) -> Iterator[Problem]:
    """Every problem of patterns, dialect samples, detectors and check samples."""
    kb = assemble(shelf.everything())
    dialects = {name: item for name, item in shelf.files["dialects"].items() if isinstance(item.entity, model.Dialect)}
    sound = True
    for item in dialects.values():
        faults = list(_patterns(item))
        sound = sound and not any(fault.code == "KB050" for fault in faults)
        yield from faults
        yield from _unsampled(item)
    yield from _roles(shelf)
    if sound:
        yield from _readings(kb, dialects)
    for item in shelf.files["checks"].values():
        yield from _check(kb, item)


# --- dialects


def _regexes(dialect: model.Dialect) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every regular expression of a dialect with its path."""
    for number, line in enumerate(dialect.lines):
        yield ("lines", number, "regex"), line.regex
        if line.pairs:
            yield ("lines", number, "pairs"), line.pairs
        for name in line.roles:
            yield ("lines", number, "roles"), name
    for number, event in enumerate(dialect.events):
        yield ("events", number, "regex"), event.regex
    for number, block in enumerate(dialect.blocks):
        yield ("blocks", number, "regex"), block.regex
        yield ("blocks", number, "line"), block.line


def _patterns(item: Loaded) -> Iterator[Problem]:
    from nandoctor.readers.dialect import compiled

    for path, regex in _regexes(item.entity):
        try:
            expanded = compiled(regex).pattern
        except (re.error, OverflowError, RecursionError) as exc:
            yield problem(item, path, "KB050", f"not a regular expression: {exc}")
            continue
        if patterns.backtracking(expanded):
            yield problem(
                item, path, "KB051", "a repeat inside a repeat without a separator: exponential on a hostile line"
            )


def _unsampled(item: Loaded) -> Iterator[Problem]:
    """Patterns that no sample uses, and a dialect that shows no line it must not take."""
    dialect: model.Dialect = item.entity
    lines = [line for sample in dialect.samples if sample.match for line in sample.line.split("\n")]
    events = {sample.event for sample in dialect.samples}
    for number, pattern in enumerate(dialect.lines):
        if not any(_takes(pattern, line) for line in lines):
            yield problem(
                item, ("lines", number), "KB052", f"no sample is read by the pattern `{pattern.id}`", key="id"
            )
    for number, event in enumerate(dialect.events):
        if event.id not in events and not any(_takes(event, line) for line in lines):
            yield problem(item, ("events", number), "KB052", f"no sample shows the event `{event.id}`", key="id")
    if dialect.lines and all(sample.match for sample in dialect.samples):
        yield problem(item, (), "KB057", "no near miss: a sample with match: false", key="samples")


def _takes(pattern: model.LinePattern | model.EventPattern, line: str) -> bool:
    from nandoctor.readers.dialect import compiled

    lowered = line.lower()
    if pattern.needs not in line or (pattern.needs_any and not any(need in lowered for need in pattern.needs_any)):
        return False
    try:
        return compiled(pattern.regex).search(line) is not None
    except (re.error, OverflowError, RecursionError):
        return True  # told as KB050 already


def _roles(shelf: Shelf) -> Iterator[Problem]:
    """Roles that no detector knows."""
    from typing import get_args

    from nandoctor.readers.dialect import PLACES
    from nandoctor.readers.facts import Role

    known = (*get_args(Role), *PLACES, "ignore")
    for item in shelf.files["dialects"].values():
        if isinstance(item.entity, model.Quantities):
            for number, quantity in enumerate(item.entity.quantities):
                if quantity.role not in known:
                    text = f"unknown role `{quantity.role}`{did_you_mean(quantity.role, known)}"
                    yield problem(item, ("quantities", number, "role"), "KB055", text)
            continue
        for number, line in enumerate(item.entity.lines):
            for name, role in line.roles.items():
                if role not in known:
                    text = f"unknown role `{role}`{did_you_mean(role, known)}"
                    yield problem(item, ("lines", number, "roles"), "KB055", text, key=name)


def _readings(kb: KnowledgeBase, dialects: dict[str, Loaded]) -> Iterator[Problem]:
    """Samples that are not read as they say, alone or among all dialects."""
    from nandoctor.readers.samples import failures

    for failure in failures(kb):
        item = dialects[failure.dialect]
        path = ("samples", failure.sample) if failure.sample >= 0 else ("lines",)
        code = "KB054" if failure.text.startswith("is taken by") else "KB053"
        yield problem(item, path, code, failure.text)


# --- checks


def _check(kb: KnowledgeBase, item: Loaded) -> Iterator[Problem]:
    from nandoctor.checks import DETECTORS

    check: model.Check = item.entity
    if check.detector and check.detector not in DETECTORS:
        text = f"unknown detector `{check.detector}`{did_you_mean(check.detector, DETECTORS)}"
        yield problem(item, ("detector",), "KB064", text)
        return
    yield from _pairs(kb, item)
    for number, sample in enumerate(check.samples):
        try:
            fired = fires(kb, check, sample)
        except NandoctorError as exc:
            yield problem(item, ("samples", number), "KB060", f"the sample cannot be read: {exc.message}")
            continue
        if fired != sample.fires:
            text = (
                "must fire on this sample, but does not" if sample.fires else "must not fire on this sample, but does"
            )
            yield problem(item, ("samples", number), "KB060", text)


def fires(kb: KnowledgeBase, check: model.Check, sample: model.CheckSample) -> bool:
    """Whether the check, alone, finds something in the sample.

    Raises:
        NandoctorError: the sample is no net, solver or log.
    """
    from nandoctor.checks import run_checks
    from nandoctor.readers.caffe import read_net, read_solver
    from nandoctor.readers.textproto import parse

    net = read_net(parse(sample.net, "sample.prototxt")) if sample.net else None
    solver = read_solver(parse(sample.solver, "solver.prototxt")) if sample.solver else None
    alone = msgspec.structs.replace(kb, checks={check.id: check})
    run = None
    if sample.log:
        from nandoctor.readers.log import read_text

        run = read_text(sample.log, "sample.log", kb)
    result = run_checks(alone, net=net, solver=solver, run=run)
    own = f"check:{check.id}"
    return bool(result.findings) or any(e.note is not None and e.note.id == own for e in result.evidence)


def _pairs(kb: KnowledgeBase, item: Loaded) -> Iterator[Problem]:
    """The `observation=state` pairs that the engine reads from `params`."""
    for key in ("also", "also_clear"):
        for pair in str(item.entity.params.get(key, "")).split():
            name, _, state = pair.partition("=")
            observation = kb.observations.get(name)
            if observation is None:
                text = f"unknown observation `{name}`{did_you_mean(name, kb.observations)}"
                yield problem(item, ("params",), "KB010", text, key=key)
            elif observation.state(state) is None:
                text = f"`{name}` has no state `{state}`{did_you_mean(state, [s.id for s in observation.states])}"
                yield problem(item, ("params",), "KB011", text, key=key)
