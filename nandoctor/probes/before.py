"""Before the training: is the batch, are the weights, is the optimizer as they should be?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib import import_module
from typing import TextIO

from .tensors import Module, Optimizer, Tensor, plain_name, rows_text, say, share


def check_batch(
    batch: object, *, classes: int | None = None, ignore: int = -100, file: TextIO | None = None
) -> list[str]:
    """Looks at one batch as the training gets it: what is non-finite, all zero, or a label out of range.

    Args:
        batch: tensors in tuples, lists and dicts; floating tensors are inputs, one-dimensional integers are labels.
        classes: number of classes; then labels must be 0 to classes - 1.
        ignore: the label that the loss leaves out (`ignore_index`).
        file: where to print; stderr by default.

    Returns:
        what is wrong, a line each, as printed; nothing is printed for a clean batch but its ranges.
    """
    torch = import_module("torch")
    wrong: list[str] = []
    for name, values in _named(batch, ""):
        values = values.detach()  # noqa: PLW2901
        if values.numel() == 0:
            wrong.append(f"batch: {name} is empty")
            continue
        kind = str(values.dtype).removeprefix("torch.")
        shape = "x".join(str(size) for size in values.shape) or "scalar"
        if values.is_floating_point() or values.is_complex():
            finite = torch.isfinite(values)
            if not bool(finite.all()):
                wrong.append(f"batch: {name} non-finite: {share(values)}")
            rest = values[finite].abs() if values.is_complex() else values[finite]
            low, high = (float(rest.min()), float(rest.max())) if rest.numel() else (math.nan, math.nan)
            say(f"batch: {name} {kind} {shape}: {low:.6g} to {high:.6g}", file)
            if values.dim() > 1:
                empty = (values.reshape(values.shape[0], -1) == 0).all(1).nonzero().flatten().tolist()
                if empty:
                    wrong.append(f"batch: {name} all zero: {rows_text(empty)}")
        elif values.dtype != torch.bool:
            low, high = int(values.min()), int(values.max())
            say(f"batch: {name} {kind} {shape}: {low} to {high}", file)
            if classes is not None and values.dim() in (0, 1, 3):
                bad = ((values < 0) | (values >= classes)) & (values != ignore)
                if bool(bad.any()):
                    rows = bad.reshape(bad.shape[0] if bad.dim() else 1, -1).any(1).nonzero().flatten().tolist()
                    wrong.append(
                        f"batch: {name} labels out of range: {low} to {high}, {classes} classes; {rows_text(rows)}"
                    )
    return _told(wrong, file)


def check_weights(model: Module, *, file: TextIO | None = None) -> list[str]:
    """The parameters and buffers (running statistics) that are non-finite, a line each; call it before training.

    Returns:
        what is wrong, as printed.
    """
    torch = import_module("torch")
    seen: set[int] = set()
    wrong: list[str] = []
    for found in (model.named_parameters(), model.named_buffers()):
        for name, values in found:
            if id(values) in seen or values.numel() == 0 or not (values.is_floating_point() or values.is_complex()):
                continue
            seen.add(id(values))
            if not bool(torch.isfinite(values.detach()).all()):
                wrong.append(f"weights non-finite: {plain_name(name)}: {share(values.detach())}")
    return _told(wrong, file)


def check_optimizer(optimizer: Optimizer, *, file: TextIO | None = None) -> list[str]:
    """Settings that cannot work (a number that is not finite, eps 0 with zero gradients) and a non-finite state.

    Returns:
        what is wrong, as printed.
    """
    torch = import_module("torch")
    wrong: list[str] = []
    adaptive = ("betas", "eps")
    for number, group in enumerate(optimizer.param_groups):
        for name, value in group.items():
            if name == "params":
                continue
            for one in value if isinstance(value, tuple | list) else (value,):
                one = float(one) if isinstance(one, torch.Tensor) and one.numel() == 1 else one  # noqa: PLW2901
                if isinstance(one, float) and not math.isfinite(one):
                    wrong.append(f"optimizer: {name} of group {number} is {one}")
        if group.get("eps") == 0 and all(name in group for name in adaptive):
            wrong.append(f"optimizer: eps of group {number} is 0: a gradient of exactly 0 gives 0/0")
        momentum = group.get("momentum", 0)
        if isinstance(momentum, float | int) and momentum >= 1:
            wrong.append(f"optimizer: momentum of group {number} is {momentum}: the steps never die out")
        if any(beta >= 1 for beta in group.get("betas", ()) if isinstance(beta, float | int)):
            wrong.append(f"optimizer: betas of group {number} are {group['betas']}: 1 - beta is 0 or less")
    for number, (_, state) in enumerate(optimizer.state.items()):
        for name, value in state.items():
            if isinstance(value, torch.Tensor) and value.is_floating_point() and not bool(torch.isfinite(value).all()):
                wrong.append(f"optimizer: state {name} of parameter {number} non-finite: {share(value)}")
    return _told(wrong, file)


def _named(found: object, name: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a batch with the path to each: `pixel_values`, `1.labels`; a lone tensor is `tensor`."""
    torch = import_module("torch")
    if isinstance(found, torch.Tensor):
        yield name or "tensor", found
    elif hasattr(found, "items"):
        for key, value in found.items():
            own = "_".join(str(key).split())
            yield from _named(value, f"{name}.{own}" if name else own)
    elif isinstance(found, list | tuple):
        for key, value in enumerate(found):
            yield from _named(value, f"{name}.{key}" if name else str(key))


def _told(wrong: list[str], file: TextIO | None) -> list[str]:
    for line in wrong:
        say(line, file)
    return wrong
