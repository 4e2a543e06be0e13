"""Mathematics of a curve, on values."""

import math

import pytest

from nandoctor.readers.facts import Reading, Run, Series
from nandoctor.readers.series import approach, divergence, first_nonfinite, main_loss, onset, steps_to_overflow


def readings(*values: float) -> tuple[Reading, ...]:
    return tuple(Reading(float(i), i + 1, v) for i, v in enumerate(values))


def series(role: str, *values: float, quantity: str = "loss", file: str = "train.log") -> Series:
    points = readings(*values)
    first = next((r for r in points if not math.isfinite(r.value)), None)
    later = [r for r in points if first and r.line > first.line and math.isfinite(r.value)]
    bad = [r for r in points if not math.isfinite(r.value)]
    return Series(
        quantity=quantity,
        role=role,  # type: ignore[arg-type]
        file=file,
        readings=points,
        count=len(points),
        first_nonfinite=first,
        nonfinite_count=len(bad),
        finite_after_nonfinite=len(later),
    )


def run(*parts: Series) -> Run:
    return Run(files=("train.log",), dialects={"plain": 10}, series=parts)


class TestOnset:
    def test_is_the_first_nonfinite_training_loss_by_line(self) -> None:
        total = series("loss", 1.0, 1.0, math.nan)
        part = series("loss_part", 1.0, math.inf, math.nan, quantity="loss_box")
        found = onset(run(total, part))
        assert found is not None
        assert (found[0].quantity, found[1].line) == ("loss_box", 2)

    def test_a_nan_learning_rate_or_metric_is_not_the_onset(self) -> None:
        both = run(series("lr", math.nan), series("metric", math.nan), series("loss", 1.0, 2.0))
        assert onset(both) is None
        assert [s.role for s, _ in first_nonfinite(both)] == ["lr", "metric"]

    def test_raw_wins_over_running_on_the_same_line(self) -> None:
        found = onset(run(series("loss_running", math.nan), series("loss", math.nan)))
        assert found is not None
        assert found[0].role == "loss"

    def test_the_main_loss_is_the_raw_total(self) -> None:
        chosen = main_loss(run(series("loss_running", 1, 2, 3), series("loss_part", 1, 2), series("loss", 1, 2)))
        assert chosen is not None
        assert chosen.role == "loss"


class TestApproach:
    def test_doubling_is_growth_over_every_step(self) -> None:
        found = approach(readings(1, 1, 1, 1, 2, 4, 8, 16, 32, 64))
        assert found is not None
        assert found.steps_growing == 6
        assert found.per_step == pytest.approx(2.0)
        assert found.ratio == pytest.approx(64.0)

    def test_a_falling_curve_does_not_grow(self) -> None:
        found = approach(readings(4, 3, 2, 1, 0.5, 0.25))
        assert found is not None
        assert found.steps_growing == 0
        assert found.ratio <= 1.0

    def test_a_small_setback_does_not_hide_the_rise(self) -> None:
        found = approach(readings(1, 1, 1, 10, 9, 90, 900))
        assert found is not None
        assert found.ratio > 100

    def test_nothing_before(self) -> None:
        assert approach(()) is None


@pytest.mark.parametrize(
    ("value", "rate", "limit", "steps"),
    [(1.0, 10.0, 1e38, 38.0), (1e30, 1e4, 1e38, 2.0), (1.0, 1.0, 1e38, math.inf), (0.0, 2.0, 1e38, math.inf)],
)
def test_steps_to_overflow(value: float, rate: float, limit: float, steps: float) -> None:
    assert steps_to_overflow(value, rate, limit) == pytest.approx(steps)


class TestDivergence:
    def test_a_lasting_rise(self) -> None:
        found = divergence(readings(2, 1, 1, 50, 400, 3000, 20000))
        assert found is not None
        assert found.stays
        assert found.factor == pytest.approx(20000)

    def test_a_spike_that_recovers_does_not_stay(self) -> None:
        found = divergence(readings(2, 1, 1, 900, 1, 1, 1, 1, 1, 1))
        assert found is not None
        assert not found.stays

    def test_noise_is_no_divergence(self) -> None:
        assert divergence(readings(1.0, 1.1, 0.9, 1.2, 1.0)) is None
