import math
import re
from pathlib import Path

import diagnosis_samples as samples
import pytest
from msgspec.structs import replace

from nandoctor.consultation import Consultation
from nandoctor.diagnosis import CouldNotCheck, Diagnosis, FileEdit, Note, RankedCause, Step, Weighed
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import KnowledgeBase, Message
from nandoctor.readers.facts import LayerReading, Run
from nandoctor.render import markdown, text
from nandoctor.render.layers import split, summary
from nandoctor.render.width import display_width
from nandoctor.render.words import Words, decibans, edit_text, minutes_text, percent, short_names
from nandoctor.source import Location

LANGUAGES = ("en", "zh", "ko")


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    return samples.knowledge()


def last_line(diagnosis: Diagnosis, kb: KnowledgeBase, **more: object) -> str:
    return text.render(diagnosis, kb, **more).rstrip("\n").split("\n")[-1]  # type: ignore[arg-type]


# --- the form


@pytest.mark.parametrize("name", sorted(samples.ALL))
@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("width", [60, 72, 80, 96, 120])
def test_no_line_is_wider_than_the_page(name: str, lang: str, width: int, kb: KnowledgeBase) -> None:
    for details in (False, True):
        page = text.render(samples.ALL[name](), kb, lang=lang, width=width, details=details)
        code = {line.strip() for line in samples.HF_SNIPPET.split("\n")}
        for line in page.split("\n"):
            assert display_width(line) <= width or line.strip() in code
            assert line == line.rstrip()
        assert "\n\n\n" not in page


@pytest.mark.parametrize("name", sorted(samples.ALL))
@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_message_is_missing_and_no_placeholder_left(name: str, lang: str, kb: KnowledgeBase) -> None:
    page = text.render(samples.ALL[name](), kb, lang=lang, details=True)
    assert not re.search(r"\b(report|verdict|plot|band|origin|kind|severity)[.:][a-z]", page)
    assert not re.search(r"\{[a-z_]+\}", page)


@pytest.mark.parametrize("name", sorted(samples.ALL))
def test_colour_changes_nothing_but_colour(name: str, kb: KnowledgeBase) -> None:
    plain = text.render(samples.ALL[name](), kb)
    coloured = text.render(samples.ALL[name](), kb, colour=True)
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_ascii_only(kb: KnowledgeBase) -> None:
    for make in samples.ALL.values():
        assert text.render(make(), kb, ascii_only=True).isascii()


def test_wide_terminals_do_not_stretch_the_page(kb: KnowledgeBase) -> None:
    assert text.render(samples.exploding(), kb, width=300) == text.render(samples.exploding(), kb, width=120)


# --- what it says


def test_evidence_cites_its_lines_with_its_weight(kb: KnowledgeBase) -> None:
    page = text.render(samples.exploding(), kb, width=110)
    assert re.search(r"the loss grows 3.1 times per displayed step over 8 steps +train.log:396 +\+14", page)
    assert re.search(r"the first loss is 2.3, near ln\(10\), as it should be +train.log:382 +-7", page)


def test_edit_is_shown_as_lines_with_its_place(kb: KnowledgeBase) -> None:
    page = text.render(samples.exploding(), kb)
    assert re.search(r"- base_lr: 0.5 +solver.prototxt:3\n +\+ base_lr: 0.05\n", page)


def test_masking_and_tried_steps_are_marked(kb: KnowledgeBase) -> None:
    assert "hides the fault" in text.render(samples.exploding(), kb)
    assert "already tried" in text.render(samples.hidden(), kb, details=True)
    assert "already tried" not in text.render(samples.exploding(), kb, details=True)


def test_experiments_say_what_they_tell_apart(kb: KnowledgeBase) -> None:
    page = text.render(samples.exploding(), kb)
    assert re.search(r"experiment +train ten iterations", page)
    assert "tells apart  learning rate too high; NaN or corrupt" in page


def test_ruled_out_suspect_is_named_with_the_reason(kb: KnowledgeBase) -> None:
    page = text.render(samples.hidden(), kb)
    assert re.search(r"Ruled out\n +learning rate too high: NaN came before any update was applied +logs", page)


def test_contradiction_names_both_sides(kb: KnowledgeBase) -> None:
    assert "fp16 / AMP (logs/run7/train.log:1) against fp32 (your answer)" in text.render(samples.hidden(), kb)


def test_causes_below_five_percent_are_one_line_and_below_two_silent(kb: KnowledgeBase) -> None:
    page = text.render(samples.exploding(), kb)
    assert "also: poor weight initialisation 3 %" in page
    assert "none of the known causes" not in page
    assert "NaN or corrupt samples in the data  " not in page


def test_details_leave_nothing_out(kb: KnowledgeBase) -> None:
    short = text.render(samples.exploding(), kb)
    full = text.render(samples.exploding(), kb, details=True)
    assert "1 more" in short
    assert "1 more" not in full
    assert "data checked: checked, clean" in full
    assert "train.log:410" in full
    assert "Each update overshoots" in full


def test_findings_shown_as_evidence_are_not_repeated(kb: KnowledgeBase) -> None:
    page = text.render(samples.exploding(), kb)
    assert "display 10 hides" in page
    assert "has neither scale nor mean" not in page


def test_layers_show_the_first_bad_one(kb: KnowledgeBase) -> None:
    page = text.render(samples.two_faults(), kb)
    assert re.search(r"conv2 +0.31 +8.1e6 +Inf +×2.61e7", page)
    assert "first non-finite: conv2 (Forward, top blob conv2 data), Inf at train.log:330" in page
    assert "weights are still finite" in page.replace("\n    ", " ")


def test_unchecked_says_how_to_make_it_checkable(kb: KnowledgeBase) -> None:
    page = text.render(samples.exploding(), kb)
    assert "debug_info is off\n      set debug_info: true and display: 1" in page


def test_long_lists_are_counted(kb: KnowledgeBase) -> None:
    many = tuple(CouldNotCheck("data_finite", Note("log.half", {"what": f"reason {n}"})) for n in range(9))
    page = text.render(replace(samples.exploding(), could_not_check=many), kb)
    assert page.count("the log names reason") == 5
    assert "4 more (--details shows them)" in page


def test_observations_unchecked_for_the_same_reason_are_one_entry(kb: KnowledgeBase) -> None:
    same = tuple(CouldNotCheck(name, Note("cannot.data")) for name in ("data_finite", "input_range"))
    page = text.render(replace(samples.exploding(), could_not_check=same), kb)
    assert "data checked, input range: the log does not show the data" in page


def test_evidence_told_before_is_cut_to_a_line(kb: KnowledgeBase) -> None:
    long = Note("log.half", {"what": "a very long sentence " * 10})
    weighed = Weighed("precision", "fp16", 4.0, (Location("train.log", 3),), long)
    base = samples.exploding()
    twice = tuple(replace(c, support=(weighed,), against=()) for c in base.causes[:2])
    page = text.render(replace(base, causes=twice), kb)
    assert page.count("a very long sentence") < 15
    assert "…" in page
    assert text.render(replace(base, causes=twice), kb, details=True).count("very long") == 20


@pytest.mark.parametrize(
    ("removed", "added", "expected"),
    [
        ("base_lr: 0.5  # start", "base_lr: 0.05  # start", "base_lr 0.5 -> 0.05"),
        ('lr_policy: "inv"', 'lr_policy: "fixed"', 'lr_policy "inv" -> "fixed"'),
        ("p { pool: MAX kernel_size: 1 stride: 2 }", "p { pool: MAX kernel_size: 1 stride: 1 }", "stride 2 -> 1"),
        ("a: 1 b: 2", "a: 2 b: 3", ""),
        ("a: 1", "b: 1", ""),
        ("weight_filler { }", "weight_filler { type: 1 }", ""),
    ],
)  # fmt: skip
def test_an_edit_in_a_few_words(removed: str, added: str, expected: str, kb: KnowledgeBase) -> None:
    edit = FileEdit(Location("s", 1), (removed,), (added,))
    assert edit_text(edit, Words(kb, "en")) == expected


def test_next_question_can_be_answered_on_the_command_line(kb: KnowledgeBase) -> None:
    page = text.render(samples.exploding(), kb)
    assert "Which number format" in page
    assert "--answer precision=fp32 | fp16 | bf16" in page
    assert "half precision overflows comes first" in page


# --- the last line


def test_verdict_is_the_last_line_and_fits(kb: KnowledgeBase) -> None:
    for name, make in samples.ALL.items():
        for lang in LANGUAGES:
            for width in (80, 96, 120):
                assert display_width(last_line(make(), kb, lang=lang, width=width)) <= width, name


def test_verdicts_say_what_how_sure_and_what_first(kb: KnowledgeBase) -> None:
    assert last_line(samples.exploding(), kb, width=110) == (
        "Learning rate too high: very likely (91 %). First step: base_lr 0.5 -> 0.05 in solver.prototxt:3."
    )
    assert last_line(samples.exploding(), kb, width=80) == (
        "Learning rate too high (91 %). First step: base_lr 0.05 in solver.prototxt:3."
    )
    assert "Half precision overflows: likely (62 %). First step: train in bf16." in last_line(samples.hidden(), kb)
    assert "Nothing wrong was found (96 % healthy)" in last_line(samples.healthy(), kb)
    assert "only IoU/void may be NaN" in last_line(samples.benign(), kb)
    assert last_line(samples.undetermined(), kb).startswith("Not enough evidence")
    wrapped = " ".join(
        text.render(samples.two_faults(), kb).rstrip().split("\n")[-2:]
    )  # too long for a line: none is left out
    assert wrapped == (
        "Learning rate too high (88 %) and pooling stride larger than its kernel (83 %). First: stride 3 "
        "in train_val.prototxt:61."
    )


def test_verdict_in_other_languages(kb: KnowledgeBase) -> None:
    assert last_line(samples.exploding(), kb, lang="zh").startswith("学习率过高：极有可能（91 %）。第一步：")
    assert last_line(samples.exploding(), kb, lang="ko").startswith("학습률이 너무 높음: 매우 유력(91 %). 첫 단계:")


def test_a_doubtful_first_cause_is_not_sold_as_a_verdict(kb: KnowledgeBase) -> None:
    base = samples.exploding()
    doubtful = replace(base, causes=(replace(base.causes[0], probability=0.41, band="possible"), *base.causes[1:]))
    assert last_line(doubtful, kb).startswith("Most probable: learning rate too high (41 %)")


@pytest.mark.parametrize(
    ("lang", "told"),
    [
        ("en", "Divide the learning rate by ten: did not help"),
        ("zh", "把学习率降到十分之一：无效"),
        ("ko", "학습률을 10분의 1로 낮추기: 도움이 되지 않음"),
    ],
)
def test_what_was_tried_stands_under_its_title(lang: str, told: str) -> None:
    held = Consultation.open(tried={"lower-learning-rate": False}, answers={"loss_before_nan": "growing"})
    page = text.render(held.diagnosis, held.kb, lang=lang, width=120, details=True)
    assert told in page
    assert "lower-learning-rate" not in page


def test_one_place_more_and_two(kb: KnowledgeBase) -> None:
    words = Words(kb, "en")
    assert words("report.more-places", count=1) == "and 1 more place"
    assert words("report.more-places", count=2) == "and 2 more places"


def test_a_step_already_tried_is_not_the_first_step(kb: KnowledgeBase) -> None:
    base = samples.exploding()
    tried = replace(base, fastest=(replace(base.fastest[0], tried=True), *base.fastest[1:]))
    assert "ten iterations with learning rate 0" in last_line(tried, kb, width=120)


def test_healthy_and_benign_give_nothing_to_do(kb: KnowledgeBase) -> None:
    for make in (samples.healthy, samples.benign):
        page = text.render(replace(make(), fastest=samples.exploding().fastest), kb)
        assert "Plan" not in page
        assert "Why nothing needs fixing" in page


def test_healthy_names_what_was_not_checked_in_one_line(kb: KnowledgeBase) -> None:
    unsure = replace(samples.healthy(), could_not_check=samples.exploding().could_not_check)
    assert "Not checked\n    first non-finite stage, data checked\n" in text.render(unsure, kb)
    assert "set debug_info: true" in text.render(unsure, kb, details=True)


def test_fault_without_a_plan_says_so(kb: KnowledgeBase) -> None:
    page = text.render(replace(samples.exploding(), fastest=(), diagnostic=()), kb)
    assert "No step is known" in page


# --- robustness


def test_text_of_logs_and_files_cannot_drive_the_terminal(kb: KnowledgeBase) -> None:
    evil = "x\x1b]0;owned\x07\u202e\x9b31m"
    note = Note("log.half", {"what": evil})
    weighed = Weighed("precision", "fp16", 9.0, (Location(f"{evil}.log", 3),), note)
    base = samples.two_faults()
    run = replace(
        base.runs[0],
        files=(f"{evil}.log",),
        layers=(LayerReading(0.0, 1, "Forward", evil, f"top blob {evil}", math.nan),),
    )
    step = replace(base.fastest[0], edits=(replace(base.fastest[0].edits[0], removed=(evil,), added=(evil,)),))
    diagnosis = replace(
        base,
        runs=(run,),
        causes=(RankedCause("learning-rate-too-high", 0.9, "very likely", (weighed,), (weighed,)),),
        fastest=(step, Step("use-bf16", "fix", (), 0.5, 3, snippet=evil)),
        ruled_out=(("fp16-overflow", weighed),),
    )
    page = text.render(diagnosis, kb, details=True)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", page)


def test_not_even_an_overlay_can_drive_the_terminal(kb: KnowledgeBase) -> None:
    odd = Message(id="report.causes", en="Causes\x1b[2J\x07")
    broken = KnowledgeBase(
        **{f: getattr(kb, f) for f in kb.__struct_fields__ if f != "messages"},
        messages=kb.messages | {"report.causes": odd},
    )
    for module in (text, markdown):
        assert "\x1b" not in module.render(samples.exploding(), broken)


def test_a_message_with_a_wrong_placeholder_shows_bare(kb: KnowledgeBase) -> None:
    broken = KnowledgeBase(
        **{f: getattr(kb, f) for f in kb.__struct_fields__ if f != "messages"},
        messages=kb.messages | {"log.growth": Message(id="log.growth", en="grows {oops} {0} {ratio:d}")},
    )
    assert "grows {oops}" in text.render(samples.exploding(), broken)


def test_unknown_ids_show_as_ids(kb: KnowledgeBase) -> None:
    odd = Weighed("no-such-observation", "odd", 4.0)
    diagnosis = replace(
        samples.exploding(),
        causes=(RankedCause("my-own-cause", 0.9, "very likely", (odd,)),),
        fastest=(Step("my-own-remedy", "fix", (), 0.5, 3),),
    )
    page = text.render(diagnosis, kb)
    assert "my-own-cause" in page
    assert "my-own-remedy" in page
    assert "no-such-observation: odd" in page


def test_an_empty_diagnosis_still_ends_with_a_verdict(kb: KnowledgeBase) -> None:
    empty = Diagnosis("undetermined", (), (), (), ())
    page = text.render(empty, kb)
    assert page.startswith("nandoctor · no log")
    assert page.rstrip().endswith("Not enough evidence to name a cause.")


def test_several_runs_each_have_their_curve(kb: KnowledgeBase) -> None:
    good = samples.healthy().runs[0]
    both = replace(samples.exploding(), runs=(samples.exploding_run(), replace(good, files=("good.log",))))
    page = text.render(both, kb)
    assert "good.log" in page
    assert "▁" in page


# --- the small parts


def test_percent_is_never_certain() -> None:
    plain = [percent(p).replace("\u00a0", " ") for p in (0.0, 0.004, 0.006, 0.914, 0.994, 0.9999)]
    assert plain == ["< 1 %", "< 1 %", "1 %", "91 %", "99 %", "> 99 %"]


def test_decibans_and_minutes() -> None:
    assert [decibans(d) for d in (14.2, -7.3, 0.5, -0.5, 0.3, -0.49)] == ["+14", "-7", "+1", "-1", "0", "0"]
    assert [minutes_text(m) for m in (0.1, 0.3, 1.0, 1.6, 12.0)] == ["< 0.5", "0.5", "1", "1.5", "12"]


def test_short_names_stay_distinct() -> None:
    names = short_names(["/a/run1/train.log", "/a/run2/train.log", "/a/solver.prototxt"])
    assert names == {
        "/a/run1/train.log": "run1/train.log",
        "/a/run2/train.log": "run2/train.log",
        "/a/solver.prototxt": "solver.prototxt",
    }


def test_words_fill_checks_events_and_numbers(kb: KnowledgeBase) -> None:
    words = Words(kb, "en")
    assert (
        words.note(Note("check:no-mean-no-scale", {"layer": "data"})) == "Data layer data has neither scale nor mean."
    )
    assert words.note(Note("event:unheard", {"text": "CUDA error\x1b"})) == "CUDA error\ufffd"
    assert words.note(Note("log.overflow", {"step": 152.0})).endswith("iteration 152")
    assert (
        words.note(Note("solver.lr", {"value": 0.30000000000000004, "momentum": 0.9}))
        == "base_lr 0.3 with momentum 0.9"
    )


def test_layer_passes_are_split_without_steps_too() -> None:
    lines = [LayerReading(None, n, "Forward", layer, "top blob a", 1.0) for n, layer in enumerate("abcabc")]
    assert [len(p.readings) for p in split(lines)] == [3, 3]
    assert summary([]) is None


def test_update_lines_belong_to_the_pass_before_them() -> None:
    lines = [
        LayerReading(0.0, 1, "Forward", "a", "top", 1.0),
        LayerReading(0.0, 2, "Backward", "a", "bottom", 1.0),
        LayerReading(1.0, 3, "Update", "a", "param 0", 1.0),
        LayerReading(1.0, 4, "Forward", "a", "top", math.nan),
    ]
    assert [len(p.readings) for p in split(lines)] == [3, 1]


def test_a_backward_fault_shows_the_backward_table() -> None:
    lines = [
        LayerReading(0.0, 1, "Forward", "a", "top blob a data", 1.0),
        LayerReading(0.0, 2, "Forward", "loss", "top blob loss data", 2.0),
        LayerReading(0.0, 3, "Backward", "loss", "bottom blob a diff", 0.5),
        LayerReading(0.0, 4, "Backward", "a", "param blob 0 diff", math.inf),
    ]
    found = summary(lines)
    assert found is not None
    assert found.phase == "backward"
    assert [row.layer for row in found.rows] == ["loss", "a"]
    assert found.rows[1].bad


def test_growth_through_depth_in_the_first_pass() -> None:
    values = [0.5, 150.0, 6e4, 2.6e7, math.inf]
    lines = [LayerReading(0.0, n, "Forward", f"bn{n}", "top", v) for n, v in enumerate(values)]
    found = summary(lines)
    assert found is not None
    assert found.first_bad is not None
    assert found.first_bad.layer == "bn4"
    assert [row.over_depth and round(row.over_depth) for row in found.rows] == [None, 300, 400, 433, None]


def test_a_deep_net_keeps_the_bad_layer_and_its_neighbours() -> None:
    lines = [
        LayerReading(0.0, n, "Forward", f"conv{n}", "top", 1.0 if n < 40 else math.nan) for n in range(80)
    ]  # fmt: skip
    found = summary(lines)
    assert found is not None
    names = [row.layer for row in found.rows]
    assert len(names) == 8
    assert {"conv38", "conv39", "conv40", "conv41"} <= set(names)
    assert sum(row.skipped for row in found.rows) > 0


def test_log_without_steps_counts_lines(kb: KnowledgeBase) -> None:
    assert "(PyTorch, 77 lines)" in text.render(
        replace(samples.undetermined(), runs=(Run(("a.log",), {}, "pytorch", 77),)), kb
    )


def test_a_sentence_about_several_observations_is_told_once_with_the_sum_of_its_weights() -> None:
    note, place = Note("check:infogain-raw-scores", {"layer": "loss"}), (Location("net.prototxt", 84),)
    cause = RankedCause(
        "log-of-zero",
        0.2,
        "unlikely",
        (
            Weighed("loss_input", "raw_scores_where_probabilities", 9.0, place, note),
            Weighed("first_loss", "normal", 3.0),
        ),
        (
            Weighed("loss_arithmetic", "log", -2.0, place, note),
            Weighed("custom_loss", "no", -4.0),
            Weighed(
                "batchnorm", "none", -2.0, (Location("net.prototxt", 9),), note
            ),  # the same words about another place
        ),
    )
    support, against = cause.by_finding()
    assert [(w.observation, w.decibans) for w in support] == [("loss_input", 7.0), ("first_loss", 3.0)]
    assert [(w.observation, w.decibans) for w in against] == [("custom_loss", -4.0), ("batchnorm", -2.0)]


def test_a_short_healthy_run_is_told_with_its_own_first_and_last_loss(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("".join(f"Epoch {n}/5 loss: {v}\n" for n, v in enumerate((1.39, 1.1, 0.897, 0.75, 0.66), 1)))
    whole = load_knowledge()
    line = last_line(Consultation.open(kb=whole, log=str(log)).diagnosis, whole)
    assert "from 1.39 to 0.66" in line
