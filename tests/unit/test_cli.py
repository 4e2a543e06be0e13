"""The command line: exit codes, streams, bad input. Runs in this process unless the process itself is the point."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nandoctor.cli import main

CORPUS = Path(__file__).parent.parent / "corpus"
CASE = CORPUS / "lr_leaky_debug"
HEALTHY = CORPUS / "healthy_lenet_step"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    code = stop.value.code
    return int(code or 0), out, err


class TestExitCodes:
    def test_a_fault_is_1_and_the_verdict_is_the_last_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = run(capsys, "--log", CASE / "train.log", "--net", CASE / "train_val.prototxt")
        assert code == 1
        assert "learning rate" in out.rstrip().splitlines()[-1].lower()

    def test_healthy_is_0(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(capsys, HEALTHY)[0] == 0

    def test_a_run_directory_finds_its_files(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = run(capsys, CASE, "--format", "json")
        data = json.loads(out)
        assert code == 1
        assert data["causes"][0]["id"] == "learning-rate-too-high"
        assert data["runs"][0]["onset"] == {
            "step": 19,
            "line": 1113,
            "quantity": data["runs"][0]["onset"]["quantity"],
        }

    def test_nothing_known_is_4(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(capsys, "--answer", "devices=one")[0] == 4

    def test_help_is_0(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = run(capsys, "--help")
        assert code == 0
        assert "--solver" in out


class TestWrongUsage:
    @pytest.mark.parametrize(
        ("arguments", "hint"),
        [
            (["--answer", "precission=fp16"], "did you mean `precision`"),
            (["--answer", "precision=fp15"], "did you mean `fp16`"),
            (["--answer", "precision"], "ID=STATE"),
            (["--tried", "lower-learning-rate=maybe", "--answer", "devices=one"], "helped"),
            (["--tried", "lower-lerning-rate=no", "--answer", "devices=one"], "did you mean `lower-learning-rate`"),
            (["--formt", "json"], "--format"),
            (["explain", "log-of-zer"], "did you mean `log-of-zero`"),
            (["--input-shape", "data=1,b", "--answer", "devices=one"], "N,C,H,W"),
        ],
    )
    def test_is_2_with_a_hint(self, capsys: pytest.CaptureFixture[str], arguments: list[str], hint: str) -> None:
        code, _, err = run(capsys, *arguments)
        assert code == 2
        assert hint in err

    def test_a_broken_overlay_names_its_place(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        (tmp_path / "causes").mkdir()
        (tmp_path / "causes" / "mine.yaml").write_text("id: mine\ntitel: {en: x}\n")
        code, _, err = run(capsys, "--knowledge", tmp_path, "--answer", "devices=one")
        assert code == 2
        assert "mine.yaml:2:1" in err
        assert "did you mean `title`" in err


LOSSES = "".join(f"step {i} loss: {2.5 - i / 100:.4f}\n" for i in range(60)) + "step 60 loss: nan\nstep 61 loss: nan\n"


class TestBadInput:
    def test_missing_file_is_3_and_the_rest_is_reported(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, err = run(capsys, "--log", CASE / "train.log", "--net", "nowhere.prototxt")
        assert code == 3
        assert "nowhere.prototxt" in err
        assert "learning rate" in out.lower()

    def test_missing_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, err = run(capsys, "--log", "nowhere.log")
        assert (code, out) == (3, "")
        assert "nowhere.log" in err

    @pytest.mark.parametrize(
        "data",
        [b"", b"   \n\n", bytes(range(256)) * 40, b"\x7fELF\0\0\0" * 100],
        ids=["empty", "blank", "binary", "elf"],
    )
    def test_no_log_at_all(self, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "x.log"
        path.write_bytes(data)
        code, _, err = run(capsys, "--log", path)
        assert code == 3
        assert "x.log" in err

    def test_a_folder_as_log(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        assert run(capsys, "--log", tmp_path)[0] == 3

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gbk", "cp949", "latin-1"])
    def test_encodings(self, capsys: pytest.CaptureFixture[str], tmp_path: Path, encoding: str) -> None:
        prefix = {"gbk": "训练开始\n", "cp949": "학습 시작\n", "latin-1": "début\n"}.get(encoding, "start\n")
        path = tmp_path / "x.log"
        path.write_bytes((prefix + LOSSES).encode(encoding))
        _, out, _ = run(capsys, "--log", path, "--format", "json")
        assert json.loads(out)["runs"][0]["onset"]["line"] == 62

    @pytest.mark.parametrize(("end", "line"), [("\n", 61), ("\r\n", 61), ("\r", 61)])
    def test_line_ends(self, capsys: pytest.CaptureFixture[str], tmp_path: Path, end: str, line: int) -> None:
        path = tmp_path / "x.log"
        path.write_bytes(LOSSES.replace("\n", end).encode())
        _, out, _ = run(capsys, "--log", path, "--format", "json")
        assert json.loads(out)["runs"][0]["onset"]["line"] == line

    def test_gzip(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        path = tmp_path / "x.log.gz"
        path.write_bytes(gzip.compress(LOSSES.encode()))
        _, out, _ = run(capsys, "--log", path, "--format", "json")
        assert json.loads(out)["runs"][0]["onset"]["step"] == 60

    def test_cut_in_mid_line(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        path = tmp_path / "x.log"
        path.write_text(LOSSES[:-7])
        assert run(capsys, "--log", path)[0] in (1, 4)

    def test_no_loss_in_the_log(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        path = tmp_path / "x.log"
        path.write_text("hello\nworld\n" * 20)
        assert run(capsys, "--log", path)[0] in (3, 4)

    def test_swapped_arguments_still_work(self, capsys: pytest.CaptureFixture[str]) -> None:
        swapped = ("--net", CASE / "solver.prototxt", "--solver", CASE / "train_val.prototxt")
        code, out, err = run(capsys, *swapped, "--log", CASE / "train.log")
        assert code == 1
        assert "read as such" in err
        assert "learning rate" in out.lower()

    def test_a_net_given_as_log(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, _, err = run(capsys, "--log", CASE / "train_val.prototxt")
        assert "is a net" in err

    def test_a_syntax_error_has_line_column_and_caret(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        path = tmp_path / "net.prototxt"
        path.write_text('name: "x"\nlayer {\n  name: "a"\n  type = "ReLU"\n}\n')
        code, _, err = run(capsys, "--net", path)
        assert code == 3
        assert "net.prototxt:4:" in err
        assert "^" in err

    def test_escape_sequences_of_a_log_do_not_reach_the_terminal(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        path = tmp_path / "x.log"
        path.write_text("\x1b]0;owned\x07\x1b[2J" + LOSSES + "RuntimeError: \x1b[31m[red]loss is nan[/red]\n")
        _, out, err = run(capsys, "--log", path)
        assert "\x1b" not in out + err
        assert "\x07" not in out + err


def test_stdin_is_read_as_a_log() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nandoctor", "--log", "-", "--format", "json"],
        input=LOSSES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout)["runs"][0]["onset"]["step"] == 60


# What a report of files does without, once the knowledge is cached: other tools' libraries, and what they drag in.
NOT_FOR_A_REPORT = {
    *("textual", "rich", "rapidfuzz", "jsonschema", "zstandard"),
    *("click", "argparse", "gettext", "locale", "shutil"),
    *("yaml", "nandoctor.kb.yamlnode", "difflib", "tempfile"),
    *("dataclasses", "string", "json", "subprocess", "email", "importlib.metadata", "importlib.resources"),
    *("nandoctor.cli.commands", "nandoctor.dialogue", "nandoctor.interview", "nandoctor.readers.config"),
}


def test_a_report_loads_nothing_that_it_does_without(tmp_path: Path) -> None:
    arguments = [
        "--log",
        CASE / "train.log",
        "--net",
        CASE / "train_val.prototxt",
        "--solver",
        CASE / "solver.prototxt",
    ]
    arguments += ["--output", tmp_path / "report"]
    code = (
        "import sys\nfrom nandoctor.cli import main\n"
        f"try: main({list(map(str, arguments))})\n"
        "except SystemExit: pass\n"
        "print(*sys.modules)"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    for _ in range(2):  # the first start reads the knowledge files, and leaves the cache
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        loaded = set(done.stdout.split())
    assert (tmp_path / "report").stat().st_size > 1000
    assert "nandoctor.render.text" in loaded
    assert not loaded & NOT_FOR_A_REPORT
