"""The shipped knowledge under its own instruments: lint, samples, embedded cases, simulated owners, schemas."""

from __future__ import annotations

import math
import time

import pytest

from nandoctor.authoring import check_all
from nandoctor.authoring.cases import run_tests
from nandoctor.kb.graph import graph
from nandoctor.kb.load import KINDS, load_knowledge, shipped_folder
from nandoctor.kb.model import LANGUAGES, Dialect
from nandoctor.kb.schema import STRUCTS, schema_text
from nandoctor.kb.shelf import read_shelf
from nandoctor.readers.dialect import compiled

KB = load_knowledge(cache=False)
HOSTILE = 0.3  # seconds of processor time that one pattern may take for one line of a few thousand characters


def test_the_lint_finds_nothing() -> None:
    assert [str(problem) for problem in check_all()] == []


def test_schemas_are_current() -> None:
    for kind in STRUCTS:
        path = shipped_folder() / "schema" / f"{kind}.json"
        written = path.read_text(encoding="utf-8")
        assert written == schema_text(kind), "run `nandoctor kb schema --write knowledge/schema`"


def test_every_file_fits_its_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from nandoctor.kb import model
    from nandoctor.kb.schema import schema
    from nandoctor.kb.yamlnode import build

    validators = {struct: jsonschema.Draft202012Validator(schema(kind)) for kind, struct in STRUCTS.items()}
    shelf, problems = read_shelf([shipped_folder()])
    assert not problems
    for item in shelf.everything():
        struct = model.Quantities if isinstance(item.entity, model.Quantities) else KINDS[item.kind]
        errors = list(validators[struct].iter_errors(build(item.node, str(item.path))))
        assert not errors, f"{item.path}: {errors[0].message}"


REPORT = run_tests(KB)


@pytest.mark.parametrize("case", REPORT.cases, ids=lambda case: f"{case.cause}-{case.number}")
def test_embedded_case(case: object) -> None:
    assert case.passed, case  # type: ignore[attr-defined]


@pytest.mark.parametrize("owners", REPORT.owners, ids=lambda item: item.cause)
def test_simulated_owners_are_recognised(owners: object) -> None:
    assert owners.passed, owners  # type: ignore[attr-defined]


def test_every_cause_has_both_kinds_of_case() -> None:
    for cause in KB.causes.values():
        expected = {case.expect for case in cause.cases}
        assert expected & {"first", "top3"}, cause.id
        assert expected & {"not first", "below 5 %"}, cause.id


def test_priors_add_up_to_about_one() -> None:
    assert math.fsum(cause.prior_probability for cause in KB.causes.values()) == pytest.approx(1.0, abs=0.05)


def test_texts_differ_between_languages() -> None:
    """No language is the copy of another: titles of causes and remedies, questions of observations."""
    texts = [c.title for c in KB.causes.values()] + [r.title for r in KB.remedies.values()]
    texts += [o.question for o in KB.observations.values() if o.question]
    assert all(len({getattr(text, lang) for lang in LANGUAGES}) == len(LANGUAGES) for text in texts)


def test_the_whole_graph_can_be_drawn() -> None:
    """Mermaid refuses more than 500 edges and 50,000 characters by default."""
    text = graph(KB)
    assert sum("|" in line for line in text.splitlines()) <= 500
    assert len(text) < 50_000


UNITS = (
    "1 ",
    "1111 ",
    "1.1e-5, ",
    "a",
    "a ",
    "loss ",
    "loss: ",
    "key=1, ",
    "nan ",
    " ",
    "(",
    "[",
    "|",
    ":",
    "- ",
    "1|",
)


@pytest.mark.parametrize("dialect", KB.dialects.values(), ids=lambda dialect: dialect.id)
def test_no_pattern_takes_long_for_a_hostile_line(dialect: Dialect) -> None:
    patterns = [(p.id, p.regex, p.needs) for p in (*dialect.lines, *dialect.events, *dialect.blocks)]
    patterns += [(p.id, p.pairs, "") for p in dialect.lines if p.pairs]
    for name, regex, needs in patterns:
        search = compiled(regex).search
        # Longer and longer, so that an exponential pattern is caught while it is still quick enough to be caught.
        for count in (4, 6, 8, 10, 12, 14, 16, 20, 24, 400):
            lines = [needs + unit * count + "!" for unit in UNITS]
            lines += [f"{sample.line} {unit * count}!" for sample in dialect.samples[:6] for unit in UNITS[:6]]
            for line in lines:
                start = time.thread_time()
                search(line)
                took = time.thread_time() - start
                assert took < HOSTILE, f"{name}: {took:.2f} s for {line[:60]!r} ({len(line)} characters)"
