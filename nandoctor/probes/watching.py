"""Watching a training: hooks that measure what passes, and the verdict on the first non-finite number."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from importlib import import_module
from typing import Any, TextIO

from .tensors import (
    Line,
    Measured,
    Module,
    Optimizer,
    Tensor,
    measure,
    numbers,
    peak_of,
    plain_name,
    say,
    share,
    tensors_in,
)


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
        every: measure only every n-th step, and print its magnitudes. The others cost little; of them only what goes
            through `loss` is looked at, and a step whose loss is not finite is measured after all, by running its
            forward pass again. What went wrong in a backward pass between is found one step late, in the weights.
            0: measure every step; print the first, the last clean and the bad one.
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
        self._names = {id(module): plain_name(name) or "model" for name, module in model.named_modules()}
        self._history = history
        self._peaks: dict[tuple[str, str, str], deque[float]] = {}
        self._parameters = list(_parameters(model))
        self._step = -1
        self._measuring = True  # this step
        self._again = False  # the forward pass is run once more, to measure it
        self._given: tuple[tuple[Any, ...], dict[str, Any]] | None = None  # to an unmeasured forward pass
        self._depth = 0
        self._order: list[str] = []  # modules in the order of their outputs
        self._forward: list[Measured] = []
        self._backward: list[Measured] = []
        self._lines: list[Line] = []  # of this step
        self._clean: tuple[int, list[Line]] = (-1, [])  # of the last clean step
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
        if self._model.training and not self._measuring:
            if self.found is not None or bool(self._torch.isfinite(value.detach()).all()):
                return value
            self._measure_again()
        measured = measure("Forward", "loss", "loss", "top blob loss data", value)
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
            if not self._again:
                self._begin()
            if not self._measuring:
                self._given = (args, kwargs)
                return
        elif self._depth == 0:
            return  # not measured, or activation checkpointing computes again inside the backward pass
        self._depth += 1
        root = self._depth == 1
        layer = "input" if root else self._name(module)
        kind = "batch" if root else type(module).__name__
        for number, tensor in enumerate(tensors_in((args, kwargs))):
            if tensor is self._last or id(tensor) in self._seen:
                continue
            side = "top" if root else "bottom"
            measured = measure("Forward", layer, kind, f"{side} blob {number} data", tensor)
            if measured is not None:
                self._forward.append(measured)
                self._seen.add(id(tensor))

    def _after(self, module: Module, args: tuple[Any, ...], output: object) -> None:
        if self._depth == 0 or not self._model.training:
            return
        self._depth -= 1
        layer, kind = self._name(module), type(module).__name__
        for number, tensor in enumerate(tensors_in(output)):
            if tensor is self._last:
                continue  # a container hands on what its last child made
            blob = f"top blob {number}"
            measured = measure("Forward", layer, kind, f"{blob} data", tensor)
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
            if not self._measuring:
                return
            measured = measure("Backward", layer, kind, blob, gradient)
            if measured is not None:
                self._backward.append(measured)

        return hook

    # --- the step

    def _begin(self) -> None:
        self._end_backward()
        if self._lines and self.found is None:
            self._clean = (self._step, self._lines)
        self._step += 1
        self._measuring = self._every < 2 or self._step % self._every == 0
        self._given = None
        self._forward, self._lines, self._order = [], [], []
        self._seen.clear()
        self._last = None

    def _measure_again(self) -> None:
        """Runs the forward pass of this step once more, measured: its loss is not finite, and nobody saw why."""
        if self._given is None:
            return
        args, kwargs = self._given
        self._measuring = self._again = True
        try:
            with self._torch.no_grad():
                self._model(*args, **kwargs)
        finally:
            self._again = False

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

    def _judge(self, measured: list[Measured]) -> None:
        """Turns magnitudes into numbers, in one synchronisation, and looks for the first non-finite one."""
        lines = numbers(measured)
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
        if self.found is not None or not self._parameters or not self._measuring:
            return
        peaks = [peak_of(parameter.detach()) for *_, parameter in self._parameters]
        values = self._torch.stack([peak.float().cpu() for peak in peaks]).tolist()
        for (layer, kind, number, name, parameter), value in zip(self._parameters, values):
            if not math.isfinite(value):
                blob = f"param blob {number} {name} data"
                count = share(parameter.detach())
                line = Line("Update", layer, kind, blob, value, value, count)
                self._lines.append(line)
                self._blame(line)
                return

    def _blame(self, bad: Line) -> None:
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

    def _stage(self, bad: Line) -> tuple[str, str]:
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

    # --- printing

    def _print_step(self, *, weights: bool) -> None:
        if self._printed == self._step:
            return
        self._printed = self._step
        of_layer: dict[str, list[Line]] = {}
        if weights:
            for layer, kind, number, name, parameter in self._parameters:
                measured = measure("Forward", layer, kind, f"param blob {number} {name} data", parameter)
                if measured is not None:
                    of_layer.setdefault(layer, []).extend(numbers([measured]))
        for line in self._lines:
            self._print_line(self._step, line)
            if line.phase == "Forward" and line.blob.startswith("top"):
                for parameter_line in of_layer.pop(line.layer, ()):
                    self._print_line(self._step, parameter_line)

    def _print_line(self, step: int, line: Line) -> None:
        if step != self._headed:
            self._headed = step
            self._say(f"step {step}:")
        self._say(f"{line.phase} layer {line.layer} ({line.kind}), {line.blob}: {line.mean:.6g} max {line.peak:.6g}")

    def _say(self, text: str) -> None:
        say(text, self._file)

    def _name(self, module: Module) -> str:
        return self._names.get(id(module), type(module).__name__)


def _parameters(model: Module) -> Iterator[tuple[str, str, int, str, Tensor]]:
    """Owner's name and type, number within it, name, parameter; shared ones once."""
    seen: set[int] = set()
    for layer, module in model.named_modules():
        for number, (name, parameter) in enumerate(module.named_parameters(recurse=False)):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield plain_name(layer) or "model", type(module).__name__, number, name, parameter
