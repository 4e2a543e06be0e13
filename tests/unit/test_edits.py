"""Edits leave every other byte alone, keep the file's style, and come out as diffs that real tools apply."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nandoctor.errors import UsageError
from nandoctor.kb.model import Edit
from nandoctor.readers.caffe import read_net, read_solver
from nandoctor.readers.edits import (
    Change,
    FieldEdit,
    apply_edits,
    changed_lines,
    undo,
    unified_diff,
    write_with_backup,
)
from nandoctor.readers.textproto import parse

CORPUS = Path(__file__).parents[1] / "corpus"
NETS = sorted((CORPUS / "nets").glob("*.prototxt"))
SOLVERS = sorted((CORPUS / "solvers").glob("*.prototxt"))


def edited(text: str, *edits: FieldEdit, found=()) -> str:
    return apply_edits(parse(text), edits, found)


def solver(text: str, action: str, path: str, value: str = "", factor: float = 1.0) -> str:
    return edited(text, FieldEdit(action, path, value, factor))


class TestSolver:
    TEXT = "# mine\nnet: 'n.prototxt'\nbase_lr:  0.01   # was 0.1\nmomentum: 0.9\n"

    @pytest.mark.parametrize(
        "case",
        [
            ("set", "base_lr", "0.001", 1, ("base_lr:  0.01 ", "base_lr:  0.001 ")),
            ("scale", "base_lr", "", 0.1, ("base_lr:  0.01 ", "base_lr:  0.001 ")),
            ("scale", "momentum", "", 0.5, ("0.9", "0.45")),
            ("scale", "momentum", "", 1e-7, ("0.9", "9e-08")),
            ("set", "net", "other", 1, ("'n.prototxt'", '"other"')),
            ("set", "clip_gradients", "35", 1, ("0.9\n", "0.9\nclip_gradients: 35\n")),
            ("add", "momentum", "0.5", 1, ("0.9", "0.5")),
            ("add", "stepvalue", "7", 1, ("0.9\n", "0.9\nstepvalue: 7\n")),
            ("set", "lr_policy", "fixed", 1, ("0.9\n", '0.9\nlr_policy: "fixed"\n')),
            ("set", "train_state.stage", "a", 1, ("0.9\n", '0.9\ntrain_state {\n  stage: "a"\n}\n')),
            ("remove", "momentum", "", 1, ("momentum: 0.9\n", "")),
            ("remove", "base_lr", "", 1, ("base_lr:  0.01   # was 0.1", "# was 0.1")),
            ("remove", "nothing", "", 1, ("", "")),
            ("scale", "nothing", "", 2, ("", "")),
            ("scale", "net", "", 2, ("", "")),
            ("set", "momentum", "0.9", 1, ("", "")),
        ],
    )
    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
    def test_one_field(self, case, newline):
        action, path, value, factor, changed = case
        old, new = (part.replace("\n", newline) for part in changed)
        text = self.TEXT.replace("\n", newline)
        assert solver(text, action, path, value, factor) == text.replace(old, new, 1)

    def test_without_a_newline_at_the_end(self):
        assert solver("base_lr: 1", "set", "momentum", "0.9") == "base_lr: 1\nmomentum: 0.9"
        assert solver("a: 1\nb: 2", "remove", "b") == "a: 1"
        assert solver("a: 1\r\nb: 2", "remove", "b") == "a: 1"
        assert solver("b: 2", "remove", "b") == ""
        assert solver("", "set", "base_lr", "1") == "base_lr: 1"
        assert solver("# x", "set", "base_lr", "1") == "# x\nbase_lr: 1"
        assert solver("# x\r\n", "set", "base_lr", "1") == "# x\r\nbase_lr: 1\r\n"
        assert solver("\ufeffa: 1\n", "set", "b", "2") == "\ufeffa: 1\nb: 2\n"

    def test_fields_that_share_a_line(self):
        assert solver("a: 1 b: 2 c: 3\n", "remove", "b") == "a: 1 c: 3\n"
        assert solver("a: 1 b: 2 c: 3\n", "remove", "c") == "a: 1 b: 2\n"
        assert solver("a: 1; b: 2; c: 3\n", "remove", "a") == "b: 2; c: 3\n"
        assert solver("a: 1 b: 2\n", "set", "c", "3") == "a: 1 b: 2 c: 3\n"

    def test_repeated_fields_and_lists(self):
        text = "stepvalue: 10\nstepvalue: 20\nmax_iter: 30\n"
        assert solver(text, "add", "stepvalue", "25") == text.replace("20\n", "20\nstepvalue: 25\n")
        assert solver(text, "scale", "stepvalue", factor=2) == text.replace("10", "20", 1).replace("20\nmax", "40\nmax")
        assert solver(text, "remove", "stepvalue") == "max_iter: 30\n"
        listed = "stepvalue: [10, 20] ; max_iter: 30\n"
        assert solver(listed, "remove", "stepvalue") == "max_iter: 30\n"
        assert solver(listed, "scale", "stepvalue", factor=0.5) == "stepvalue: [5, 10] ; max_iter: 30\n"

    def test_whole_numbers_stay_whole_where_they_must(self):
        assert solver("batch_size: 5\nbase_lr: 1\n", "scale", "base_lr", factor=0.1) == "batch_size: 5\nbase_lr: 0.1\n"
        assert solver("display: 5", "scale", "display", factor=0.1) == "display: 1"
        assert solver("max_iter: 100", "scale", "max_iter", factor=2) == "max_iter: 200"
        assert solver("base_lr: nan", "scale", "base_lr", factor=0.1) == "base_lr: nan"

    def test_a_message_where_a_value_belongs(self):
        assert solver("base_lr: { } a: 1", "set", "base_lr", "3") == "base_lr: 3 a: 1"
        assert solver("base_lr {} a: 1", "set", "base_lr", "3") == "base_lr : 3 a: 1"
        assert solver("net <x: 1>", "set", "net", '"a:b"') == 'net : "a:b"'

    def test_several_edits_build_on_each_other(self):
        text = "base_lr: 1\n"
        out = edited(
            text,
            FieldEdit("set", "train_state.level", "1"),
            FieldEdit("set", "train_state.stage", "x"),
            FieldEdit("scale", "base_lr", factor=0.1),
            FieldEdit("scale", "base_lr", factor=0.1),
        )
        assert out == 'base_lr: 0.01\ntrain_state {\n  level: 1\n  stage: "x"\n}\n'

    def test_edits_of_layers_do_not_touch_a_solver(self):
        assert edited("base_lr: 1\n", FieldEdit("set", "type", "x", layer="Pooling")) == "base_lr: 1\n"

    def test_the_knowledge_bases_own_form(self):
        document = parse("base_lr: 0.1\n")
        edit = Edit(file="solver", action="scale", path="base_lr", factor=0.1)
        assert apply_edits(document, [edit]) == "base_lr: 0.01\n"

    def test_wrong_edits_are_refused(self):
        with pytest.raises(UsageError, match="unknown action"):
            solver("a: 1", "replace", "a", "2")
        with pytest.raises(UsageError, match="leaves no readable text"):
            solver("a: 1", "set", "a", "}")


NET = """\
layer {
  name: "conv"
  type: "Convolution"
  bottom: "x" top: "conv"
  convolution_param { num_output: 8 kernel_size: 3 }
}
layer { # the pool
  name: "pool"
  type: "Pooling"
  bottom: "conv"
  top: "pool"
  pooling_param {
    pool: AVE
    stride: 5  # too far
  }
}
"""


def net(action: str, path: str, value: str = "", layer: str = "pool", text: str = NET) -> str:
    return edited(text, FieldEdit(action, path, value, layer=layer))


class TestNet:
    @pytest.mark.parametrize(
        "case",
        [
            ("set", "pooling_param.stride", "3", "pool", "stride: 5", "stride: 3"),
            ("set", "pooling_param.stride", "3", "Pooling", "stride: 5", "stride: 3"),
            ("set", "pooling_param.pad", "1", "pool", "# too far\n", "# too far\n    pad: 1\n"),
            ("add", "pooling_param.round_mode", "FLOOR", "pool", "# too far\n", "# too far\n    round_mode: FLOOR\n"),
            ("remove", "pooling_param.pool", "", "pool", "    pool: AVE\n", ""),
            ("remove", "pooling_param", "", "pool",
             "  pooling_param {\n    pool: AVE\n    stride: 5  # too far\n  }\n", ""),
            ("set", "convolution_param.pad", "1", "conv", "kernel_size: 3 }", "kernel_size: 3 pad: 1 }"),
            ("set", "convolution_param.weight_filler.type", '"msra"', "Convolution", "kernel_size: 3 }",
             'kernel_size: 3 weight_filler { type: "msra" } }'),
            ("set", "param.lr_mult", "0", "conv",
             "kernel_size: 3 }\n", "kernel_size: 3 }\n  param {\n    lr_mult: 0\n  }\n"),
            ("set", "type", "Scale", "pool", '"Pooling"', '"Scale"'),
            ("set", "convolution_param", "{ num_output: 9 }", "conv",
             "{ num_output: 8 kernel_size: 3 }", "{ num_output: 9 }"),
            ("set", "convolution_param", "num_output: 9", "conv",
             "{ num_output: 8 kernel_size: 3 }", "{ num_output: 9 }"),
            ("add", "bottom", "y", "pool", 'bottom: "conv"\n', 'bottom: "conv"\n  bottom: "y"\n'),
            ("add", "bottom", "y", "conv", 'bottom: "x" top', 'bottom: "x" bottom: "y" top'),
            ("set", "loss_weight", "0.1", "pool", "  }\n}\n", "  }\n  loss_weight: 0.1\n}\n"),
            ("scale", "pooling_param.stride", "", "pool", "", ""),
            ("set", "x", "1", "nobody", "", ""),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("newline", ["\n", "\r\n"])
    def test_fields(self, case, newline):
        action, path, value, layer, old, new = case
        text = NET.replace("\n", newline)
        at = text.rfind(old.replace("\n", newline)) if layer == "pool" else text.find(old.replace("\n", newline))
        expected = text[:at] + new.replace("\n", newline) + text[at + len(old.replace("\n", newline)) :]
        assert net(action, path, value, layer, text) == expected

    def test_tabs_stay_tabs(self):
        text = "layer {\n\tname: 'a'\n}\n"
        assert net("set", "pooling_param.pad", "1", "a", text) == (
            "layer {\n\tname: 'a'\n\tpooling_param {\n\t\tpad: 1\n\t}\n}\n"
        )

    def test_empty_and_inline_messages(self):
        text = "layer { name: 'a' pooling_param {} }\n"
        assert net("set", "pooling_param.pad", "1", "a", text) == "layer { name: 'a' pooling_param { pad: 1 } }\n"
        text = "layer {\n    name: 'a'\n    pooling_param {\n    }\n}"
        assert net("set", "pooling_param.pad", "1", "a", text) == (
            "layer {\n    name: 'a'\n    pooling_param {\n        pad: 1\n    }\n}"
        )
        text = "layer < name: 'a' >"
        assert net("set", "type", "x", "a", text) == "layer < name: 'a' type: \"x\" >"
        text = "layer {\n  name: 'a' }"
        assert net("set", "type", "x", "a", text) == "layer {\n  name: 'a' type: \"x\" }"

    def test_every_field_of_that_path(self):
        text = "layer { name: 'bn' param { lr_mult: 1 } param { lr_mult: 2 } param { lr_mult: 1 } }"
        assert net("set", "param.lr_mult", "0", "bn", text) == re.sub("lr_mult: .", "lr_mult: 0", text)

    def test_both_layers_of_one_name(self):
        text = "layer { name: 'd' include { phase: TRAIN } }\nlayer { name: 'd' include { phase: TEST } }\n"
        out = net("set", "transform_param.scale", "0.1", "d", text)
        assert out.count("transform_param { scale: 0.1 }") == 2

    def test_only_the_layers_a_check_found(self):
        text = "layer { name: 'd' x: 1 }\nlayer { name: 'd' x: 2 }\nlayer { name: 'd' x: 3 }\n"
        layers = read_net(parse(text)).layers
        edits = (
            FieldEdit("insert_before", value="layer { name: 'new' }", layer="{check}"),
            FieldEdit("scale", "x", factor=10, layer="{check}"),
        )
        assert edited(text, *edits, found=[layers[1]]) == (
            "layer { name: 'd' x: 1 }\nlayer { name: 'new' }\nlayer { name: 'd' x: 20 }\nlayer { name: 'd' x: 3 }\n"
        )
        assert edited(text, *edits) == text

    def test_insertion(self):
        layer = 'layer {\n  name: "{layer}_check"\n  bottom: "{top}"\n  top: "{bottom}"\n}\n'
        block = 'layer {\n  name: "pool_check"\n  bottom: "pool"\n  top: "conv"\n}\n'
        assert net("insert_after", "", layer) == NET + block
        assert net("insert_before", "", layer) == NET.replace("layer { # the pool", block + "layer { # the pool")
        assert net("insert_after", "", layer, "pool", NET.rstrip("\n")) == NET + block.rstrip("\n")
        assert net("insert_after", "", layer, "pool", NET.replace("\n", "\r\n")) == (NET + block).replace("\n", "\r\n")
        spaced = NET.replace("\nlayer", "\n\nlayer")
        assert net("insert_after", "", layer, "conv", spaced).count("\n}\n\nlayer {") == 2
        one_line = "layer { name: 'a' } layer { name: 'b' }"
        assert net("insert_after", "", "layer { name: 'c' }", "a", one_line) == (
            "layer { name: 'a' }\nlayer { name: 'c' } layer { name: 'b' }"
        )
        assert net("insert_before", "", "layer { name: 'c' }", "b", one_line) == (
            "layer { name: 'a' } layer { name: 'c' }\nlayer { name: 'b' }"
        )


def corpus_text(name: str) -> str:
    return (CORPUS / "nets" / f"{name}.prototxt").read_text(encoding="utf-8")


class TestOldNets:
    @pytest.mark.parametrize(
        "case",
        [
            ("lenet_v1", "pool1", "set", "pooling_param.stride", "3", ("    stride: 2",), ("    stride: 3",)),
            ("lenet_v1", "conv1", "set", "param.lr_mult", "0",
             ("  blobs_lr: 1", "  blobs_lr: 2"), ("  blobs_lr: 0",) * 2),
            ("lenet_v1", "ip2", "set", "param.lr_mult", "3", (), ("  blobs_lr: 3",)),
            ("lenet_v1", "digits", "set", "transform_param.scale", "1", ("    scale: 0.00390625",), ("    scale: 1",)),
            ("lenet_v1", "loss", "set", "type", '"EuclideanLoss"',
             ("  type: SOFTMAX_LOSS",), ("  type: EUCLIDEAN_LOSS",)),
            ("lenet_v1", "loss", "set", "type", '"BatchNorm"', (), ()),
            ("imagenet_v0", "pool1", "set", "pooling_param.kernel_size", "5",
             ("    kernelsize: 3",), ("    kernelsize: 5",)),
            ("imagenet_v0", "pool1", "set", "pooling_param.pad", "1", (), ("    pad: 1",)),
            ("imagenet_v0", "conv1", "set", "convolution_param.weight_filler.std", "0.1", ("      std: 0.01",),
             ("      std: 0.1",)),
            ("imagenet_v0", "data", "set", "transform_param.crop_size", "9",
             ("    cropsize: 227",), ("    cropsize: 9",)),
            ("imagenet_v0", "conv1", "remove", "param.decay_mult", "",
             ("    weight_decay: 1.", "    weight_decay: 0."), ()),
            ("imagenet_v0", "loss", "set", "type", "EuclideanLoss", ('    type: "softmax_loss"',),
             ('    type: "euclidean_loss"',)),
            ("lenet_v1", "relu1", "insert_after", "", 'layer {\n  type: "Dropout"\n}', (),
             ("layers {", "  type: DROPOUT", "}")),
            ("lenet_v1", "relu1", "insert_after", "", 'layer { type: "BatchNorm" }', (), ()),
            ("imagenet_v0", "relu1", "insert_after", "", 'layer { type: "ReLU" }', (), ()),
        ],
    )  # fmt: skip
    def test_are_edited_in_their_own_words(self, case):
        name, layer, action, path, value, removed, added = case
        text = corpus_text(name)
        out = net(action, path, value, layer, text)
        changes = changed_lines(text, out)
        assert tuple(line for change in changes for line in change.removed) == removed
        assert tuple(line for change in changes for line in change.added) == added
        if removed or added:
            again = read_net(parse(out)).layer(layer)
            assert again is not None
            assert action != "set" or str(again.get(path)) == value.strip('"')


class TestNoOtherByte:
    @pytest.mark.parametrize("path", NETS, ids=lambda path: path.stem)
    def test_setting_a_field_of_every_layer(self, path):
        text = path.read_text(encoding="utf-8")
        out = text
        for layer in read_net(parse(text)).layers:
            out = edited(out, FieldEdit("set", "loss_weight", "7", layer=layer.name))
        again = read_net(parse(out))
        assert all(set(layer.numbers("loss_weight")) == {7.0} for layer in again.layers)
        for layer in again.layers:
            out = edited(out, FieldEdit("remove", "loss_weight", layer=layer.name))
        if "loss_weight" not in text:
            assert out == text

    @given(st.sampled_from(SOLVERS), st.data())
    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    def test_one_value_and_back(self, path, data):
        text = path.read_text(encoding="utf-8")
        document = parse(text)
        fields = [field for field in document.root.fields if isinstance(field.value, int | float)]
        field = data.draw(st.sampled_from([f for f in fields if len(document.root.every(f.name)) == 1]))
        out = solver(text, "set", field.name, "12345")
        assert out == text[: field.value_start] + "12345" + text[field.value_end :]
        assert read_solver(parse(out)).get(field.name) == 12345
        assert solver(out, "set", field.name, text[field.value_start : field.value_end]) == text


# --- lines and diffs

lines = st.lists(st.sampled_from(["layer {", "  }", "}", "a: 1", "b: 2", ""]), max_size=40)
endings = st.sampled_from(["\n", "\r\n"])


def rebuilt(old: str, changes: list[Change]) -> list[str]:
    result = old.splitlines()
    for change in reversed(changes):
        at = change.line - 1
        assert tuple(result[at : at + len(change.removed)]) == change.removed
        result[at : at + len(change.removed)] = change.added
    return result


@given(lines, lines, endings)
@settings(deadline=None)
def test_changed_lines_turn_one_into_the_other(old, new, newline):
    old_text, new_text = newline.join(old) + newline, newline.join(new) + newline
    assert rebuilt(old_text, changed_lines(old_text, new_text)) == new_text.splitlines()


@given(st.integers(0, 400), st.integers(0, 400), st.integers(1, 30))
@settings(deadline=None)
def test_many_changes_far_apart_stay_apart(size, seed, every):
    old = [f"line {(i * 7919 + seed) % 13}" for i in range(size)]
    new = [text for i, line in enumerate(old) for text in ([line, "new"] if i % every == 0 else [line])]
    changes = changed_lines("\n".join(old), "\n".join(new))
    assert sum(len(change.removed) for change in changes) <= len(changes)
    assert rebuilt("\n".join(old), changes) == new


def apply_with(command: list[str], folder: Path, name: str, old: str, diff: str) -> bytes:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(old.encode())
    done = subprocess.run(command, input=diff.encode(), cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return target.read_bytes() if target.exists() else b""


COMMANDS = [["patch", "-p0"], ["patch", "-p1"], ["git", "apply"]]


class TestDiff:
    @pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
    @pytest.mark.parametrize("name", ["net.prototxt", "deep/er/net.prototxt", "with space.prototxt", "网.prototxt"])
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("a: 1\nb: 2\n", "a: 1\nb: 3\n"),
            ("a: 1\nb: 2", "a: 1\nb: 3"),
            ("a: 1\nb: 2", "a: 1\nb: 2\n"),
            ("a: 1\nb: 2\n", "a: 1\nb: 2"),
            ("a: 1\nb: 2", "a: 1\nb: 2\nc: 3"),
            ("a: 1\r\nb: 2\r\n", "a: 1\r\nb: 3\r\nc: 4\r\n"),
            ("a: 1\r\nb: 2", "a: 1\r\nb: 3"),
            ("a: 1\n", "a: 1\nb: 2\n"),
            ("\n" * 50 + "a: 1\n" + "\n" * 50, "c: 1\n" + "\n" * 50 + "a: 2\n" + "\n" * 50),
        ],
    )
    def test_real_tools_apply_it(self, tmp_path, command, name, old, new):
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        if command[0] == "git":
            subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
        assert apply_with(command, tmp_path, name, old, unified_diff(name, old, new)) == new.encode()

    def test_as_it_looks(self):
        old = "".join(f"line {i}\n" for i in range(1, 21))
        new = old.replace("line 3\n", "").replace("line 16\n", "line 16\nadded\n")
        assert unified_diff("solver.prototxt", old, new) == (
            "--- ./solver.prototxt\n+++ ./solver.prototxt\n"
            "@@ -1,6 +1,5 @@\n line 1\n line 2\n-line 3\n line 4\n line 5\n line 6\n"
            "@@ -14,6 +13,7 @@\n line 14\n line 15\n line 16\n+added\n line 17\n line 18\n line 19\n"
        )
        assert unified_diff("x", old, old) == ""

    def test_names(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)

        def header(name: str) -> str:
            return unified_diff(name, "a\n", "b\n").splitlines()[0]

        assert header("./a/b") == "--- ./a/b"
        assert header(str(tmp_path / "sub" / "n")) == "--- ./sub/n"
        assert header("/elsewhere/n") == "--- ./n"
        assert header("../n") == "--- ./n"
        assert "\x1b" not in header("a\x1b[31m")
        assert "\n" not in header("a\nb")


class TestBackup:
    def test_write_and_undo(self, tmp_path):
        path = tmp_path / "solver.prototxt"
        old, new = "base_lr: 1\r\n# 学习率\r\n", "base_lr: 0.1\r\n# 学习率\r\n"
        path.write_bytes(old.encode())
        path.chmod(0o640)
        backup = write_with_backup(path, old, new)
        assert path.read_bytes() == new.encode()
        assert backup.read_bytes() == old.encode()
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(backup.stat().st_mode) == 0o640
        newest = new.replace("0.1", "0.01")
        write_with_backup(path, new, newest)
        assert undo(path) == path.resolve()
        assert path.read_bytes() == new.encode()
        undo(path)
        assert path.read_bytes() == old.encode()
        assert list(tmp_path.iterdir()) == [path]
        with pytest.raises(UsageError, match="no backup"):
            undo(path)

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gbk", "cp949", "latin-1"])
    def test_the_encoding_stays(self, tmp_path, encoding):
        path = tmp_path / "s.prototxt"
        words = {"gbk": "学习率", "cp949": "학습률", "latin-1": "Lernrate \xe4"}.get(encoding, "学习率 학습률")
        old, new = f"base_lr: 1 # {words}\n", f"base_lr: 2 # {words}\n"
        path.write_bytes(old.encode(encoding))
        write_with_backup(str(path), path.read_bytes().decode(encoding), new)
        assert path.read_bytes() == new.encode(encoding)

    def test_bytes_that_are_no_text(self, tmp_path):
        path = tmp_path / "s.prototxt"
        path.write_bytes(b"a: 1 # \xff\xfe\xfa\n")
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        write_with_backup(path, text, text.replace("1", "2"))
        assert path.read_bytes() == b"a: 2 # \xff\xfe\xfa\n"

    def test_a_file_that_changed_meanwhile_is_left_alone(self, tmp_path):
        path = tmp_path / "s.prototxt"
        path.write_text("a: 2\n")
        with pytest.raises(UsageError, match="changed since it was read"):
            write_with_backup(path, "a: 1\n", "a: 3\n")
        assert path.read_text() == "a: 2\n"
        assert list(tmp_path.iterdir()) == [path]

    def test_undo_does_not_lose_later_work(self, tmp_path):
        path = tmp_path / "s.prototxt"
        path.write_text("a: 1\n")
        backup = write_with_backup(path, "a: 1\n", "a: 2\n")
        path.write_text("a: 2\nb: 3\n")
        with pytest.raises(UsageError, match="changed after nandoctor wrote it") as caught:
            undo(path)
        assert backup.name in str(caught.value)
        assert path.read_text() == "a: 2\nb: 3\n"

    def test_a_link_stays_a_link(self, tmp_path):
        real, link = tmp_path / "real", tmp_path / "link"
        real.write_text("a: 1\n")
        link.symlink_to(real)
        write_with_backup(link, "a: 1\n", "a: 2\n")
        assert link.is_symlink()
        assert real.read_text() == "a: 2\n"
        undo(link)
        assert real.read_text() == "a: 1\n"

    @pytest.mark.parametrize("name", ["missing", "folder", "nul\0"])
    def test_what_cannot_be_read(self, tmp_path, name):
        (tmp_path / "folder").mkdir()
        with pytest.raises(UsageError, match="cannot read"):
            write_with_backup(tmp_path / name, "", "x")
        with pytest.raises(UsageError, match="cannot read"):
            undo(tmp_path / name)

    def test_a_failed_write_leaves_everything_as_it_was(self, tmp_path, monkeypatch):
        path = tmp_path / "s.prototxt"
        path.write_text("a: 1\n")

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(UsageError, match="No space left"):
            write_with_backup(path, "a: 1\n", "a: 2\n")
        assert path.read_text() == "a: 1\n"
        assert list(tmp_path.iterdir()) == [path]
