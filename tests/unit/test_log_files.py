"""The physical reality of logs: line ends, encodings, compression, size, several runs, rotation, bad input."""

import bz2
import contextlib
import gzip
import importlib.util
import io
import itertools
import lzma
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from nandoctor.errors import UnreadableError, UsageError
from nandoctor.ingest import Inputs, ingest
from nandoctor.kb.load import load_knowledge
from nandoctor.readers import fastscan, lines, logreader, merge
from nandoctor.readers.collect import AFTER, EDGE, KEEP_ALL, Gathered, thinned
from nandoctor.readers.dialect import Lexicon
from nandoctor.readers.facts import Run
from nandoctor.readers.log import read_run, read_text
from nandoctor.readers.logreader import LogReader
from nandoctor.readers.metrics import metrics_kind, tensorboard_quantity
from nandoctor.readers.series import onset
from nandoctor.readers.sniff import find_files, sniff

CORPUS = Path(__file__).parents[1] / "corpus"
KB = load_knowledge()
CAFFE = CORPUS / "lr_leaky_ave_1p0" / "train.log"
ALL_LOGS = sorted(CORPUS.glob("*/train.log"))


def place(run: Run) -> tuple[float | None, int] | None:
    found = onset(run)
    return (found[1].step, found[1].line) if found else None


def plain(n: int, bad: int | None = None, start: int = 0) -> str:
    return "".join(f"step {i} | loss {'nan' if i == bad else f'{2 - i / n:.5f}'} | lr 1e-3\n" for i in range(start, n))


# --- line ends


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(end: str) -> None:
    run = read_text(plain(60, bad=41).replace("\n", end), "x", KB)
    assert place(run) == (41, 42)
    assert run.lines == 60


def test_mixed_line_ends_are_counted_as_the_contract_says() -> None:
    text = "a\rb\r\nc\n\r\nstep 5 loss nan\r\r\nstep 6 loss 1\n"
    run = read_text(text, "x", KB)
    assert place(run) == (5, 5)
    assert next(r.line for s in run.series for r in s.readings if r.step == 6) == 7


def test_chunks_cut_anywhere_count_the_same_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"ab\r\ncd\ref\n\r\n\rgh\r" * 40 + b"step 7 loss nan"
    expected = list(data.splitlines())
    for size in (1, 2, 3, 5, 7, 64):
        pieces = [data[i : i + size] for i in range(0, len(data), size)]
        chunks = list(lines.aligned(iter(pieces)))
        assert b"".join(chunks) == data
        assert [line for chunk in chunks for line in chunk.splitlines()] == expected


def test_file_without_last_line_end() -> None:
    assert place(read_text("step 1 loss 0.5\nstep 2 loss nan", "x", KB)) == (2, 2)


# --- encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "cp949"])
def test_encodings(encoding: str) -> None:
    text = "训练开始 학습\n" if encoding in ("utf-8", "utf-16") else "训练\n" if encoding == "gb18030" else "start\n"
    run = read_text((text + plain(50, bad=30)).encode(encoding), "x", KB)
    assert place(run) == (30, 32)


def test_chinese_and_korean_names_in_their_own_encodings() -> None:
    for text, encoding in (("轮次 3 损失: nan\n", "gb18030"), ("손실: nan\n", "utf-8")):
        run = read_text(text.encode(encoding), "x", KB)
        assert onset(run) is not None


def test_nul_bytes_ansi_backspaces_markdown() -> None:
    assert place(read_text(b"step 1 loss 0.5\n\0\0\0step 2 loss n\0an\n", "x", KB)) == (2, 2)
    assert place(read_text("\x1b[1mstep\x1b[0m 3 \x1b[31mloss\x1b[0m nan\n", "x", KB)) == (3, 1)
    text = "1/4 [=>..] - ETA: 3s - loss: 1.5" + "\x08" * 40 + "2/4 [==>.] - ETA: 2s - loss: nan\n"
    assert place(read_text(text, "x", KB)) == (2, 1)
    assert place(read_text("> Iteration 100, loss = **87.3365**\n> Iteration 120, loss = **nan**\n", "x", KB)) == (
        120,
        2,
    )
    run = read_text("Train net output #0: loss = 87.3365 (\\* 1 = 87.3365 loss)\n", "x", KB)
    assert run.series[0].weight == 1


# --- compression


def zstandard(data: bytes) -> bytes:
    return pytest.importorskip("zstandard").ZstdCompressor().compress(data)  # type: ignore[no-any-return]


PACKERS: list[Callable[[bytes], bytes]] = [gzip.compress, lzma.compress, bz2.compress, zstandard]


@pytest.mark.parametrize("pack", PACKERS)
def test_packed_logs(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    packed = tmp_path / "log"
    packed.write_bytes(pack(CAFFE.read_bytes()))
    assert sniff(packed) == "compressed log"
    assert place(read_run([packed], KB)) == (20, 613)


@pytest.mark.parametrize("pack", PACKERS)
def test_several_members_and_cut_archives(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    packed = tmp_path / "log"
    text = plain(4000).encode()
    packed.write_bytes(pack(text) + pack(plain(5000, bad=4500, start=4000).encode()))
    assert place(read_run([packed], KB)) == (4500, 4501)
    if pack is bz2.compress:
        return  # its blocks are larger than this test
    noise = random.Random(1).randbytes(200_000).hex().encode()
    packed.write_bytes(pack(b"step 1 loss nan\n" + noise)[:150_000])
    run = read_run([packed], KB)
    assert place(run) == (1, 1)
    assert any("cut" in note for note in run.notes)


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    packed = tmp_path / "log.gz"
    packed.write_bytes(b"\x1f\x8b" + b"rubbish" * 30)
    with pytest.raises(UnreadableError, match="broken gzip"):
        read_run([packed], KB)


# --- bad input


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n\n  \n", "nothing but blanks"),
        (b"\0" * 5000, "blanks or zero"),
        (bytes(range(256)) * 40, "binary"),
        (b"\x89PNG\r\n\x1a\n" + b"\0\1\2\3" * 500, "binary"),
        (b'name: "x"\nlayer {\n  name: "a"\n  type: "ReLU"\n}\n', "prototxt"),
        (b'net: "a.prototxt"\nbase_lr: 0.1\nlr_policy: "fixed"\n', "prototxt"),
    ],
)
def test_what_is_no_log_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match=message):
        read_run([path], KB)


def test_missing_folder_and_unknown_dialect(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no such file"):
        read_run([tmp_path / "none.log"], KB)
    with pytest.raises(UnreadableError, match="folder"):
        read_run([tmp_path], KB)
    with pytest.raises(UnreadableError, match="no log"):
        read_run([], KB)
    with pytest.raises(UsageError, match="no dialect"):
        read_run([CAFFE], KB, dialect="nonsense")


def test_a_log_without_any_number_is_no_error() -> None:
    run = read_text("starting\nloading data\n", "x", KB)
    assert run.series == ()
    assert any("no training loss" in note for note in run.notes)
    assert run.unrecognised_share == 1


def test_a_forced_dialect_reads_only_its_lines() -> None:
    text = "Iteration 5, loss = nan\nstep 7 | loss nan | lr 1\n"
    with_all = read_text(text, "x", KB)
    assert len(with_all.series) > 1
    reader = LogReader("x", Lexicon(KB, "caffe"))
    reader.feed(text.encode())
    assert set(reader.finish().dialects) == {"caffe"}


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(plain(30, bad=9).encode())))
    run = read_run(["-"], KB)
    assert place(run) == (9, 10)
    assert run.files == ("-",)


# --- several runs, several files


def test_the_last_run_of_a_file_counts() -> None:
    data = CAFFE.read_bytes()
    first = len(data.splitlines())
    run = read_text(data + data, "x", KB)
    assert run.several_runs == 2
    assert place(run) == (20, first + 613)
    assert any("holds 2 runs; run 2" in note for note in run.notes)
    assert run.solver_text is not None
    assert run.solver_text.line > first


def test_a_run_that_only_started_does_not_hide_the_one_before() -> None:
    data = CAFFE.read_bytes()
    head = b"\n".join(data.splitlines()[:40]) + b"\n"
    run = read_text(data + head, "x", KB)
    assert place(run) == (20, 613)
    assert any("run 1 is diagnosed" in note for note in run.notes)


def test_rotated_parts_are_one_history(tmp_path: Path) -> None:
    (tmp_path / "train.log.2.gz").write_bytes(gzip.compress(plain(100).encode()))
    (tmp_path / "train.log.1").write_text(plain(200, start=100))
    (tmp_path / "train.log").write_text(plain(300, bad=250, start=200))
    run = read_run(sorted(tmp_path.iterdir()), KB)
    loss = next(s for s in run.series if s.quantity == "loss")
    assert loss.count == 300
    assert [r.step for r in loss.readings] == list(range(300))
    assert loss.first_nonfinite is not None
    where = loss.where(loss.first_nonfinite)
    assert (Path(where.file).name, where.line) == ("train.log", 51)
    assert Path(loss.where(loss.readings[0]).file).name == "train.log.2.gz"
    assert len(loss.before_nonfinite()) == 250


def test_log_leads_over_its_tables(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,step,loss\n0,0,1.5\n0,1,nan\n")
    (tmp_path / "train.log").write_text(plain(20, bad=7))
    run = read_run([tmp_path / "metrics.csv", tmp_path / "train.log"], KB)
    assert [Path(f).name for f in run.files] == ["train.log", "metrics.csv"]
    assert place(run) == (7, 8)
    assert place(read_run([tmp_path / "metrics.csv"], KB)) == (1, 3)


def test_tables_and_json(tmp_path: Path) -> None:
    cases = {
        "sparse.csv": ("epoch,step,train_loss,val_loss\n0,4,,nan\n0,19,inf,\n", "train_loss", (19, 3)),
        "results.csv": ("epoch, train/box_loss, val/box_loss\n0, nan, nan\n", "train/box_loss", (0, 2)),
        "keras.csv": ("epoch,accuracy,loss,val_loss\n0,0.5,nan,NA\n", "loss", (0, 2)),
        "tabs.tsv": ("step\tloss\tlr\n3\t-inf\t0.1\n", "loss", (3, 2)),
        "history.json": ('{"loss": [1.5, NaN], "val_loss": [1, 2]}', "loss", (1, 1)),
        "state.json": ('{"log_history": [{"loss": 2.5, "step": 1},\n{"loss": NaN, "step": 2}]}', "loss", (2, 2)),
        "lines.jsonl": ('{"step": 1, "loss": 0.5}\n{"step": 2, "loss": Infinity}\n', "loss", (2, 2)),
        "cut.json": ('{"log_history": [\n  {"loss": NaN,\n   "step": 2},\n  {"lo', "loss", (2, 2)),
    }
    for name, (text, quantity, expected) in cases.items():
        path = tmp_path / name
        path.write_text(text)
        assert sniff(path) == "metrics", name
        run = read_run([path], KB)
        assert place(run) == expected, name
        assert quantity in {s.quantity for s in run.series}, name


def test_log_lines_with_commas_are_no_tables() -> None:
    for line in (b"Epoch 1, loss nan, acc 0.1\n", b"train loss nan, val loss nan\n", b"INFO: step 1, loss 0.5\n"):
        assert metrics_kind(line * 3) == ""


def test_find_files_by_content(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(CAFFE.read_bytes())
    (tmp_path / "b.prototxt").write_text('layer { name: "x" type: "ReLU" }\nlayer {\n}\n')
    (tmp_path / "c.prototxt").write_text('base_lr: 0.1\nlr_policy: "fixed"\nmax_iter: 5\n')
    (tmp_path / "metrics.csv").write_text("step,loss\n1,2\n")
    (tmp_path / "notes.md").write_text("loss was nan\n")
    (tmp_path / "weights.bin").write_bytes(bytes(range(256)) * 10)
    found = {kind: [Path(p).name for p in paths] for kind, paths in find_files(tmp_path).items() if paths}
    assert found == {"log": ["a.txt"], "net": ["b.prototxt"], "solver": ["c.prototxt"], "metrics": ["metrics.csv"]}


@pytest.mark.parametrize(
    ("name", "quantity", "role"),
    [
        ("run-.-tag-loss.csv", "loss", "loss"),
        ("run_train-tag-train_loss.csv", "train_loss", "loss"),
        ("run-fold1_train-tag-Loss_train (1).csv", "Loss_train", "loss"),
        ("run-validation-tag-epoch_loss.csv", "val_epoch_loss", "validation_loss"),
        ("run-.-tag-Loss_val.csv", "Loss_val", "validation_loss"),
        ("run-.-tag-grad_norm.csv", "grad_norm", "grad_norm"),
        ("train_loss.csv", "train_loss", "loss"),
        ("download.csv", "loss", "loss"),
    ],
)
def test_tensorboards_export_names_its_quantity_in_the_files_name(
    name: str, quantity: str, role: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text("Wall time,Step,Value\n1509.1,10,0.5\n1509.2,20,NaN\n1509.3,30,NaN\n")
    run = read_run([path], KB)
    assert [(s.quantity, s.role) for s in run.series] == [(quantity, role)]
    assert run.series[0].first_nonfinite is not None
    assert (run.series[0].first_nonfinite.step, run.series[0].first_nonfinite.line) == (20, 3)
    assert any("taken for the loss" in note for note in run.notes) == (name == "download.csv")
    assert bool(tensorboard_quantity(name, Lexicon(KB))) == (name != "download.csv")
    assert find_files(tmp_path)["metrics"] == [str(path)]


@pytest.mark.parametrize("path", ALL_LOGS, ids=[p.parent.name for p in ALL_LOGS])
def test_logs_with_dumps_are_logs(path: Path) -> None:
    assert sniff(path) == "log"


# --- the same result whatever the way of reading


def facts(run: Run) -> object:
    return repr(msgspec.to_builtins(run, enc_hook=str))


@pytest.mark.parametrize("path", ALL_LOGS, ids=[p.parent.name for p in ALL_LOGS])
def test_sweeping_reads_what_reading_line_by_line_reads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept = read_run([path], KB)
    monkeypatch.setattr(logreader, "STRETCH", 10**9)
    assert facts(read_run([path], KB)) == facts(swept)


@pytest.mark.parametrize("path", ALL_LOGS, ids=[p.parent.name for p in ALL_LOGS])
def test_small_chunks_read_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_run([path], KB)
    monkeypatch.setattr(lines, "CHUNK", 777)
    cut = read_run([path], KB)
    assert place(cut) == place(whole)
    assert cut.lines == whole.lines
    assert [(s.quantity, s.count, s.first_nonfinite and s.first_nonfinite.line) for s in cut.series] == [
        (s.quantity, s.count, s.first_nonfinite and s.first_nonfinite.line) for s in whole.series
    ]


@pytest.mark.parametrize("path", ALL_LOGS, ids=[p.parent.name for p in ALL_LOGS])
def test_scanning_finds_the_same_onset_and_events(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_run([path], KB)
    scan_small_files(monkeypatch)
    scanned = read_run([path], KB)
    assert place(scanned) == place(whole)
    assert scanned.lines == whole.lines
    assert scanned.framework == whole.framework
    assert {(e.kind, e.location.line) for e in whole.events} <= {(e.kind, e.location.line) for e in scanned.events}


def scan_small_files(monkeypatch: pytest.MonkeyPatch, learn: int = 300) -> None:
    monkeypatch.setattr(merge, "SMALL", 2048)
    monkeypatch.setattr(merge, "HEAD", 2048)
    monkeypatch.setattr(lines, "CHUNK", 1024)
    monkeypatch.setattr(fastscan, "ALL_VALUES", 1 << 16)
    monkeypatch.setattr(fastscan, "LEARN", learn)


def big(n: int, odd: dict[int, str], ends: str = "\n") -> Iterator[bytes]:
    for i in range(n):
        text = odd.get(i, f"step {i} | loss {2 + i % 7 / 10:.4f} | lr 1e-3")
        yield f"{text}{ends}".encode()


def test_what_matters_in_a_big_log_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan_small_files(monkeypatch, learn=0)
    monkeypatch.setattr(fastscan, "ALL_VALUES", 1 << 30)
    odd = {
        3000: "step 3000 | loss 90.1234 | lr 1e-3",  # a peak
        9000: "loss.py:3: RuntimeWarning: divide by zero encountered in log",
        12_000: "step 12000 | loss 2.5 | lr nan",
        15_000: "step 15000 | loss inf | lr 1e-3",
        15_001: "step 15001 | loss nan | lr 1e-3",
        19_999: "RuntimeError: Function 'LogBackward0' returned nan values in its 0th output.",
    }
    path = tmp_path / "train.log"
    path.write_bytes(b"".join(big(20_000, odd)))
    run = read_run([path], KB)
    assert place(run) == (15_000, 15_001)
    rate = next(s for s in run.series if s.quantity == "lr")
    assert rate.first_nonfinite is not None
    assert rate.first_nonfinite.line == 12_001
    loss = next(s for s in run.series if s.quantity == "loss")
    assert any(r.value == 90.1234 and r.line == 3001 and r.step == 3000 for r in loss.readings)
    assert {e.kind: e.location.line for e in run.events}["numpy-log"] == 9001
    assert {e.kind: e.location.line for e in run.events}["anomaly-log"] == 20_000
    assert run.lines == 20_000
    assert len(loss.readings) < 4 * KEEP_ALL
    before = loss.before_nonfinite()
    assert [r.step for r in before[-20:]] == list(range(14_980, 15_000))  # the approach is whole
    assert [r.step for r in before] == sorted({r.step for r in before if r.step is not None})
    assert loss.count == pytest.approx(19_997, rel=0.02)


def test_a_log_full_of_names_is_still_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan_small_files(monkeypatch, learn=10)
    source = random.Random(3)
    letters = "abcdefghijklmnopqrstuvwxyz"
    text = []
    for i in range(4000):
        text.append(f"loading {''.join(source.choices(letters, k=20))}/infernal/finance.jpg\n")
        text.append(f"step {i} | loss {'nan' if i >= 3500 else 1.5} | lr 1e-3\n")
    path = tmp_path / "train.log"
    path.write_text("".join(text))
    assert place(read_run([path], KB)) == (3500, 7002)


def test_an_endless_line_costs_neither_memory_nor_time() -> None:
    pieces = itertools.chain([b"step 1 loss 0.5\n"], itertools.repeat(b"x" * 65536, 2000), [b"\nstep 2 loss nan\n"])
    reader = LogReader("x", Lexicon(KB))
    start = time.process_time()
    largest = 0
    for chunk in lines.aligned(pieces):
        largest = max(largest, len(chunk))
        reader.feed(chunk)
    assert time.process_time() - start < 5
    assert largest < 1 << 20
    assert place(reader.finish()) == (2, 3)


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text(plain(20_000))
    source = lines.Source(path)
    chunks = source.chunks()
    reader = LogReader(str(path), Lexicon(KB))
    reader.feed(next(chunks))
    path.write_text("step 1 loss 2\n")
    for chunk in chunks:
        reader.feed(chunk)
    assert reader.finish().series


def test_finish_changes_nothing() -> None:
    data = CAFFE.read_bytes().splitlines(keepends=True)
    reader, once = LogReader("x", Lexicon(KB)), LogReader("x", Lexicon(KB))
    for line in data:
        reader.feed(line)
        if len(line) % 7 == 0:
            reader.finish()
    for line in data:
        once.feed(line)
    assert facts(reader.finish()) == facts(once.finish())


# --- down-sampling


def test_thinning_keeps_edges_peaks_and_the_approach() -> None:
    items: list[tuple[float | None, int, float]] = [(float(i), i + 1, 1 + math.sin(i / 50)) for i in range(30_000)]
    items[7000] = (7000.0, 7001, 500.0)
    items[8000] = (8000.0, 8001, -300.0)
    items[20_000] = (20_000.0, 20_001, math.nan)
    kept = thinned(items, items[20_000])
    lines_kept = {item[1] for item in kept}
    assert set(range(1, EDGE + 1)) <= lines_kept
    assert set(range(30_000 - EDGE + 1, 30_001)) <= lines_kept
    assert set(range(20_001 - EDGE, 20_001 + AFTER)) <= lines_kept
    assert {7001, 8001} <= lines_kept
    assert len(kept) <= KEEP_ALL
    assert [item[1] for item in kept] == sorted(lines_kept)


def test_long_series_are_held_in_bounded_memory() -> None:
    gathered = Gathered("loss", "loss")
    for i in range(100_000):
        gathered.add(float(i), i + 1, "9.5" if i == 60_000 else "0.5")
        assert len(gathered.items) <= 12_000
    series = gathered.finish(["x"], "loss")
    assert series.count == 100_000
    assert len(series.readings) <= KEEP_ALL
    assert max(r.value for r in series.readings) == 9.5


def test_hostile_bytes_give_a_result_or_a_clear_error() -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "fuzz_logs.py"
    spec = importlib.util.spec_from_file_location("fuzz_logs", path)
    assert spec is not None
    assert spec.loader is not None
    fuzz_logs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fuzz_logs)
    source = fuzz_logs.mutations(fuzz_logs.seeds(), random.Random(7))
    for data in itertools.islice(source, 400):
        start = time.process_time()
        with contextlib.suppress(UnreadableError):
            read_text(data, "x", KB)
        assert time.process_time() - start < 1


def test_magnitudes_of_layers_are_thinned_around_the_onset() -> None:
    from nandoctor.readers.collect import _MAX_LAYERS, Layers
    from nandoctor.readers.facts import LayerReading

    for bad_step in (5000, None):
        layers = Layers()
        line = 0
        for step in range(8000):
            for name in ("conv1", "conv2", *(f"fc{i}" for i in range(40))):
                line += 1
                value = math.nan if bad_step is not None and step >= bad_step and name == "conv2" else 1.0
                layers.add(LayerReading(float(step), line, "Forward", name, "top blob", value))
        kept = layers.finish()
        assert len(kept) <= _MAX_LAYERS
        assert [r.line for r in kept] == sorted({r.line for r in kept})
        assert {r.step for r in kept} >= {0.0, 1.0}
        if bad_step is not None:
            assert {r.step for r in kept} >= {4998.0, 4999.0, 5000.0, 5001.0}
            first_bad = next(r for r in kept if math.isnan(r.value))
            assert (first_bad.step, first_bad.layer) == (5000.0, "conv2")


@pytest.mark.parametrize("ends", ["\r\n", "\r", "   \r\n", "\r   \n"])
def test_scanning_counts_lines_whatever_ends_them(ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan_small_files(monkeypatch)
    path = tmp_path / "train.log"
    path.write_bytes(b"".join(big(6000, {5000: "step 5000 | loss nan | lr 1e-3"}, ends)))
    expected = next(i for i, line in enumerate(path.read_bytes().splitlines(), 1) if b"nan" in line)
    assert place(read_run([path], KB)) == (5000, expected)


def test_of_a_folder_only_what_shows_a_training_is_a_log(tmp_path: Path) -> None:
    filling = "# the salt\n" * 400
    (tmp_path / "login.defs").write_text(f"{filling}#cost factor of: 5 (the default)\n")
    (tmp_path / "log.txt").write_text("step by step the epoch ended\n" * 20)
    nothing = ingest(KB, Inputs(run_dir=str(tmp_path)))
    assert nothing.run is None
    assert [error.message for error in nothing.errors] == [f"{tmp_path}: no log, net or solver in this folder"]
    (tmp_path / "train.log").write_text("Iteration 0, loss = nan\n")
    found = ingest(KB, Inputs(run_dir=str(tmp_path)))
    assert found.run is not None
    assert found.run.files == (str(tmp_path / "train.log"),)
    named = ingest(KB, Inputs(logs=(str(tmp_path / "login.defs"),)))  # whoever names a file means it
    assert named.run is not None


def test_files_that_say_they_are_empty_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc/kmsg says so, and reading it waits for ever."""
    (tmp_path / "train.log").write_text("Iteration 0, loss = nan\n" * 3)
    (tmp_path / "kmsg").touch()
    opened: list[str] = []
    real = sniff

    def seen(path: str) -> str:
        opened.append(Path(path).name)
        return real(path)

    monkeypatch.setattr("nandoctor.readers.sniff.sniff", seen)
    find_files(tmp_path)
    assert opened == ["train.log"]
