import math

import pytest
from diagnosis_samples import NAN, exploding_run, hidden, knowledge, series
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.facts import Reading, Run, Series
from nandoctor.render.plot import curve, loss_curve, loss_series, spark
from nandoctor.render.scale import fit, number, step_text
from nandoctor.render.width import display_width

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
HUGE = [1.0, 1e300, 1e308, NAN]


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    return knowledge()


def run_of(*values: float, **more: object) -> Run:
    return Run(("train.log",), {}, "pytorch", 10, series=(series("loss", "loss", list(values), **more),))  # type: ignore[arg-type]


def draw(run: Run, kb: KnowledgeBase, width: int = 80, height: int = 10, **more: object) -> list[str]:
    return loss_curve(run, width, height, lang="en", kb=kb, **more)  # type: ignore[arg-type]


def plotted(lines: list[str]) -> set[tuple[int, int]]:
    """(dot column, dot row) of every braille dot, rows from the top of the plot."""
    body = [line for line in lines if "┤" in line or "│" in line]
    found = set()
    for row, line in enumerate(body):
        start = max(line.find("┤"), line.find("│")) + 1
        for column, char in enumerate(line[start:]):
            bits = ord(char) - 0x2800
            if 0 < bits < 256:
                for y, pair in enumerate(DOTS):
                    for x, bit in enumerate(pair):
                        if bits & bit:
                            found.add((column * 2 + x, row * 4 + y))
    return found


def test_onset_is_named_with_its_iteration_and_line_above_its_column(kb: KnowledgeBase) -> None:
    lines = draw(exploding_run(), kb)
    assert "NaN at iteration 150, train.log:412 ┊" in lines[0]
    column = lines[0].index("┊")
    assert all(line[column] == "┊" for line in lines[1:-2])
    assert lines[-2][column] == "×"
    assert "log scale" in lines[0]


def test_axis_ends_at_the_onset_when_only_nan_follows_and_says_how_far_it_goes(kb: KnowledgeBase) -> None:
    assert draw(exploding_run(), kb)[-1].rstrip().endswith("150 … 1000")


def test_a_loss_that_recovers_shows_the_whole_run_and_every_nan(kb: KnowledgeBase) -> None:
    lines = draw(run_of(3, 2, NAN, 2, 1.5, NAN, 1, 1.2, 1.1, 1.0), kb)
    assert lines[-2].count("×") == 2
    assert lines[-1].rstrip().endswith("9")


def test_bounds_of_the_axis_are_the_smallest_and_largest_value(kb: KnowledgeBase) -> None:
    lines = draw(run_of(0.5, 7.25, 3.0, 1.0), kb)
    body = [line for line in lines if "┤" in line]
    assert body[0].split()[0] == "7.25"
    assert body[-1].split()[0] == "0.5"


@given(st.lists(st.floats(-1e308, 1e308), min_size=2, max_size=300), st.integers(30, 120), st.integers(6, 20))
def test_every_finite_value_keeps_its_dot(values: list[float], width: int, height: int) -> None:
    base = knowledge_once()
    run = run_of(*values)
    lines = draw(run, base, width, height)
    assert len(lines) <= height
    assert all(display_width(line) <= width for line in lines)
    view = curve(run)
    assert view is not None
    assert view.scale is not None
    dots = plotted(lines)
    rows = sum("┤" in line or "│" in line for line in lines) * 4 - 1
    columns = (len(lines[-2]) - lines[-2].index("└") - 1) * 2 - 1
    for x, y in view.points:
        expected = (round(view.across(x) * columns), round((1 - view.scale.position(y)) * rows))
        assert expected in dots


_KB: list[KnowledgeBase] = []


def knowledge_once() -> KnowledgeBase:
    if not _KB:
        _KB.append(knowledge())
    return _KB[0]


def test_line_is_joined_but_not_across_nan(kb: KnowledgeBase) -> None:
    joined = plotted(draw(run_of(1, 2, 1, 2, 1), kb))
    columns = {x for x, _ in joined}
    assert columns == set(range(max(columns) + 1))
    broken = plotted(draw(run_of(1, 2, NAN, NAN, NAN, NAN, 2, 1), kb))
    columns = {x for x, _ in broken}
    assert len(columns) < max(columns)


def test_nothing_to_draw_is_said_in_words(kb: KnowledgeBase) -> None:
    assert "no loss" in draw(Run(("a.log",), {}), kb)[0]
    assert "no finite value among 3" in draw(run_of(NAN, NAN, math.inf), kb)[0]
    one = draw(run_of(2.5, NAN, NAN), kb)
    assert "one finite value only, 2.5 at step 0, train.log:100" in one[0]
    assert "NaN at step 1, train.log:102" in one[1]


def test_without_steps_lines_are_the_axis(kb: KnowledgeBase) -> None:
    lines = draw(run_of(3, 2, 1, NAN, steps=False, line=40), kb)
    assert "line of the log" in lines[-1]
    assert lines[-1].split()[0] == "40"
    assert "NaN at train.log:46" in lines[0]


def test_steps_that_go_back_fall_back_to_lines(kb: KnowledgeBase) -> None:
    readings = tuple(Reading(float(s), 10 + i, 1.0 + i) for i, s in enumerate([0, 10, 20, 0, 10, 20]))
    run = Run(("a.log",), {}, series=(Series("loss", "loss", "a.log", readings, 6),))
    assert "line of the log" in draw(run, kb)[-1]


def test_axis_kind_follows_the_values() -> None:
    assert fit([0.01, 5.0]).kind == "log"
    assert fit([0.5, 5.0]).kind == "linear"
    assert fit([-3.0, 5.0]).kind == "linear"
    assert fit([-0.001, 0.002, 0.003, 500.0, -2000.0]).kind == "symlog"
    assert fit([4.0, 4.0]).position(4.0) == pytest.approx(0.5)


@pytest.mark.parametrize("values", [[-1e308, 1e308], [5e-324, 1e308], [0.0, 0.0], [-5.0, -5e300], [1e-320, 2e-320]])
def test_scale_survives_extremes(values: list[float]) -> None:
    scale = fit(values)
    for value in values:
        position = scale.position(value)
        assert 0.0 <= round(position, 9) <= 1.0
    assert all(math.isfinite(tick) for tick in scale.ticks(5))


@given(st.lists(st.floats(1e-6, 1e12), min_size=2, max_size=20))
def test_scale_keeps_the_order(values: list[float]) -> None:
    scale = fit(values)
    ordered = sorted(values)
    positions = [scale.position(v) for v in ordered]
    assert positions == sorted(positions)


def test_a_change_of_one_percent_does_not_fill_the_picture() -> None:
    scale = fit([3.70, 3.74])
    assert scale.position(3.74) - scale.position(3.70) < 0.06


def test_round_ticks() -> None:
    assert fit([0.0, 2.7]).ticks(3) == [0.0, 1.0, 2.0]
    assert fit([1.0, 1e6]).ticks(10) == pytest.approx([10.0**i for i in range(7)])


def test_series_chosen_total_then_running_then_largest_part() -> None:
    total = series("loss", "loss", [1.0, 2.0, 3.0])
    running = series("avg", "loss_running", [1.0, 2.0, 3.0])
    small = series("loss_a", "loss_part", [0.1] * 5)
    large = series("loss_b", "loss_part", [9.0] * 5)
    val = series("val_loss", "validation_loss", [4.0] * 9)

    def chosen(*given_series: Series) -> str:
        found = loss_series(Run(("train.log",), {}, series=given_series))
        assert found is not None
        return found.quantity

    assert chosen(val, small, running, total, large) == "loss"
    assert chosen(val, small, running, large) == "avg"
    assert chosen(val, small, large) == "loss_b"
    assert chosen(val) == "val_loss"


def test_a_total_printed_once_does_not_hide_a_component_with_a_course() -> None:
    run = Run(("t",), {}, series=(series("loss", "loss", [1.0]), series("loss_a", "loss_part", [1.0] * 30)))
    found = loss_series(run)
    assert found is not None
    assert found.quantity == "loss_a"


def test_hidden_nan_is_marked_with_the_quantity_that_shows_it(kb: KnowledgeBase) -> None:
    assert "grad_norm NaN at step 40, train.log:7" in draw(hidden().runs[0], kb)[0]


def test_names_from_the_log_cannot_move_the_cursor(kb: KnowledgeBase) -> None:
    evil = series("lo\x1b[2Jss\u202e", "loss", [1.0, 2.0, 3.0, NAN])
    text = "\n".join(draw(Run(("t\x1b.log",), {}, series=(evil,)), kb))
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_ascii_only_holds_no_other_character(kb: KnowledgeBase) -> None:
    text = "\n".join(draw(exploding_run(), kb, ascii_only=True))
    assert text.isascii()
    assert ":" in text.splitlines()[3]


@pytest.mark.parametrize("lang", ["en", "zh", "ko"])
@pytest.mark.parametrize("width", [30, 40, 60, 80, 140])
def test_fits_its_place_in_every_language(lang: str, width: int, kb: KnowledgeBase) -> None:
    for run in (exploding_run(), hidden().runs[0], run_of(*HUGE), run_of(1.0, 2.0)):
        lines = loss_curve(run, width, 9, lang=lang, kb=kb)
        assert all(display_width(line) <= width for line in lines)
        assert len(lines) <= 9


def test_spark_shows_shape_and_holes() -> None:
    assert spark([1, 2, 3, 4, 5, 6, 7, 8], 8) == "▁▂▃▄▅▆▇█"
    assert spark([1, NAN, 2], 3)[1] == "×"
    assert spark([], 5) == ""
    assert spark([NAN, math.inf], 4) == "××"
    assert len(spark(range(1000), 20)) == 20
    assert spark([1, 5], 2, ascii_only=True).isascii()


def test_spark_keeps_the_largest_of_a_bucket() -> None:
    assert spark([1.0] * 50 + [50.0] + [1.0] * 49, 10).count("█") == 1


def test_numbers_are_short_and_steps_searchable() -> None:
    assert [number(v) for v in (2.3026, 1.0e38, -8.123e-5, NAN, math.inf, -math.inf, 1234.0)] == [
        "2.3", "1e38", "-8.12e-5", "NaN", "Inf", "-Inf", "1.23e3",
    ]  # fmt: skip
    assert [step_text(s) for s in (11902.0, 0.03125, 1000000.0)] == ["11902", "0.03125", "1000000"]


def test_two_marks_of_the_same_loss_need_no_name(kb: KnowledgeBase) -> None:
    run = exploding_run()
    loss = replace(run.series[0], quantity="Train net output #0: loss")
    smoothed = series("loss", "loss_running", [NAN], line=400)
    text = "\n".join(draw(replace(run, series=(loss, smoothed)), kb)[:2])
    assert "loss NaN at" not in text
    assert "train.log:400" in text
