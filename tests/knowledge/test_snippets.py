"""Every snippet and every edit of the remedies must work where it is pasted or applied."""

from __future__ import annotations

import ast
import builtins
import warnings
from pathlib import Path
from typing import Any

import pytest

from nandoctor.errors import TextFormatError
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import Edit, Remedy
from nandoctor.readers.caffe import read_net, read_solver
from nandoctor.readers.edits import apply_edits
from nandoctor.readers.textproto import Document, parse

KB = load_knowledge()
TESTS = Path(__file__).parent.parent
NETS = sorted(
    path
    for folder in (TESTS / "corpus", TESTS.parent / "benchmarks" / "cases")
    for path in folder.rglob("*.prototxt")
    if "solver" not in path.name and path.parent.name != "solvers"
)
SOLVERS = sorted(path for path in (TESTS / "corpus").rglob("*solver*.prototxt"))
# What the owner's script has at hand where a PyTorch snippet is pasted.
AT_HAND = {"x", "loss", "model", "optimizer", "batch", "labels", "logits", "scaler", "mask"}
LIST_OF_IMAGES = """\
layer {
  name: "data"
  type: "ImageData"
  top: "data"
  top: "label"
  image_data_param { source: "train.txt" batch_size: 32 }
}
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 10 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
SHELL = ("caffe ", "nvidia-smi", "python ", "export ", "CUDA_")
PYTHON = [
    pytest.param(remedy, framework, id=f"{remedy.id}-{framework}")
    for remedy in KB.remedies.values()
    for framework in remedy.snippets
    if framework != "caffe"
]
PYTORCH = [pytest.param(r, id=r.id) for r in KB.remedies.values() if "pytorch" in r.snippets]
CAFFE = [pytest.param(r, id=r.id) for r in KB.remedies.values() if "caffe" in r.snippets]
EDITS = [
    pytest.param(edit, id=f"{remedy.id}-{number}")
    for remedy in KB.remedies.values()
    for number, edit in enumerate(remedy.edits)
]


def free_names(tree: ast.Module) -> set[str]:
    """Names that are read and that nothing in the snippet defines."""
    defined: set[str] = set(dir(builtins))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            defined.add(node.name)
    # A name that is rebound from itself (`x = x.clamp()`) is the owner's; that shows when the snippet is executed.
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - defined


@pytest.mark.parametrize(("remedy", "framework"), PYTHON)
def test_python_parses(remedy: Remedy, framework: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an invalid escape is only a warning
        tree = ast.parse(remedy.snippets[framework])
    assert tree.body, "nothing but comments"


@pytest.mark.parametrize("remedy", PYTORCH)
def test_pytorch_needs_only_what_is_at_hand(remedy: Remedy) -> None:
    assert free_names(ast.parse(remedy.snippets["pytorch"])) <= AT_HAND


def is_prototxt(text: str) -> bool:
    try:
        return bool(parse(text, "snippet").root.fields)
    except TextFormatError:
        return False


def is_python(text: str) -> bool:
    try:
        return bool(ast.parse(text).body)
    except SyntaxError:
        return False


@pytest.mark.parametrize("remedy", CAFFE)
def test_caffe_snippets_are_prototxt_python_or_commands(remedy: Remedy) -> None:
    text = remedy.snippets["caffe"]
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    commands = all(line.startswith(SHELL) for line in lines)
    assert lines
    assert commands or is_prototxt(text) or is_python(text)


def test_snippets_that_cannot_work_are_told_from_those_that_can() -> None:
    assert not is_prototxt("layer { name: ")
    assert not is_python("loss = (x")
    assert free_names(ast.parse("import torch\ny = torch.log(prediction)")) == {"prediction"}


# --- execution


def at_hand() -> dict[str, Any]:
    """A small classifier in training: everything finite, on the CPU."""
    import torch

    torch.manual_seed(0)
    x = torch.rand(8, 6) * 1.6 - 0.8
    labels = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])
    model = torch.nn.Sequential(
        torch.nn.Linear(6, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(16, 4)
    )
    logits = model(x)
    return {
        "x": x,
        "labels": labels,
        "batch": {"x": x, "labels": labels},
        "mask": torch.tensor([[True, True, False, False, True, True]] * 8),
        "model": model,
        "logits": logits,
        "loss": torch.nn.functional.cross_entropy(logits, labels),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        "scaler": torch.amp.GradScaler("cpu"),
    }


@pytest.mark.torch
@pytest.mark.parametrize("remedy", PYTORCH)
def test_pytorch_runs(remedy: Remedy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    scope = at_hand()
    model = scope["model"]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Anomaly Detection has been enabled")
        exec(compile(remedy.snippets["pytorch"], remedy.id, "exec"), scope)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    torch.set_anomaly_enabled(False)


@pytest.mark.torch
def test_functions_of_snippets_do_what_they_say() -> None:
    torch = pytest.importorskip("torch")

    def scope_of(remedy: str) -> dict[str, Any]:
        scope = at_hand()
        exec(KB.remedies[remedy].snippets["pytorch"], scope)
        return scope

    values, none = torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3)
    assert float(scope_of("guard-empty-normalizer")["masked_mean"](values, none)) == 0.0
    assert float(scope_of("guard-empty-normalizer")["masked_mean"](values, torch.tensor([0.0, 1.0, 1.0]))) == 2.5
    assert torch.isfinite(scope_of("guard-division")["safe_divide"](values, none)).all()
    assert torch.isfinite(scope_of("guard-standard-deviation")["normalise"](torch.tensor([4.0]))).all()
    assert float(scope_of("smooth-dice")["dice_loss"](none, none)) == 0.0
    same = torch.ones(2, 3, requires_grad=True)
    scope_of("guard-root")["distance"](same, torch.ones(2, 3)).sum().backward()
    assert torch.isfinite(same.grad).all(), "the root of zero has a finite gradient"
    blocked = torch.ones(1, 2, 3, dtype=torch.bool)
    assert not scope_of("unmask-one-key")["open_rows"](blocked).all(dim=-1).any()
    attention = scope_of("use-finite-mask-value")["masked_softmax"](torch.zeros(1, 2, 3), blocked)
    assert torch.isfinite(attention).all()
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [5.0, 5.0, 5.0, 9.0], [-4.0, 2.0, 30.0, 40.0]])
    kept, keep = scope_of("repair-boxes")["clean_boxes"](boxes, 20, 20)
    assert keep.tolist() == [True, False, True]
    assert float(kept.max()) <= 20.0
    mask = torch.tensor([0, 255, 255])
    assert scope_of("convert-mask-values")["binary_mask"](mask).tolist() == [0.0, 1.0, 1.0]


# --- edits of the owner's files


def documents(kind: str) -> list[Document]:
    found = [parse(path.read_text("utf-8"), str(path)) for path in (NETS if kind == "net" else SOLVERS)]
    return [*found, parse(LIST_OF_IMAGES, "list")] if kind == "net" else found


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[Document]]:
    return {kind: documents(kind) for kind in ("net", "solver")}


@pytest.mark.parametrize("edit", EDITS)
def test_edit_changes_a_shipped_file_and_leaves_it_readable(edit: Edit, corpus: dict[str, list[Document]]) -> None:
    changed = 0
    for document in corpus[edit.file]:
        found = list(read_net(document).layers) if edit.file == "net" else []
        new = apply_edits(document, [edit], found)
        if new == document.text:
            continue
        changed += 1
        again = parse(new, document.file)
        if edit.file == "net":
            assert [layer.name for layer in read_net(again).layers] == [layer.name for layer in found]
        else:
            assert read_solver(again)
        if edit.action != "scale":
            assert apply_edits(again, [edit], read_net(again).layers if edit.file == "net" else ()) == new
        kept = sum(line in new.splitlines() for line in document.text.splitlines())
        assert kept >= len(document.text.splitlines()) - len(found) - 1, "other lines stay as they are"
        if changed == 3:
            break
    assert changed, "no shipped file can be edited so"
