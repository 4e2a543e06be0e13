"""Every claim of the source documents, by its number, against what the product holds (`checklist.yaml`)."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from nandoctor.caffe_probe import command
from nandoctor.consultation import Consultation
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.yamlnode import build, compose

FILE = Path(__file__).parent / "checklist.yaml"
COUNT = 35
KB = load_knowledge(cache=False)
KINDS = {"causes": KB.causes, "observations": KB.observations, "remedies": KB.remedies, "checks": KB.checks}


class Claim(msgspec.Struct, forbid_unknown_fields=True):
    number: int
    claim: str
    documents: list[str]
    causes: list[str] = []
    observations: list[str] = []
    questions: list[str] = []
    remedies: list[str] = []
    checks: list[str] = []
    edits: dict[str, str] = {}
    snippets: dict[str, list[str]] = {}
    shows: list[tuple[str, str, str, float]] = []
    cures: list[tuple[str, str]] = []
    claims: list[str] = []
    log: str = ""
    says: dict[str, str] = {}
    probe: list[str] = []


class Checklist(msgspec.Struct, forbid_unknown_fields=True):
    claims: list[Claim]


CLAIMS = msgspec.convert(build(compose(FILE.read_text(encoding="utf-8"), str(FILE)), str(FILE)), Checklist).claims
each_claim = pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"claim{claim.number}")


def test_every_claim_is_there_once() -> None:
    assert [claim.number for claim in CLAIMS] == list(range(1, COUNT + 1))
    assert {document for claim in CLAIMS for document in claim.documents} == {"000", "001", "002", "003", "004"}


@each_claim
def test_what_answers_for_it_exists(claim: Claim) -> None:
    named = 0
    for kind, known in KINDS.items():
        for name in getattr(claim, kind):
            assert name in known, f"no {kind} `{name}`"
            assert claim.number in known[name].checklist, f"{name} does not name the claim in its `checklist`"
            named += 1
    for name in claim.questions:
        assert KB.observations[name].question is not None, f"`{name}` is never asked"
        named += 1
    assert named >= 2


@each_claim
def test_remedies_change_the_file_and_have_code(claim: Claim) -> None:
    for name, file in claim.edits.items():
        own = {edit.file for edit in KB.remedies[name].edits}
        through_checks = {edit.file for check in KB.checks.values() if name in check.remedies for edit in check.edits}
        assert file in own | through_checks, f"`{name}` edits no {file}"
    for name, frameworks in claim.snippets.items():
        missing = set(frameworks) - set(KB.remedies[name].snippets)
        assert not missing, f"`{name}` has no code for {missing}"


@each_claim
def test_links_between_causes_observations_and_remedies(claim: Claim) -> None:
    for cause, observation, state, factor in claim.shows:
        link = next(x for x in KB.causes[cause].shows if (x.observation, x.state) == (observation, state))
        held = KB.observations[observation].state(state)
        assert held is not None
        assert link.probability / held.background >= factor, f"{cause} shows {observation}: {state} too seldom"
    for remedy, cause in claim.cures:
        assert remedy in {use.use for use in KB.causes[cause].remedies}, f"{cause} does not use {remedy}"
    for cause in claim.claims:
        assert KB.causes[cause].claims, f"{cause} does not say what is claimed and what is true"


@each_claim
def test_a_log_of_this_form_says_so(claim: Claim, tmp_path: Path) -> None:
    if not claim.log:
        assert not claim.says
        return
    assert claim.says
    path = tmp_path / "train.log"
    path.write_text(claim.log, encoding="utf-8")
    consultation = Consultation.open(log=str(path), kb=KB)
    found = {item.observation: item for item in consultation.evidence}
    for observation, state in claim.says.items():
        assert found[observation].state == state
        assert all(place.line for place in found[observation].locations)
    assert consultation.diagnosis.verdict in ("fault", "undetermined")


@each_claim
def test_the_probe_writes_it(claim: Claim, tmp_path: Path) -> None:
    if not claim.probe:
        return
    case = Path(__file__).parent.parent / "corpus" / "lr_leaky_debug"
    text = command(
        str(case / "train_val.prototxt"), str(case / "solver.prototxt"), "", (), tmp_path / "probe", False, "en", KB
    )
    for name in claim.probe:
        assert (tmp_path / "probe" / name).stat().st_size > 0
        assert name in text


def test_numbers_named_in_the_knowledge_are_claims() -> None:
    numbers = {claim.number for claim in CLAIMS}
    for kind, known in KINDS.items():
        for name, entity in known.items():
            assert set(entity.checklist) <= numbers, f"{kind} {name}"


def test_every_experiment_that_a_claim_names_has_a_remedy_that_does_it() -> None:
    asked = {remedy.asks for remedy in KB.remedies.values() if remedy.asks}
    for claim in CLAIMS:
        for name in claim.questions:
            if KB.observations[name].kind == "experiment":
                assert name in asked, f"{name} of claim {claim.number}"


def test_growth_of_the_sample_log_is_what_it_says() -> None:
    """The sample of claim 1 grows by the same factor each step: the table itself is not nonsense."""
    losses = [float(line.split("loss = ")[1]) for line in CLAIMS[0].log.splitlines() if "228] Iteration" in line]
    finite = [value for value in losses if math.isfinite(value)]
    assert len(finite) >= 8
    assert all(b / a > 2 for a, b in zip(finite, finite[1:]))
