"""The PyTorch probe's `every` where PyTorch is not installed: a stub counts what is measured."""

from __future__ import annotations

import contextlib
import io
import math
import sys
import types
from collections.abc import Callable, Iterator

import pytest

from nandoctor import probes

Hook = Callable[..., None]


class Tensor:
    """As much of a tensor as the probe asks for."""

    dtype, is_sparse, requires_grad = "float32", False, True
    device = types.SimpleNamespace(type="cpu")
    reduced = 0  # how often any of them was

    def __init__(self, value: float) -> None:
        self.value = value
        self.hooks: list[Hook] = []

    def detach(self) -> Tensor:
        return self

    double = float = cpu = all = detach

    def numel(self) -> int:
        return 1

    def dim(self) -> int:
        return 0

    def is_floating_point(self) -> bool:
        return True

    def is_complex(self) -> bool:
        return False

    def item(self) -> float:
        return self.value

    def sum(self) -> int:
        return int(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __invert__(self) -> Tensor:
        return Tensor(not self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __neg__(self) -> Tensor:
        return Tensor(-self.value)

    def __truediv__(self, other: float) -> Tensor:
        return Tensor(self.value / other)

    def register_hook(self, hook: Hook) -> types.SimpleNamespace:
        self.hooks.append(hook)
        return types.SimpleNamespace(remove=self.hooks.clear)


class Module:
    """One layer that multiplies by its weight, or a chain of them."""

    training = True

    def __init__(self, *children: Module) -> None:
        self.children = children
        self.weight = None if children else Tensor(2.0)
        self.pre: list[Hook] = []
        self.post: list[Hook] = []
        self.calls = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        for hook in self.pre:
            hook(self, (x,), {})
        out = x
        for child in self.children:
            out = child(out)
        if self.weight is not None:
            out = Tensor(x.value * self.weight.value)
        for hook in self.post:
            hook(self, (x,), out)
        return out

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        yield "", self
        yield from ((f"layer{number}", child) for number, child in enumerate(self.children))

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def named_parameters(self, recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        if self.weight is not None:
            yield "weight", self.weight

    def register_forward_pre_hook(self, hook: Hook, with_kwargs: bool) -> types.SimpleNamespace:
        self.pre.append(hook)
        return types.SimpleNamespace(remove=self.pre.clear)

    def register_forward_hook(self, hook: Hook) -> types.SimpleNamespace:
        self.post.append(hook)
        return types.SimpleNamespace(remove=self.post.clear)


@pytest.fixture
def reduced(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The values that the probe reduced, in order."""
    seen: list[float] = []

    def aminmax(tensor: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(tensor.value)
        return tensor, tensor

    torch = types.ModuleType("torch")
    stub = {
        "Tensor": Tensor, "float32": "float32", "float64": "float64", "complex128": "complex128",
        "linalg": types.SimpleNamespace(vector_norm=lambda values, order, dtype: values),
        "aminmax": aminmax, "maximum": lambda high, low: high if not high.value < low.value else low,
        "stack": lambda values: types.SimpleNamespace(
            cpu=lambda: types.SimpleNamespace(tolist=lambda: [v.value for v in values]),
            tolist=lambda: [v.value for v in values],
        ),
        "isfinite": lambda tensor: Tensor(math.isfinite(tensor.value)),
        "isnan": lambda tensor: Tensor(math.isnan(tensor.value)),
        "no_grad": contextlib.nullcontext,
    }  # fmt: skip
    for name, value in stub.items():
        setattr(torch, name, value)
    monkeypatch.setitem(sys.modules, "torch", torch)
    return seen


def step(probe: probes.Probe, net: Module, x: float) -> Tensor:
    """A forward pass, the loss, and the gradients of all parameters."""
    loss = probe.loss(net(Tensor(x)))
    for child in net.children:
        for hook in child.weight.hooks if child.weight else ():
            hook(Tensor(0.5))
    return loss


def test_steps_between_are_not_measured(reduced: list[float]) -> None:
    net, out = Module(Module(), Module()), io.StringIO()
    probe = probes.watch(net, every=4, file=out)
    counts = []
    for _ in range(9):
        before = len(reduced)
        step(probe, net, 1.0)
        counts.append(len(reduced) - before)
    assert [bool(count) for count in counts] == [True, False, False, False] * 2 + [True]
    printed = [line for line in out.getvalue().splitlines() if line.endswith(":")]
    assert printed == [f"[probe] step {n}:" for n in (0, 4, 8)]
    assert all(not child.calls - 9 for child in net.children)


def test_without_every_each_step_is_measured(reduced: list[float]) -> None:
    net, out = Module(Module()), io.StringIO()
    probe = probes.watch(net, file=out)
    for _ in range(3):
        before = len(reduced)
        step(probe, net, 1.0)
        assert len(reduced) > before
    assert "step 1:" not in out.getvalue()


def test_a_loss_gone_bad_between_is_traced_in_its_own_step(reduced: list[float]) -> None:
    net, out = Module(Module(), Module()), io.StringIO()
    probe = probes.watch(net, every=10, file=out)
    for _ in range(3):
        step(probe, net, 1.0)
    last = net.children[1].weight
    assert last is not None
    last.value = math.inf
    with pytest.raises(probes.NonFiniteError) as caught:
        step(probe, net, 1.0)
    assert (caught.value.step, caught.value.stage, caught.value.layer) == (3, "weights", "layer1")
    assert net.children[0].calls == 5, "the forward pass of the bad step ran twice"
    assert probe.found is caught.value


def test_a_bad_loss_of_finite_outputs_is_the_losss_own(reduced: list[float]) -> None:
    net = Module(Module())
    probe = probes.watch(net, every=10, stop=False, file=io.StringIO())
    step(probe, net, 1.0)
    net(Tensor(1.0))
    probe.loss(Tensor(math.nan))
    assert probe.found is not None
    assert (probe.found.step, probe.found.stage) == (1, "loss")
    step(probe, net, 1.0)
    assert probe.found.step == 1, "said once"
