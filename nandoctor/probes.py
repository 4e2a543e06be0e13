"""Finds the first module, tensor and batch of a PyTorch training that goes non-finite, and the way there.

    from nandoctor.probes import watch

    probe = watch(model, optimizer)
    for inputs, labels in loader:
        loss = probe.loss(criterion(model(inputs), labels))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

Lightning: `watch(self, self.trainer.optimizers[0])` in `on_fit_start`. Hugging Face: `watch(trainer.model)` before
`trainer.train()`. Before the training: `check_batch(next(iter(loader)), classes=10)`, `check_weights(model)`,
`check_optimizer(optimizer)`. With a GradScaler pass `amp=True`: it expects gradients to overflow now and then.

What it prints (to stderr, or to `file`) nandoctor reads: the magnitudes of every layer in the first step, in the last
clean one and in the one that went bad, as Caffe's debug_info does, then one line that says what was first.

The file stands alone: it can be copied to a machine without nandoctor. PyTorch is imported when `watch` is called.
Cost, measured by `benchmarks/probe_cost.py` on one thread of a busy two-core CPU with PyTorch 2.13: 1.2 times the time
for a small convolutional net, 1.5 times for a small transformer, twice the time for a three-layer perceptron. Every
tensor is reduced twice; on a GPU there is one synchronisation per forward and one per backward pass. Watch the model
that `torch.compile` has not touched.
Only training steps are watched (`model.training`).
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple, TextIO

# PyTorch need not be there to read this file.
Tensor = Any
Module = Any
Optimizer = Any

MARK = "[probe]"
SAMPLES_SHOWN = 8


class NonFiniteError(FloatingPointError):
    """The training went non-finite; raised where it was found, before the optimizer can spoil the weights.

    stage: input, weights, forward, loss, backward or update. layer, blob: what was first.
    """

    def __init__(self, message: str, step: int, stage: str, layer: str, blob: str) -> None:
        super().__init__(message)
        self.step = step
        self.stage = stage
        self.layer = layer
        self.blob = blob


class _Measured(NamedTuple):
    """A tensor's magnitude: mean and largest absolute value, still on the device."""

    phase: str  # Forward, Backward, Update
    layer: str
    kind: str
    blob: str
    mean: Tensor
    peak: Tensor
    share: str  # "12 nan, 3 inf of 400; samples 3, 17", on the CPU only


class _Line(NamedTuple):
    """The same as numbers."""

    phase: str
    layer: str
    kind: str
    blob: str
    mean: float
    peak: float
    share: str


def watch(
    model: Module,
    optimizer: Optimizer | None = None,
    *,
    every: int = 0,
    stop: bool = True,
    amp: bool = False,
    history: int = 20,
    file: TextIO | None = None,
) -> Probe:
    """Watches a model from now on, until `close`.

    Args:
        model: the module whose forward is called once a step.
        optimizer: then gradients are checked before each update, and weights after it.
        every: also print the magnitudes of every n-th step; 0: of the first, the last clean and the bad one only.
        stop: raise NonFiniteError at the first non-finite number; else say it once and go on.
        amp: gradients may overflow (a GradScaler skips those steps); only activations, loss and weights count.
        history: largest absolute values remembered of each tensor; printed for the one that went bad.
        file: where to print; stderr by default.
    """
    return Probe(model, optimizer, every=every, stop=stop, amp=amp, history=history, file=file)


class Probe:
    """What `watch` returns. `found`: the first non-finite number, once there was one."""

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer | None,
        *,
        every: int,
        stop: bool,
        amp: bool,
        history: int,
        file: TextIO | None,
    ) -> None:
        self._torch = import_module("torch")
        self._model = model
        self._every = every
        self._stop = stop
        self._amp = amp
        self._file = file
        self._names = {id(module): _plain(name) or "model" for name, module in model.named_modules()}
        self._history = history
        self._peaks: dict[tuple[str, str, str], deque[float]] = {}
        self._parameters = list(_parameters(model))
        self._step = -1
        self._depth = 0
        self._order: list[str] = []  # modules in the order of their outputs
        self._forward: list[_Measured] = []
        self._backward: list[_Measured] = []
        self._lines: list[_Line] = []  # of this step
        self._clean: tuple[int, list[_Line]] = (-1, [])  # of the last clean step
        self._printed = self._headed = -1
        self._last: Tensor | None = None
        self._seen: set[int] = set()
        self.found: NonFiniteError | None = None
        self._handles: list[Any] = []
        for module in model.modules():
            self._handles.append(module.register_forward_pre_hook(self._before, with_kwargs=True))
            self._handles.append(module.register_forward_hook(self._after))
        for layer, kind, number, name, parameter in self._parameters:
            if parameter.requires_grad:
                blob = f"param blob {number} {name} diff"
                self._handles.append(parameter.register_hook(self._gradient_hook(layer, kind, blob)))
        if optimizer is not None:
            self._handles.append(optimizer.register_step_pre_hook(lambda *_: self._end_backward()))
            self._handles.append(optimizer.register_step_post_hook(lambda *_: self._check_weights()))

    # --- what the owner calls

    def loss(self, value: Tensor) -> Tensor:
        """Checks the loss, and returns it."""
        measured = self._measure("Forward", "loss", "loss", "top blob loss data", value)
        if measured is not None and self._model.training:
            shown, already = len(self._lines), self._printed == self._step
            self._judge([measured])
            if already:
                for line in self._lines[shown:]:
                    self._print_line(self._step, line)
        return value

    def close(self) -> None:
        """Takes all hooks away; checks the last gradients first."""
        try:
            self._end_backward()
        finally:
            for handle in self._handles:
                handle.remove()
            self._handles.clear()

    detach = close

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self.close()
        else:
            self._backward.clear()
            self.close()

    # --- hooks

    def _before(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self._model.training:
            return
        if module is self._model:
            self._depth = 0  # whatever an exception in the last forward pass left open
            self._begin()
        elif self._depth == 0:
            return  # activation checkpointing computes again inside the backward pass
        self._depth += 1
        root = self._depth == 1
        layer = "input" if root else self._name(module)
        kind = "batch" if root else type(module).__name__
        for number, tensor in enumerate(_tensors((args, kwargs))):
            if tensor is self._last or id(tensor) in self._seen:
                continue
            side = "top" if root else "bottom"
            measured = self._measure("Forward", layer, kind, f"{side} blob {number} data", tensor)
            if measured is not None:
                self._forward.append(measured)
                self._seen.add(id(tensor))

    def _after(self, module: Module, args: tuple[Any, ...], output: object) -> None:
        if self._depth == 0 or not self._model.training:
            return
        self._depth -= 1
        layer, kind = self._name(module), type(module).__name__
        for number, tensor in enumerate(_tensors(output)):
            if tensor is self._last:
                continue  # a container hands on what its last child made
            blob = f"top blob {number}"
            measured = self._measure("Forward", layer, kind, f"{blob} data", tensor)
            if measured is None:
                continue
            self._forward.append(measured)
            self._order.append(layer)
            self._seen.add(id(tensor))
            self._last = tensor
            if tensor.requires_grad:
                tensor.register_hook(self._gradient_hook(layer, kind, f"{blob} diff"))
        if self._depth == 0:
            self._end_forward()

    def _gradient_hook(self, layer: str, kind: str, blob: str) -> Any:
        def hook(gradient: Tensor) -> None:
            measured = self._measure("Backward", layer, kind, blob, gradient)
            if measured is not None:
                self._backward.append(measured)

        return hook

    # --- the step

    def _begin(self) -> None:
        self._end_backward()
        if self._lines and self.found is None:
            self._clean = (self._step, self._lines)
        self._step += 1
        self._forward, self._lines, self._order = [], [], []
        self._seen.clear()
        self._last = None

    def _end_forward(self) -> None:
        self._last = None
        self._seen.clear()
        measured, self._forward = self._forward, []
        self._judge(measured)
        if self._step == 0 or (self._every and self._step % self._every == 0):
            self._print_step(weights=True)

    def _end_backward(self) -> None:
        measured, self._backward = self._backward, []
        if not measured:
            return
        before = len(self._lines)
        already = self._printed == self._step
        self._judge(measured)
        if already:
            for line in self._lines[before:]:
                self._print_line(self._step, line)

    def _judge(self, measured: list[_Measured]) -> None:
        """Turns magnitudes into numbers, in one synchronisation, and looks for the first non-finite one."""
        lines = self._numbers(measured)
        self._lines += lines
        if self.found is not None:
            return
        for line in lines:
            if math.isfinite(line.peak):
                key = (line.phase, line.layer, line.blob)
                if key not in self._peaks:
                    self._peaks[key] = deque(maxlen=self._history)
                self._peaks[key].append(line.peak)
        bad = next((line for line in lines if not math.isfinite(line.peak)), None)
        if bad is None or (self._amp and bad.phase == "Backward"):
            return
        self._blame(bad)

    def _check_weights(self) -> None:
        """After an update: a weight gone bad although its gradient was finite is the optimizer's doing."""
        if self.found is not None or not self._parameters:
            return
        peaks = [self._peak(parameter.detach()) for *_, parameter in self._parameters]
        values = self._torch.stack([peak.float().cpu() for peak in peaks]).tolist()
        for (layer, kind, number, name, parameter), value in zip(self._parameters, values):
            if not math.isfinite(value):
                blob = f"param blob {number} {name} data"
                count = _share(parameter.detach())
                line = _Line("Update", layer, kind, blob, value, value, count)
                self._lines.append(line)
                self._blame(line)
                return

    def _blame(self, bad: _Line) -> None:
        """Prints the last clean step and this one, says what was first, and stops."""
        stage, words = self._stage(bad)
        if self._clean[0] >= 0 and self._clean[0] != self._printed:
            for line in self._clean[1]:
                self._print_line(self._clean[0], line)
        self._print_step(weights=True)
        where = f"layer {bad.layer} ({bad.kind}), {bad.blob}"
        share = f"; {bad.share}" if bad.share else ""
        message = f"first non-finite: step {self._step}, stage {stage}, {where}: {words}{share}"
        self._say(message)
        if peaks := self._peaks.get((bad.phase, bad.layer, bad.blob)):
            values = " ".join(f"{peak:.4g}" for peak in peaks)
            self._say(f"approach: {where}, last {len(peaks)}: {values}")
        self.found = NonFiniteError(message, self._step, stage, bad.layer, bad.blob)
        if self._stop:
            raise self.found

    def _stage(self, bad: _Line) -> tuple[str, str]:
        """Where the number arose, and a sentence about it."""
        if bad.phase == "Update":
            return "update", "gradients were finite, the update was not (optimizer, its state, or the learning rate)"
        if bad.phase == "Backward":
            if bad.blob.startswith("param"):
                return "backward", "the gradient of this parameter; those of the outputs were finite"
            after = self._follower(bad.layer)
            return "backward", f"the forward pass was finite; the derivative behind it is not ({after})"
        if bad.layer == "input":
            return "input", "the batch itself holds it"
        if bad.layer == "loss":
            return "loss", "the outputs were finite; the loss is not"
        if broken := self._bad_parameters(bad.layer):
            return "weights", f"its parameters already hold it ({', '.join(broken)})"
        if bad.blob.startswith("bottom"):
            return "forward", "made by code between the modules: no module's output held it before"
        return "forward", "its inputs and parameters are finite: it arises here"

    def _follower(self, layer: str) -> str:
        """The module whose output came next; its derivative made the gradient."""
        places = [place for place, name in enumerate(self._order) if name == layer]
        following = self._order[places[-1] + 1 :] if places else []
        return f"next: {following[0]}" if following else "next: the loss"

    def _bad_parameters(self, layer: str) -> list[str]:
        return [
            name
            for owner, _, _, name, parameter in self._parameters
            if owner == layer and not bool(self._torch.isfinite(parameter.detach()).all())
        ]

    # --- numbers

    def _measure(self, phase: str, layer: str, kind: str, blob: str, tensor: Tensor) -> _Measured | None:
        torch = self._torch
        values = tensor.detach()
        if not (values.is_floating_point() or values.is_complex()) or values.numel() == 0 or values.is_sparse:
            return None
        wide = torch.float64 if values.dtype in (torch.float64, torch.complex128) else torch.float32
        if values.is_complex():
            values = torch.view_as_real(values)
        mean = torch.linalg.vector_norm(values, 1, dtype=wide) / values.numel()
        peak = self._peak(values)
        # A look at the value costs nothing on the CPU; on a GPU it would wait for the device.
        count = "" if values.device.type != "cpu" or math.isfinite(peak.item()) else _share(values)
        return _Measured(phase, layer, kind, blob, mean, peak, count)

    def _peak(self, values: Tensor) -> Tensor:
        # Hands NaN on like a norm, and takes a twelfth of the time of vector_norm(inf) on a CPU.
        low, high = self._torch.aminmax(values)
        return self._torch.maximum(high, -low)

    def _numbers(self, measured: list[_Measured]) -> list[_Line]:
        if not measured:
            return []
        stacked = self._torch.stack([value.double() for item in measured for value in (item.mean, item.peak)])
        values = stacked.cpu().tolist()
        return [
            _Line(item.phase, item.layer, item.kind, item.blob, values[2 * i], values[2 * i + 1], item.share)
            for i, item in enumerate(measured)
        ]

    # --- printing

    def _print_step(self, *, weights: bool) -> None:
        if self._printed == self._step:
            return
        self._printed = self._step
        of_layer: dict[str, list[_Line]] = {}
        if weights:
            for layer, kind, number, name, parameter in self._parameters:
                measured = self._measure("Forward", layer, kind, f"param blob {number} {name} data", parameter)
                if measured is not None:
                    of_layer.setdefault(layer, []).extend(self._numbers([measured]))
        for line in self._lines:
            self._print_line(self._step, line)
            if line.phase == "Forward" and line.blob.startswith("top"):
                for parameter_line in of_layer.pop(line.layer, ()):
                    self._print_line(self._step, parameter_line)

    def _print_line(self, step: int, line: _Line) -> None:
        if step != self._headed:
            self._headed = step
            self._say(f"step {step}:")
        self._say(f"{line.phase} layer {line.layer} ({line.kind}), {line.blob}: {line.mean:.6g} max {line.peak:.6g}")

    def _say(self, text: str) -> None:
        print(f"{MARK} {text}", file=self._file or sys.stderr, flush=True)

    def _name(self, module: Module) -> str:
        return self._names.get(id(module), type(module).__name__)


def _tensors(found: object) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists, dicts and output objects with attributes of their own (Hugging Face)."""
    if isinstance(found, import_module("torch").Tensor):
        yield found
    elif isinstance(found, dict):
        for value in found.values():
            yield from _tensors(value)
    elif isinstance(found, list | tuple | set):
        for value in found:
            yield from _tensors(value)


def _parameters(model: Module) -> Iterator[tuple[str, str, int, str, Tensor]]:
    """Owner's name and type, number within it, name, parameter; shared ones once."""
    seen: set[int] = set()
    for layer, module in model.named_modules():
        for number, (name, parameter) in enumerate(module.named_parameters(recurse=False)):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield _plain(layer) or "model", type(module).__name__, number, name, parameter


def _plain(name: str) -> str:
    """The owner's name of a module, without what DataParallel and DistributedDataParallel put in front."""
    return "" if name == "module" else name.removeprefix("module.")


# --- before the training


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
                wrong.append(f"batch: {name} non-finite: {_share(values)}")
            rest = values[finite].abs() if values.is_complex() else values[finite]
            low, high = (float(rest.min()), float(rest.max())) if rest.numel() else (math.nan, math.nan)
            _print(f"batch: {name} {kind} {shape}: {low:.6g} to {high:.6g}", file)
            if values.dim() > 1:
                empty = (values.reshape(values.shape[0], -1) == 0).all(1).nonzero().flatten().tolist()
                if empty:
                    wrong.append(f"batch: {name} all zero: {_rows(empty)}")
        elif values.dtype != torch.bool:
            low, high = int(values.min()), int(values.max())
            _print(f"batch: {name} {kind} {shape}: {low} to {high}", file)
            if classes is not None and values.dim() in (0, 1, 3):
                bad = ((values < 0) | (values >= classes)) & (values != ignore)
                if bool(bad.any()):
                    rows = bad.reshape(bad.shape[0] if bad.dim() else 1, -1).any(1).nonzero().flatten().tolist()
                    wrong.append(
                        f"batch: {name} labels out of range: {low} to {high}, {classes} classes; {_rows(rows)}"
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
                wrong.append(f"weights non-finite: {_plain(name)}: {_share(values.detach())}")
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
                wrong.append(f"optimizer: state {name} of parameter {number} non-finite: {_share(value)}")
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


def _share(values: Tensor) -> str:
    """Share of the non-finite elements, and which samples of the batch hold them."""
    torch = import_module("torch")
    bad = ~torch.isfinite(values)
    nan = int(torch.isnan(values).sum())
    total = int(bad.sum())
    text = f"{nan} nan and {total - nan} inf of {values.numel()} ({total / values.numel():.2%})"
    if values.dim() > 1:
        rows = bad.reshape(values.shape[0], -1).any(1).nonzero().flatten().tolist()
        if len(rows) < values.shape[0]:
            text += f"; {_rows(rows)}"
    return text


def _rows(rows: list[int]) -> str:
    more = ", ..." if len(rows) > SAMPLES_SHOWN else ""
    return f"samples {', '.join(str(row) for row in rows[:SAMPLES_SHOWN])}{more}"


def _told(wrong: list[str], file: TextIO | None) -> list[str]:
    for line in wrong:
        _print(line, file)
    return wrong


def _print(text: str, file: TextIO | None) -> None:
    print(f"{MARK} {text}", file=file or sys.stderr, flush=True)
