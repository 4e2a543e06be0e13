"""What readers say of an input, in the languages: every template has its texts, places and carets stay exact."""

from __future__ import annotations

import ast
import errno
import gzip
import os
from pathlib import Path

import pytest

import nandoctor
from nandoctor.ingest import Inputs, ingest
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import LANGUAGES
from nandoctor.remark import Remark
from nandoctor.render.words import Words

KB = load_knowledge()
CORPUS = Path(__file__).parents[1] / "corpus" / "lr_mlp_disp1"

SYSTEM = {os.strerror(code) for code in (errno.ENOENT, errno.EISDIR, errno.EROFS, errno.ENOSPC, errno.EACCES)}


def templates() -> list[str]:
    """Every template that the package makes a remark of; strings handed on in a variable stand beside it."""
    found = []
    for path in Path(nandoctor.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Remark":
                found += [given.value for given in node.args if isinstance(given, ast.Constant)]
    return sorted(set(found))


def test_every_remark_of_a_reader_has_its_texts() -> None:
    known = {message.en: message for message in KB.messages.values()}
    assert len(templates()) > 40
    for template in templates():
        assert template in known, template
        assert template == "{place}: {what}" or (known[template].zh and known[template].ko)


def test_no_text_for_a_remark_that_nobody_makes() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in Path(nandoctor.__file__).parent.rglob("*.py")]
    said = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    for message in KB.messages.values():
        if message.id.startswith("read.") and message.en not in SYSTEM:
            assert message.en in said or message.en.replace("}}", "}") in said, message.id


def test_a_remark_is_its_english() -> None:
    remark = Remark("expected {what}, found {found}", what=Remark("a value for {name}", name="lr"), found="\x1b{x}")
    assert remark == "expected a value for lr, found \ufffd{x}"
    assert Remark.of("a key or }") == "a key or }"
    assert Words(KB, "en").remark(remark) == remark
    assert Words(KB, "ko").remark(remark) == "lr의 값이(가) 와야 하는데 \ufffd{x}이(가) 있습니다"
    assert Words(KB, "zh").remark("said by nobody") == "said by nobody"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "empty.log").touch()
    (tmp_path / "binary.log").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "words.log").write_text("hello\nworld\n")
    (tmp_path / "open.prototxt").write_text('name: "a"\nlayer {\n  name: "c\n}\n')
    (tmp_path / "args.json").write_text('{"learning_rate": 0.1, "fp16": true,, "epochs": 3}')
    packed = gzip.compress((CORPUS / "train.log").read_bytes())
    (tmp_path / "cut.log.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "nothing").mkdir()
    return tmp_path


GIVEN = [  # the option, the file, what is said in Chinese and Korean
    ("log", "missing.log", "没有这个文件", "파일이 없습니다"),
    ("net", "missing.prototxt", "没有这个文件", "파일이 없습니다"),
    ("log", "empty.log", "是空文件", "빈 파일입니다"),
    ("net", "empty.log", "是空文件", "빈 파일입니다"),
    ("log", "binary.log", "是二进制文件，不是日志", "로그가 아니라 바이너리 파일입니다"),
    ("log", "words.log", "没有认出其中的训练损失", "학습 손실을 찾지 못했습니다"),
    ("log", "cut.log.gz", "gzip 文件被截断或损坏", "잘렸거나 깨져서"),
    ("log", "nothing", "是文件夹，不是日志", "로그가 아니라 폴더입니다"),
    ("run_dir", "nothing", "没有日志、网络或 solver", "로그, 네트워크, 솔버가 없습니다"),
    (
        "net",
        "words.log",
        "此处应为 hello 之后的 ':' 或 '{'，却是 world",
        "hello 뒤에 ':' 또는 '{'이(가) 와야 하는데 world",
    ),
    ("net", "open.prototxt", ":3:9: 字符串没有在本行内结束", ":3:9: 문자열이 그 줄 안에서 닫히지 않았습니다"),
    ("log", "args.json", ":1:37: 不是有效的 JSON：此处应为 键", ":1:37: 올바른 JSON이 아닙니다: 키"),
]


@pytest.mark.parametrize(("option", "name", "zh", "ko"), GIVEN)
def test_what_an_owner_meets_is_said_in_the_language(files: Path, option: str, name: str, zh: str, ko: str) -> None:
    path = str(files / name)
    given = Inputs(logs=(path,)) if option == "log" else Inputs(**{option: path})  # type: ignore[arg-type]
    held = ingest(KB, given)
    told = {}
    for words in (Words(KB, lang) for lang in LANGUAGES):
        told[words.lang] = [*map(words.error, held.errors), *map(words.remark, held.notes)]
    assert zh in "\n".join(told["zh"])
    assert ko in "\n".join(told["ko"])
    for english, other in zip(told["en"], told["zh"], strict=True):
        assert english != other
        assert path in other


def test_swapped_arguments_are_said_in_the_language() -> None:
    log, solver = str(CORPUS / "train.log"), str(CORPUS / "solver.prototxt")
    held = ingest(KB, Inputs(logs=(solver,), solver=log))
    assert [Words(KB, "zh").remark(note) for note in held.notes] == [
        f"{solver} 作为“日志”给出，其实是“solver”；已按后者读取"
    ]


def test_the_line_and_the_caret_stay(files: Path) -> None:
    (error,) = ingest(KB, Inputs(net=str(files / "open.prototxt"))).errors
    for lang in LANGUAGES:
        assert Words(KB, lang).error(error).split("\n")[1:] == ['  name: "c', "        ^"]
