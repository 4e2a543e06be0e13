"""Diagnoses made by hand, of the kinds the reports must show well, and a tiny knowledge base with their words."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
from msgspec.structs import replace

from nandoctor.diagnosis import (
    Contradiction,
    CouldNotCheck,
    Diagnosis,
    Evidence,
    FileEdit,
    Finding,
    Note,
    Question,
    RankedCause,
    Step,
    Weighed,
)
from nandoctor.kb.load import read_file
from nandoctor.kb.model import Cause, Check, KnowledgeBase, Message, Observation, Remedy
from nandoctor.kb.yamlnode import build, compose
from nandoctor.readers.facts import LayerReading, Reading, Run, Series
from nandoctor.source import Location

TEXTS = Path(__file__).parents[2] / "knowledge" / "texts" / "report.yaml"
SMALL = Path(__file__).with_name("sample_knowledge.yaml")
NAN = math.nan


class SmallKnowledge(msgspec.Struct, forbid_unknown_fields=True):
    """The file `sample_knowledge.yaml`."""

    causes: tuple[Cause, ...]
    observations: tuple[Observation, ...]
    remedies: tuple[Remedy, ...]
    checks: tuple[Check, ...]
    messages: tuple[Message, ...]


def knowledge() -> KnowledgeBase:
    """The shipped words of the reports, and the few causes, remedies and observations that the samples name."""
    data = build(compose(SMALL.read_text(encoding="utf-8"), str(SMALL)), str(SMALL))
    small = msgspec.convert(data, SmallKnowledge)
    shipped = {message.id: message for message in read_file(TEXTS).entity.messages}
    return KnowledgeBase(
        causes={c.id: c for c in small.causes},
        observations={o.id: o for o in small.observations},
        remedies={r.id: r for r in small.remedies},
        dialects={},
        checks={c.id: c for c in small.checks},
        messages=shipped | {m.id: m for m in small.messages},
    )


# --- runs


def series(
    quantity: str,
    role: str,
    values: list[float],
    *,
    file: str = "train.log",
    line: int = 100,
    every: int = 1,
    lines: int = 2,
    steps: bool = True,
) -> Series:
    """A series as a reader makes it, from values printed every `every` steps on every `lines`-th line."""
    readings = tuple(Reading(float(i * every) if steps else None, line + i * lines, v) for i, v in enumerate(values))
    bad = [r for r in readings if not math.isfinite(r.value)]
    first = bad[0] if bad else None
    after = sum(1 for r in readings if first and r.line > first.line and math.isfinite(r.value))
    return Series(quantity, role, file, readings, len(readings), first, len(bad), after)  # type: ignore[arg-type]


def exploding_run() -> Run:
    """Caffe, every tenth iteration: calm at ln(10), then 3.1 times per display, NaN from iteration 150 on."""
    calm = [2.3026 + 0.02 * math.sin(i) for i in range(7)]
    rise = [2.4 * 3.1**i for i in range(1, 9)]
    values = [*calm, *rise] + [NAN] * 86
    loss = series("loss", "loss", values, every=10, line=382)
    lr = series("lr", "lr", [0.5] * 101, every=10, line=384)
    return Run(("train.log",), {"caffe-glog": 404}, "caffe", 700, 0.02, (loss, lr), ended="complete")


def layer_lines() -> tuple[LayerReading, ...]:
    """Two passes of debug_info: the second goes bad at conv2."""
    table = [
        (0.0, {"data": 0.495, "conv1": 0.476, "relu1": 0.24, "conv2": 0.31, "ip1": 0.2, "loss": 2.3}),
        (140.0, {"data": 0.501, "conv1": 310.0, "relu1": 150.0, "conv2": 8.1e6, "ip1": 4e12, "loss": 5.7e4}),
        (150.0, {"data": 0.493, "conv1": 2.2e33, "relu1": 1e33, "conv2": math.inf, "ip1": NAN, "loss": NAN}),
    ]
    out, line = [], 300
    for step, values in table:
        for layer, value in values.items():
            out.append(LayerReading(step, line, "Forward", layer, f"top blob {layer} data", value))
            if layer in ("conv1", "conv2", "ip1"):
                line += 1
                out.append(LayerReading(step, line, "Forward", layer, "param blob 0 data", min(value, 1e30)))
            line += 1
        for layer in ("loss", "ip1", "conv2", "conv1"):
            out.append(LayerReading(step, line, "Backward", layer, f"bottom blob {layer} diff", values[layer] / 100))
            line += 1
    return tuple(out)


def at(file: str, *lines: int) -> tuple[Location, ...]:
    return tuple(Location(file, line) for line in lines)


LR_PATCH = """--- a/solver.prototxt
+++ b/solver.prototxt
@@ -1,5 +1,5 @@
 net: "train_val.prototxt"
 test_iter: 10
-base_lr: 0.5
+base_lr: 0.05
 lr_policy: "fixed"
 momentum: 0.9
"""


def exploding() -> Diagnosis:
    """A growing explosion in Caffe, with an edit of the solver."""
    growth = Weighed(
        "loss_before_nan",
        "growing",
        14.2,
        at("train.log", 396, 398, 410),
        Note("log.growth", {"ratio": 3.1, "steps": 8}),
    )
    overflow = Weighed("nan_onset", "later", 6.1, at("train.log", 410), Note("log.overflow", {"step": 152}))
    lr = Weighed(
        "precision", "fp32", 5.4, at("solver.prototxt", 3), Note("solver.lr", {"value": 0.5, "momentum": 0.9}), "solver"
    )
    told = Weighed("data_finite", "checked_clean", 1.2, (), None, "answer")
    raw = Weighed("input_range", "raw", 4.1, at("train_val.prototxt", 11), Note("net.raw", {"layer": "data"}), "net")
    usual = Weighed(
        "nan_onset", "later", -7.3, at("train.log", 382), Note("log.first-loss", {"value": 2.3026, "classes": 10})
    )
    fix = Step(
        "lower-learning-rate",
        "fix",
        ("learning-rate-too-high",),
        0.74,
        12,
        edits=(FileEdit(Location("solver.prototxt", 3), ("base_lr: 0.5",), ("base_lr: 0.05",)),),
        patch=LR_PATCH,
    )
    zero = Step("zero-lr-run", "experiment", (), 0.0, 3, tells=("learning-rate-too-high", "bad-input-data"))
    scale = Step(
        "normalize-input",
        "fix",
        ("input-not-normalized",),
        0.11,
        12,
        edits=(
            FileEdit(Location("train_val.prototxt", 12), (), ("  transform_param {", "    scale: 0.00390625", "  }")),
        ),
    )
    clip = Step(
        "clip-gradients",
        "fix",
        ("learning-rate-too-high",),
        0.06,
        10,
        masks=True,
        edits=(FileEdit(Location("solver.prototxt", 9), (), ("clip_gradients: 1",)),),
    )
    return Diagnosis(
        "fault",
        (
            RankedCause("learning-rate-too-high", 0.914, "very likely", (growth, overflow, lr, told), ()),
            RankedCause("input-not-normalized", 0.063, "unlikely", (raw,), (usual,)),
            RankedCause("poor-weight-initialization", 0.031, "unlikely", (), (usual,)),
            RankedCause("none-of-these", 0.012, "unlikely"),
            RankedCause("bad-input-data", 0.004, "unlikely"),
            RankedCause("healthy", 0.0001, "unlikely"),
        ),
        (fix, zero, scale, clip),
        (zero, fix, scale),
        (
            Evidence("loss_before_nan", "growing", "log", at("train.log", 396, 398, 410), growth.note),
            Evidence("precision", "fp32", "solver", at("solver.prototxt", 3), lr.note),
            Evidence("input_range", "raw", "net", at("train_val.prototxt", 11), raw.note),
            Evidence("data_finite", "checked_clean", "answer"),
        ),
        findings=(
            Finding(
                "no-mean-no-scale",
                "warning",
                Note("check:no-mean-no-scale", {"layer": "data"}),
                at("train_val.prototxt", 11),
            ),
            Finding("display-coarse", "note", Note("check:display-coarse", {"value": 10}), at("solver.prototxt", 6)),
        ),
        runs=(exploding_run(),),
        could_not_check=(
            CouldNotCheck("first_nonfinite_stage", Note("cannot.debug"), Note("cannot.debug-how")),
            CouldNotCheck("data_finite", Note("cannot.data")),
        ),
        next_question=Question("precision", 0.2, 0.3),
        what_if=(("precision", "fp16", "fp16-overflow"),),
        framework="caffe",
    )


HF_SNIPPET = """args = TrainingArguments(
    ...,
    bf16=True,   # instead of fp16=True: same memory, the range of fp32
    fp16=False,
)
"""


def hidden() -> Diagnosis:
    """Hugging Face: the loss prints 0 while grad_norm is NaN; the remedy is code."""
    loss = series(
        "loss", "loss", [2.71, 2.5, 2.44, 2.31] + [0.0] * 20, line=3, lines=1, every=10, file="logs/run7/train.log"
    )
    norm = series(
        "grad_norm",
        "grad_norm",
        [1.1, 1.4, 9.8, 40.2] + [NAN] * 20,
        line=3,
        lines=1,
        every=10,
        file="logs/run7/train.log",
    )
    run = Run(("logs/run7/train.log", "logs/run7/trainer_state.json"), {"hf-dict": 24}, "hf", 60, 0.1, (loss, norm))
    seen = Weighed("loss_before_nan", "falling", 11.0, at("logs/run7/train.log", 7), Note("log.hidden"))
    half = Weighed("precision", "fp16", 8.0, at("logs/run7/train.log", 1), Note("log.half", {"what": "fp16=True"}))
    plain = Weighed("precision", "fp16", -2.0, at("logs/run7/train.log", 1), half.note)
    said = Weighed("precision", "fp16", 3.0, (), None, "description")
    return Diagnosis(
        "fault",
        (
            RankedCause("fp16-overflow", 0.62, "likely", (seen, half), ()),
            RankedCause("attention-fully-masked", 0.27, "possible", (said,), (plain,)),
            RankedCause("none-of-these", 0.08, "unlikely"),
            RankedCause("bad-input-data", 0.03, "unlikely"),
        ),
        (
            Step("use-bf16", "fix", ("fp16-overflow",), 0.55, 10, snippet=HF_SNIPPET, snippet_framework="hf"),
            Step(
                "unmask-one-key",
                "fix",
                ("attention-fully-masked",),
                0.2,
                20,
                snippet="mask[:, 0] = 1\n",
                snippet_framework="hf",
            ),
            Step("lower-learning-rate", "fix", ("learning-rate-too-high",), 0.01, 12, tried=True),
        ),
        (),
        (Evidence("precision", "fp16", "log", at("logs/run7/train.log", 1)),),
        runs=(run,),
        contradictions=(
            Contradiction(
                "precision",
                Evidence("precision", "fp16", "log", at("logs/run7/train.log", 1)),
                Evidence("precision", "fp32", "answer"),
            ),
        ),
        ruled_out=(
            (
                "learning-rate-too-high",
                Weighed("nan_onset", "first_iteration", -20.0, at("logs/run7/train.log", 3), Note("log.before-update")),
            ),
        ),
        next_question=Question("first_nonfinite_stage", 0.4, 10),
        framework="hf",
    )


def healthy() -> Diagnosis:
    """A training with nothing wrong."""
    values = [2.3 * math.exp(-i / 30) + 0.05 + 0.02 * math.sin(i * 1.7) for i in range(120)]
    run = Run(("train.log",), {"keras": 120}, "keras", 130, 0.0, (series("loss", "loss", values),))
    fall = Weighed(
        "loss_before_nan",
        "falling",
        9.0,
        at("train.log", 100, 338),
        Note("log.falling", {"first": 2.35, "last": 0.112}),
    )
    never = Weighed("nan_onset", "never", 16.0, at("train.log", 338))
    return Diagnosis(
        "healthy",
        (
            RankedCause("healthy", 0.962, "very likely", (never, fall)),
            RankedCause("benign-nan", 0.01, "unlikely"),
            RankedCause("learning-rate-too-high", 0.021, "unlikely"),
        ),
        (),
        (),
        (Evidence("nan_onset", "never", "log", at("train.log", 338)),),
        runs=(run,),
        framework="keras",
    )


def benign() -> Diagnosis:
    """NaN in a metric only."""
    values = [1.2 * math.exp(-i / 10) + 0.1 for i in range(30)]
    run = Run(
        ("train.log",),
        {"pytorch": 60},
        "pytorch",
        80,
        0.0,
        (
            series("loss", "loss", values, lines=3),
            series("IoU/void", "metric", [NAN] * 30, line=101, lines=3),
            series("lr", "lr", [0.001] * 30, line=102, lines=3),
        ),
    )
    return Diagnosis(
        "benign",
        (
            RankedCause(
                "benign-nan", 0.88, "very likely", (Weighed("nan_onset", "never", 12.0, at("train.log", 101)),)
            ),
            RankedCause("healthy", 0.09, "unlikely"),
            RankedCause("bad-input-data", 0.02, "unlikely"),
        ),
        (),
        (),
        (),
        runs=(run,),
        framework="pytorch",
    )


def undetermined() -> Diagnosis:
    """One line of log and no answers."""
    run = Run(
        ("paste.txt",),
        {"plain": 1},
        "",
        3,
        0.5,
        (series("loss", "loss", [NAN], file="paste.txt", line=2, steps=False),),
    )
    return Diagnosis(
        "undetermined",
        (
            RankedCause("none-of-these", 0.31, "possible"),
            RankedCause("learning-rate-too-high", 0.22, "possible"),
            RankedCause("bad-input-data", 0.18, "unlikely"),
            RankedCause("input-not-normalized", 0.11, "unlikely"),
        ),
        (Step("zero-lr-run", "experiment", (), 0.0, 3, tells=("learning-rate-too-high", "bad-input-data")),),
        (),
        (Evidence("nan_onset", "first_iteration", "log", at("paste.txt", 2)),),
        runs=(run,),
        could_not_check=(CouldNotCheck("first_nonfinite_stage", Note("cannot.debug"), Note("cannot.debug-how")),),
        next_question=Question("data_finite", 0.9, 2),
    )


def two_faults() -> Diagnosis:
    """Two planted faults, both on top, with the layers' magnitudes."""
    base = exploding()
    pool = Weighed(
        "nan_onset",
        "later",
        9.4,
        at("train_val.prototxt", 61),
        Note("check:pooling-stride", {"layer": "pool2", "stride": 5, "kernel": 3}),
        "net",
    )
    edit = FileEdit(Location("train_val.prototxt", 61), ("    stride: 5",), ("    stride: 3",))
    first, second = base.causes[0], base.causes[1]
    return replace(
        base,
        causes=(
            replace(first, probability=0.88),
            RankedCause("pooling-stride-exceeds-kernel", 0.83, "very likely", (pool,)),
            second,
            RankedCause("none-of-these", 0.01, "unlikely"),
        ),
        fastest=(
            Step(
                "fix-pooling-stride",
                "fix",
                ("pooling-stride-exceeds-kernel",),
                0.48,
                5,
                edits=(edit,),
                patch="--- a\n+++ b\n",
            ),
            base.fastest[0],
            base.fastest[1],
        ),
        findings=(
            Finding(
                "pooling-stride",
                "error",
                Note("check:pooling-stride", {"layer": "pool2", "stride": 5, "kernel": 3}),
                at("train_val.prototxt", 61),
                "--- a\n+++ b\n",
                (edit,),
                ("pooling-stride-exceeds-kernel",),
            ),
            *base.findings,
        ),
        runs=(replace(base.runs[0], layers=layer_lines()),),
    )


ALL = {
    "exploding": exploding,
    "hidden": hidden,
    "healthy": healthy,
    "benign": benign,
    "undetermined": undetermined,
    "two_faults": two_faults,
}
