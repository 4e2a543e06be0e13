"""Following a growing log: growth is foretold, healthy runs stay silent, rotation and half lines do no harm."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nandoctor.cli import main
from nandoctor.kb.load import load_knowledge
from nandoctor.readers.follow import Follower
from nandoctor.watch import Watch, forecast

KB = load_knowledge()


@pytest.fixture(autouse=True)
def _closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every follower a test opens is closed behind it."""
    opened: list[Follower] = []
    begin = Follower._begin

    def remember(self: Follower) -> None:
        opened.append(self)
        begin(self)

    monkeypatch.setattr(Follower, "_begin", remember)
    yield
    for follower in opened:
        follower.close()


CORPUS = Path(__file__).parent.parent / "corpus"


def lines(*values: float, start: int = 0) -> str:
    return "".join(f"step {start + i} loss: {v}\n" for i, v in enumerate(values))


CALM = [2.0, 1.9, 1.95, 1.8, 1.85, 1.7, 1.75, 1.6]


def kinds(watch: Watch) -> list[str]:
    return [notice.kind for notice in watch.poll()]


def test_growth_is_foretold_and_the_onset_reported(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text(lines(*CALM))
    watch = Watch(str(log), KB)
    assert kinds(watch) == []
    with log.open("a") as file:
        file.write(lines(9.0, 90.0, 1e4, 1e7, start=8))
    told = watch.poll()
    assert [n.kind for n in told] == ["warning"]
    assert "overflows in about" in told[0].text
    with log.open("a") as file:
        file.write(lines(float("nan"), start=12))
    assert kinds(watch) == ["onset"]
    assert watch.diagnosis().diagnosis.verdict == "fault"


def test_a_spike_that_recovers_and_noise_stay_silent(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    watch = Watch(str(log), KB)
    for start, values in ((0, CALM), (8, [40.0, 1.7, 1.6]), (11, [1.2, 2.4, 0.9, 2.6, 1.1])):
        with log.open("a") as file:
            file.write(lines(*values, start=start))
        assert kinds(watch) == []


def test_a_slow_rise_is_no_warning(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text(lines(*CALM, *(1.6 * 1.05**i for i in range(40))))
    assert kinds(Watch(str(log), KB)) == []


def test_half_lines_are_held_back(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("step 0 loss: 2.0\nstep 1 loss: na")
    follower = Follower(str(log), KB)
    follower.poll()
    assert all(s.first_nonfinite is None for s in follower.run().series)
    with log.open("a") as file:
        file.write("n\n")
    follower.poll()
    bad = [s.first_nonfinite for s in follower.run().series if s.first_nonfinite]
    assert [r.line for r in bad if r] == [2]


@pytest.mark.parametrize("way", ["truncated", "replaced"])
def test_a_log_that_begins_anew(tmp_path: Path, way: str) -> None:
    log = tmp_path / "train.log"
    log.write_text(lines(*CALM, float("nan")))
    watch = Watch(str(log), KB)
    assert kinds(watch) == ["onset"]
    if way == "replaced":
        log.rename(tmp_path / "train.log.1")
    log.write_text(lines(*CALM[:4]))
    assert kinds(watch) == ["restart"]
    assert not watch.onset_seen


def test_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    watch = Watch(str(log), KB)
    assert kinds(watch) == []
    log.write_text(lines(*CALM))
    assert kinds(watch) == []
    assert watch.run is not None


def test_the_command_line_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    with pytest.raises(SystemExit) as stop:
        main(
            ["watch", str(CORPUS / "lr_mlp_disp1" / "train.log"), "--once", "--exec", f"echo $NANDOCTOR_EVENT > {flag}"]
        )
    assert stop.value.code == 1
    assert flag.read_text().strip() == "onset"
    assert "earning rate" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["watch", str(CORPUS / "healthy_lenet_step" / "train.log"), "--once"])
    assert stop.value.code == 0


def test_no_forecast_without_readings() -> None:
    assert forecast(Follower("nowhere", KB).run()) is None
