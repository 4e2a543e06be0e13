"""The measure itself: intervals, calibration error, what counts as right, and that labels never reach the program."""

from pathlib import Path

import pytest

from nandoctor import evaluation
from nandoctor.errors import NandoctorError, UnreadableError
from nandoctor.evaluation import Case, Outcome, brier, calibration_error, compare, judge, load_case, load_cases, share
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import KnowledgeBase

CORPUS = Path(__file__).parent.parent / "corpus"


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    return load_knowledge()


def outcome(confidence: float, first: bool) -> Outcome:
    return Outcome("c", "run", "", ("bad-labels",), (("bad-labels", confidence),), "fault", first, first, confidence,
                   None, 0, 0.0)  # fmt: skip


def case(
    folder: Path,
    *causes: str,
    acceptable: tuple[str, ...] = (),
    answers: dict[str, str] | None = None,
    experiments: dict[str, str] | None = None,
    description: str = "",
) -> Case:
    answers, experiments = answers or {}, experiments or {}
    unmarked = (None, None, False)
    return Case(
        folder, "an-id", "run", "", causes, acceptable, answers, experiments, description, *unmarked, (), "", ""
    )


# --- figures


def test_share_of_a_known_sample() -> None:
    found = share([True] * 80 + [False] * 20)
    assert found.share == 0.8
    assert found.low == pytest.approx(0.8 - 1.96 * 0.04, abs=0.02)  # the normal interval: standard error sqrt(pq/n)
    assert found.high == pytest.approx(0.8 + 1.96 * 0.04, abs=0.02)


def test_share_at_the_ends() -> None:
    assert share([]) == evaluation.Interval(0.0, 0.0, 0.0)
    assert share([True] * 5) == evaluation.Interval(1.0, 1.0, 1.0)
    assert share([False] * 5) == evaluation.Interval(0.0, 0.0, 0.0)


def test_share_is_the_same_every_time_and_narrows_with_more_cases() -> None:
    few, many = share([True, True, False] * 10), share([True, True, False] * 100)
    assert few == share([True, True, False] * 10)
    assert many.high - many.low < (few.high - few.low) / 2


def test_calibration_error_by_hand() -> None:
    sure = [outcome(0.95, first) for first in [True] * 9 + [False]]  # says 0.95, is 0.9
    unsure = [outcome(0.35, first) for first in [True] * 5 + [False] * 5]  # says 0.35, is 0.5
    assert calibration_error(sure) == pytest.approx(0.05)
    assert calibration_error(unsure) == pytest.approx(0.15)
    assert calibration_error(sure + unsure) == pytest.approx(0.10)
    assert calibration_error([]) == 0.0


def test_calibration_error_does_not_let_bins_cancel() -> None:
    too_sure = [outcome(0.9, False)]
    too_modest = [outcome(0.1, True)]
    assert calibration_error(too_sure + too_modest) == pytest.approx(0.9)


def test_certainty_falls_into_the_last_bin() -> None:
    assert calibration_error([outcome(1.0, True)]) == 0.0


def test_brier_by_hand() -> None:
    assert brier([outcome(0.8, True), outcome(0.6, False)]) == pytest.approx((0.04 + 0.36) / 2)
    assert brier([]) == 0.0


# --- what counts as right


def test_first_and_among_three(tmp_path: Path) -> None:
    ranking = [("bad-labels", 0.5), ("bad-input-data", 0.3), ("log-of-zero", 0.1), ("exp-overflow", 0.05)]
    assert compare(case(tmp_path, "bad-labels"), ranking, "fault") == (True, True)
    assert compare(case(tmp_path, "log-of-zero"), ranking, "fault") == (False, True)
    assert compare(case(tmp_path, "exp-overflow"), ranking, "fault") == (False, False)


def test_an_acceptable_cause_counts(tmp_path: Path) -> None:
    ranking = [("bad-labels", 0.5), ("bad-input-data", 0.3)]
    assert compare(case(tmp_path, "exp-overflow", acceptable=("bad-labels",)), ranking, "fault") == (True, True)
    assert compare(case(tmp_path, "exp-overflow", acceptable=("bad-input-data",)), ranking, "fault") == (False, True)


@pytest.mark.parametrize("cause", evaluation.FINE)
@pytest.mark.parametrize("verdict", ["healthy", "benign"])
def test_healthy_and_benign_stand_for_each_other(tmp_path: Path, cause: str, verdict: str) -> None:
    assert compare(case(tmp_path, cause), [("none-of-these", 0.9)], verdict) == (True, True)


def test_a_healthy_run_called_faulty_is_wrong_even_if_healthy_is_second(tmp_path: Path) -> None:
    ranking = [("bad-labels", 0.5), ("healthy", 0.4)]
    assert compare(case(tmp_path, "healthy"), ranking, "fault") == (False, True)
    assert compare(case(tmp_path, "healthy"), ranking, "undetermined") == (False, True)


def test_healthy_is_no_excuse_for_a_fault(tmp_path: Path) -> None:
    assert compare(case(tmp_path, "bad-labels"), [("healthy", 0.9)], "healthy") == (False, False)


def test_several_causes_must_all_be_found(tmp_path: Path) -> None:
    both = case(tmp_path, "bad-labels", "input-not-normalized")
    one_each = [("input-not-normalized", 0.8), ("bad-labels", 0.7), ("log-of-zero", 0.1)]
    third = [("input-not-normalized", 0.8), ("log-of-zero", 0.3), ("bad-labels", 0.2)]
    only_one = [("input-not-normalized", 0.8), ("log-of-zero", 0.3), ("exp-overflow", 0.2)]
    assert compare(both, one_each, "fault") == (True, True)
    assert compare(both, third, "fault") == (False, True)
    assert compare(both, only_one, "fault") == (False, False)


def test_summary_names_false_alarms_and_missed_faults() -> None:
    ranking = (("bad-labels", 0.9),)
    base = {"ranking": ranking, "among_three": False, "confidence": 0.9, "onset_right": None, "questions": 3,
            "seconds": 0.1, "kind": "run", "framework": "", "first": False}  # fmt: skip
    alarm = Outcome(case="quiet", truth=("healthy",), verdict="fault", **base)
    missed = Outcome(case="broken", truth=("bad-labels",), verdict="healthy", **base)
    unsure = Outcome(case="odd", truth=("healthy",), verdict="undetermined", **base)
    found = evaluation.summary([alarm, missed, unsure])
    assert found["healthy_called_faulty"] == ["quiet"]
    assert found["faulty_called_fine"] == ["broken"]
    assert found["questions_mean"] == 3


# --- case folders


CASE_YAML = """\
id: some-id
kind: reported
framework: pytorch
cause: log-of-zero
also_acceptable: [division-by-zero]
onset: 12
onset_line: 40
answers: {custom_loss: 'yes', precision: fp32, batch size: 1e-4}
experiments: {zero_lr_effect: still_nan}
description: the loss is nan
resolution: it was the log
"""


def test_case_folder(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(CASE_YAML, "utf-8")
    for name in ("train.log", "metrics.csv", "solver.prototxt", "notes.txt", "b.cfg", "a.cfg"):
        (tmp_path / name).write_text("x\n", "utf-8")
    found = load_case(tmp_path)
    assert found.causes == ("log-of-zero",)
    assert found.acceptable == ("division-by-zero",)
    assert found.answers["custom_loss"] == "yes"
    assert [Path(name).name for name in found.logs] == ["train.log", "metrics.csv", "a.cfg", "b.cfg"]
    assert (found.net, Path(found.solver).name) == ("", "solver.prototxt")
    assert (found.onset, found.onset_line, found.has_onset) == (12, 40, True)


def test_an_onset_in_words_is_information_not_a_score(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text("id: a\ncause: healthy\nonset: around epoch 3\n", "utf-8")
    found = load_case(tmp_path)
    assert (found.onset, found.has_onset) == (None, False)


def test_a_null_onset_means_that_the_loss_stays_finite(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text("id: a\ncause: healthy\nonset: null\n", "utf-8")
    assert load_case(tmp_path).has_onset


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no case folder"):
        load_cases(tmp_path)


@pytest.mark.parametrize("text", ["id: [\n", "id: a\nid: b\ncause: healthy\n"])
def test_a_broken_case_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "case.yaml").write_text(text, "utf-8")
    with pytest.raises(NandoctorError, match=r"case\.yaml"):
        load_cases(tmp_path)


# --- nothing hidden reaches the program


def test_what_each_mode_lets_through(kb: KnowledgeBase, tmp_path: Path) -> None:
    told = case(
        tmp_path, "bad-labels", answers={"custom_loss": "yes"}, experiments={"zero_lr_effect": "still_nan"},
        description="loss is nan, learning rate 1e-5",
    )  # fmt: skip
    assert not evaluation.open_case(told, kb, "files").evidence
    words = {item.origin for item in evaluation.open_case(told, kb, "words").evidence}
    assert words == {"description"}
    full = evaluation.open_case(told, kb, "all")
    assert {item.observation for item in full.evidence if item.origin == "answer"} == {"custom_loss"}
    assert "zero_lr_effect" not in {item.observation for item in full.evidence}
    asked = evaluation.open_case(told, kb, "consult")
    assert not [item for item in asked.evidence if item.origin == "answer"]


def test_unknown_observations_of_a_case_are_passed_over(kb: KnowledgeBase, tmp_path: Path) -> None:
    odd = case(tmp_path, "healthy", answers={"favourite_colour": "red"})
    assert evaluation.open_case(odd, kb, "all").answers == {}


def test_the_owner_answers_only_what_is_asked(kb: KnowledgeBase, tmp_path: Path) -> None:
    told = case(tmp_path, "log-of-zero", answers={"custom_loss": "yes"}, experiments={"zero_lr_effect": "still_nan"})
    end, asked = evaluation.consult(evaluation.open_case(told, kb, "consult"), told)
    assert asked, "an owner without files is asked something"
    assert len(asked) == len({name for name, _ in asked})
    expected = {"custom_loss": "yes", "zero_lr_effect": "still_nan"}
    assert dict(asked) == {name: expected.get(name, "unknown") for name, _ in asked}
    assert {item.observation for item in end.evidence} <= set(expected)


def test_an_answer_that_the_question_does_not_know_counts_as_unknown(kb: KnowledgeBase, tmp_path: Path) -> None:
    odd = case(tmp_path, "log-of-zero", answers=dict.fromkeys(kb.observations, "no-such-state"))
    end, asked = evaluation.consult(evaluation.open_case(odd, kb, "consult"), odd)
    assert asked
    assert {state for _, state in asked} == {"unknown"}
    assert not end.evidence


@pytest.mark.parametrize("mode", ["files", "all", "consult"])
def test_label_id_and_path_change_nothing(kb: KnowledgeBase, tmp_path: Path, mode: str) -> None:
    """The same run under a lying label, another id and another path gives the same ranking."""
    source = CORPUS / "hf-attn-fully-masked"
    truth = load_case(source)
    liar = tmp_path / "fp16-overflow-healthy"
    liar.mkdir()
    for name in truth.logs:
        (liar / Path(name).name).write_bytes(Path(name).read_bytes())
    answers = "".join(f"  {name}: '{state}'\n" for name, state in truth.answers.items())
    tests = "".join(f"  {name}: '{state}'\n" for name, state in truth.experiments.items())
    (liar / "case.yaml").write_text(
        f"id: fp16-overflow\nkind: reported\nframework: keras\ncause: fp16-overflow\nonset: 1\nresolution: fp16\n"
        f"answers:\n{answers}experiments:\n{tests}",
        "utf-8",
    )
    honest, lied = judge(truth, kb, mode), judge(load_case(liar), kb, mode)
    assert not honest.error
    assert lied.ranking == honest.ranking
    assert lied.asked == honest.asked
    assert lied.verdict == honest.verdict


def test_a_crash_is_a_wrong_case_not_a_traceback(
    kb: KnowledgeBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(evaluation, "open_case", fail)
    found = judge(case(tmp_path, "healthy"), kb, "all")
    assert "planted" in found.error
    assert not found.first


@pytest.mark.parametrize(
    ("label", "right"),
    [("onset: 5\nonset_line: 1\n", False), ("onset: null\n", False), ("", None), ("onset: soon\n", None)],
)
def test_onset_is_scored_against_the_label(kb: KnowledgeBase, tmp_path: Path, label: str, right: bool | None) -> None:
    for name in load_case(CORPUS / "lr_leaky_debug").logs:
        (tmp_path / "train.log").write_bytes(Path(name).read_bytes())
    (tmp_path / "case.yaml").write_text(f"id: a\ncause: learning-rate-too-high\n{label}", "utf-8")
    assert judge(load_case(tmp_path), kb, "files").onset_right is right


def test_onset_of_a_real_run_is_right(kb: KnowledgeBase) -> None:
    found = load_case(CORPUS / "lr_leaky_debug")
    assert found.onset is not None
    assert judge(found, kb, "files").onset_right is True
