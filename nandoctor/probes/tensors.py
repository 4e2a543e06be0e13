"""What both probes need: tensors in nested outputs, their magnitudes, shares of non-finite elements, printing."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple, TextIO

# PyTorch need not be there to read this file.
Tensor = Any
Module = Any
Optimizer = Any

MARK = "[probe]"
SAMPLES_SHOWN = 8


class Measured(NamedTuple):
    """A tensor's magnitude: mean and largest absolute value, still on the device."""

    phase: str  # Forward, Backward, Update
    layer: str
    kind: str
    blob: str
    mean: Tensor
    peak: Tensor
    share: str  # "12 nan, 3 inf of 400; samples 3, 17", on the CPU only


class Line(NamedTuple):
    """The same as numbers."""

    phase: str
    layer: str
    kind: str
    blob: str
    mean: float
    peak: float
    share: str


def measure(phase: str, layer: str, kind: str, blob: str, tensor: Tensor) -> Measured | None:
    """The magnitude of a tensor; None for one that has none: integers, empty, sparse."""
    torch = import_module("torch")
    values = tensor.detach()
    if not (values.is_floating_point() or values.is_complex()) or values.numel() == 0 or values.is_sparse:
        return None
    wide = torch.float64 if values.dtype in (torch.float64, torch.complex128) else torch.float32
    if values.is_complex():
        values = torch.view_as_real(values)
    mean = torch.linalg.vector_norm(values, 1, dtype=wide) / values.numel()
    peak = peak_of(values)
    # A look at the value costs nothing on the CPU; on a GPU it would wait for the device.
    spoilt = "" if values.device.type != "cpu" or math.isfinite(peak.item()) else share(values)
    return Measured(phase, layer, kind, blob, mean, peak, spoilt)


def peak_of(values: Tensor) -> Tensor:
    """The largest absolute value, still on the device."""
    torch = import_module("torch")
    # Hands NaN on like a norm, and takes a twelfth of the time of vector_norm(inf) on a CPU.
    low, high = torch.aminmax(values)
    return torch.maximum(high, -low)


def numbers(measured: list[Measured]) -> list[Line]:
    """Magnitudes as numbers, in one synchronisation."""
    if not measured:
        return []
    stacked = import_module("torch").stack([value.double() for item in measured for value in (item.mean, item.peak)])
    values = stacked.cpu().tolist()
    return [
        Line(item.phase, item.layer, item.kind, item.blob, values[2 * i], values[2 * i + 1], item.share)
        for i, item in enumerate(measured)
    ]


def tensors_in(found: object) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists, dicts and output objects with attributes of their own (Hugging Face)."""
    if isinstance(found, import_module("torch").Tensor):
        yield found
    elif isinstance(found, dict):
        for value in found.values():
            yield from tensors_in(value)
    elif isinstance(found, list | tuple | set):
        for value in found:
            yield from tensors_in(value)


def plain_name(name: str) -> str:
    """The owner's name of a module, without what DataParallel and DistributedDataParallel put in front."""
    return "" if name == "module" else name.removeprefix("module.")


def share(values: Tensor) -> str:
    """Share of the non-finite elements, and which samples of the batch hold them."""
    torch = import_module("torch")
    bad = ~torch.isfinite(values)
    nan = int(torch.isnan(values).sum())
    total = int(bad.sum())
    text = f"{nan} nan and {total - nan} inf of {values.numel()} ({total / values.numel():.2%})"
    if values.dim() > 1:
        rows = bad.reshape(values.shape[0], -1).any(1).nonzero().flatten().tolist()
        if len(rows) < values.shape[0]:
            text += f"; {rows_text(rows)}"
    return text


def rows_text(rows: list[int]) -> str:
    """`samples 3, 17`, cut after the first few."""
    more = ", ..." if len(rows) > SAMPLES_SHOWN else ""
    return f"samples {', '.join(str(row) for row in rows[:SAMPLES_SHOWN])}{more}"


def say(text: str, file: TextIO | None) -> None:
    """One line of the probe, to stderr or to a file."""
    print(f"{MARK} {text}", file=file or sys.stderr, flush=True)
