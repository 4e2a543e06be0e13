"""The PyTorch probe with real training steps: what it names, what it prints, and that nandoctor reads it."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from nandoctor import probes
from nandoctor.kb.load import load_knowledge
from nandoctor.readers.log import read_text
from nandoctor.readers.samples import failures


def test_torch_is_imported_only_when_watching() -> None:
    code = "import sys, nandoctor.probes; sys.exit('torch' in sys.modules or 'textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_folder_stands_alone() -> None:
    for path in Path(probes.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        imports = [line for line in text.splitlines() if line.strip().startswith(("import ", "from "))]
        assert not [
            line for line in imports if "nandoctor" in line and not line.startswith("    from nandoctor.probes")
        ]


def test_dialect_reads_the_probe() -> None:
    kb = load_knowledge(cache=False)
    assert not [failure for failure in failures(kb) if failure.dialect == "probe"]


torch = pytest.importorskip("torch") if find_spec("torch") else None

if torch is not None:
    from torch import nn

    class Net(nn.Module):
        """Two layers, with room for a fault between them."""

        def __init__(self, between: Callable[[torch.Tensor], torch.Tensor] = lambda h: h) -> None:
            super().__init__()
            self.first = nn.Linear(4, 8)
            self.act = nn.ReLU(inplace=True)
            self.second = nn.Linear(8, 3)
            self.between = between

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.between(self.act(self.first(x))))


def train(
    net: nn.Module,
    steps: int = 6,
    *,
    spoil: Callable[[int, nn.Module, torch.Tensor], torch.Tensor] = lambda step, net, x: x,
    criterion: Callable[[torch.Tensor], torch.Tensor] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    **options: object,
) -> tuple[probes.Probe, str]:
    """A short training under the probe: the probe and what it printed."""
    torch.manual_seed(1)
    out = io.StringIO()
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    optimizer = optimizer or torch.optim.SGD(net.parameters(), 0.1)
    probe = probes.watch(net, optimizer, file=out, **options)
    try:
        for step in range(steps):
            x = spoil(step, net, torch.randn(6, 4))
            output = net(x)
            value = criterion(output) if criterion else nn.functional.cross_entropy(output, labels)
            probe.loss(value).backward()
            optimizer.step()
            optimizer.zero_grad()
        probe.close()
    except probes.NonFiniteError:
        assert probe.found is not None
    return probe, out.getvalue()


@pytest.mark.torch
@pytest.mark.skipif(torch is None, reason="PyTorch is not installed")
class TestWatching:
    def test_clean_run(self) -> None:
        probe, text = train(Net())
        assert probe.found is None
        assert "first non-finite" not in text
        assert "] Forward layer first (Linear), top blob 0 data: " in text
        assert "] Forward layer second (Linear), param blob 1 bias data: " in text
        assert "] Forward layer loss (loss), top blob loss data: " in text
        assert "] Backward layer first (Linear), param blob 0 weight diff: " in text
        assert "step 1:" not in text, "only the first step is printed"

    def test_training_is_not_changed(self) -> None:
        torch.manual_seed(0)
        watched = Net()
        torch.manual_seed(0)
        plain = Net()
        train(watched)
        torch.manual_seed(1)
        optimizer = torch.optim.SGD(plain.parameters(), 0.1)
        for _ in range(6):
            loss = nn.functional.cross_entropy(plain(torch.randn(6, 4)), torch.tensor([0, 1, 2, 0, 1, 2]))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        for one, other in zip(watched.parameters(), plain.parameters(), strict=True):
            assert torch.equal(one, other)

    def test_bad_sample(self) -> None:
        def spoil(step: int, net: nn.Module, x: torch.Tensor) -> torch.Tensor:
            if step == 3:
                x[2, 1] = math.nan
            return x

        probe, text = train(Net(), spoil=spoil)
        assert probe.found is not None
        assert (probe.found.stage, probe.found.step, probe.found.layer) == ("input", 3, "input")
        assert "1 nan and 0 inf of 24 (4.17%); samples 2" in str(probe.found)
        steps = [line for line in text.splitlines() if line.endswith(":")]
        assert steps == [f"[probe] step {n}:" for n in (0, 2, 3)], "the last clean step is shown too"

    def test_weights(self) -> None:
        net = Net()
        with torch.no_grad():
            net.second.weight[0, 0] = math.inf
        probe, _ = train(net)
        assert probe.found is not None
        assert (probe.found.stage, probe.found.layer) == ("weights", "second")
        assert "weight" in str(probe.found)

    def test_code_between_modules(self) -> None:
        probe, _ = train(Net(lambda h: h / (h.sum() * 0)))
        assert probe.found is not None
        assert (probe.found.stage, probe.found.layer) == ("forward", "second")
        assert probe.found.blob.startswith("bottom")

    def test_a_module_that_makes_it(self) -> None:
        class Log(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return torch.log(x * 0)

        net = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), Log(), nn.Linear(4, 3))
        probe, _ = train(net)
        assert probe.found is not None
        assert (probe.found.stage, probe.found.layer) == ("forward", "2")
        assert "inf of" in str(probe.found)

    def test_loss(self) -> None:
        probe, _ = train(Net(), criterion=lambda output: (output.sum() * 0) / 0.0 * 0)
        assert probe.found is not None
        assert (probe.found.stage, probe.found.layer) == ("loss", "loss")

    def test_backward_of_a_root(self) -> None:
        probe, _ = train(Net(lambda h: torch.sqrt(h.abs() * 0 + h.clamp(min=0) * 0)))
        assert probe.found is not None
        assert probe.found.stage == "backward"
        assert "forward pass was finite" in str(probe.found)

    def test_weights_are_saved_before_the_update(self) -> None:
        net = Net(lambda h: torch.sqrt(h.clamp(min=0) * 0))
        train(net)
        assert all(bool(torch.isfinite(p).all()) for p in net.parameters())

    def test_update(self) -> None:
        net = Net()
        probe, _ = train(net, optimizer=torch.optim.SGD(net.parameters(), lr=math.inf))
        assert probe.found is not None
        assert probe.found.stage == "update"

    def test_going_on(self) -> None:
        def spoil(step: int, net: nn.Module, x: torch.Tensor) -> torch.Tensor:
            return x * math.nan if step >= 2 else x

        probe, text = train(Net(), stop=False, spoil=spoil)
        assert probe.found is not None
        assert probe.found.step == 2
        assert text.count("first non-finite") == 1

    def test_mixed_precision_gradients_may_overflow(self) -> None:
        net = Net()
        probe, _ = train(net, 1, amp=True, criterion=lambda output: output.sum() * 1e38 * 0.1 + output.sum() * 3e38)
        assert probe.found is None or probe.found.stage != "backward"

    def test_every(self) -> None:
        _, text = train(Net(), every=2)
        assert {f"step {n}:" in text for n in (0, 2, 4)} == {True}
        assert "step 3:" not in text

    def test_a_fault_between_two_measured_steps(self) -> None:
        def spoil(step: int, net: nn.Module, x: torch.Tensor) -> torch.Tensor:
            return x * math.nan if step == 3 else x

        probe, _ = train(Net(), spoil=spoil, every=5)
        assert probe.found is not None
        assert (probe.found.stage, probe.found.step, probe.found.layer) == ("input", 3, "input")

    def test_validation_passes_are_left_alone(self) -> None:
        out = io.StringIO()
        net = Net()
        probe = probes.watch(net, file=out)
        net.eval()
        net(torch.full((2, 4), math.nan))
        assert not out.getvalue()
        net.train()
        net(torch.zeros(2, 4))
        probe.close()
        assert "step 0:" in out.getvalue()

    def test_close_takes_every_hook_away(self) -> None:
        net = Net()
        probe, _ = train(net, 1)
        assert not probe._handles
        assert all(not m._forward_hooks and not m._forward_pre_hooks for m in net.modules())
        net(torch.full((2, 4), math.nan))

    def test_dicts_tuples_and_recurrent_layers(self) -> None:
        class Odd(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.rnn = nn.LSTM(4, 5, batch_first=True)
                self.head = nn.Linear(5, 3)

            def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
                hidden, _ = self.rnn(batch["x"])
                return {"logits": self.head(hidden[:, -1])}

        net = Odd()
        out = io.StringIO()
        probe = probes.watch(net, file=out)
        net({"x": torch.randn(2, 7, 4), "ids": torch.tensor([1, 2])})["logits"].sum().backward()
        probe.close()
        assert "layer rnn (LSTM), top blob 2 data" in out.getvalue()
        assert "Backward layer head (Linear)" in out.getvalue()

    def test_checkpointed_activations(self) -> None:
        from torch.utils.checkpoint import checkpoint

        net = Net()
        inner = net.second

        class Saving(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.first, self.second = net.first, inner

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return checkpoint(self.second, self.first(x), use_reentrant=False)

        probe, text = train(Saving(), 3)
        assert probe.found is None
        assert text.count("] Forward layer second (Linear), top blob 0 data") == 1

    def test_an_exception_in_the_middle_does_not_confuse_it(self) -> None:
        net = Net()
        probe = probes.watch(net, file=io.StringIO())
        with pytest.raises(RuntimeError):
            net(torch.zeros(2, 5))
        net(torch.zeros(2, 4))
        with pytest.raises(probes.NonFiniteError, match="stage input"):
            net(torch.full((2, 4), math.nan))
        probe.close()

    def test_nandoctor_reads_what_it_prints(self) -> None:
        def spoil(step: int, net: nn.Module, x: torch.Tensor) -> torch.Tensor:
            return x * (math.nan if step == 3 else 1)

        _, text = train(Net(), spoil=spoil)
        kb = load_knowledge(cache=False)
        run = read_text(text, "probe.log", kb)
        assert run.framework == "pytorch"
        assert "probe" in run.dialects
        assert {r.step for r in run.layers} == {0, 2, 3}
        assert [e.kind for e in run.events] == ["probe-input", "probe-approach"]
        bad = next(r for r in run.layers if not math.isfinite(r.value))
        assert (bad.layer, bad.blob, bad.step) == ("input", "top blob 0 data", 3)

    def test_approach_of_an_exploding_net(self) -> None:
        net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
        optimizer = torch.optim.SGD(net.parameters(), lr=1e6)
        labels = torch.randn(6, 3)
        probe, text = train(
            net, 60, optimizer=optimizer, criterion=lambda output: ((output - labels) ** 2).mean(), history=5
        )
        assert probe.found is not None
        approach = next(line for line in text.splitlines() if line.startswith("[probe] approach"))
        values = [float(value) for value in approach.rpartition(": ")[2].split()]
        assert len(values) <= 5
        assert values == sorted(values)
        assert values[-1] > 1e6 * values[0]

    def test_overflow_of_half_precision(self) -> None:
        net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).to(torch.bfloat16)
        with torch.no_grad():
            net[2].weight.fill_(1e38)
            net[0].weight.fill_(1.0)
        out = io.StringIO()
        probe = probes.watch(net, file=out)
        with pytest.raises(probes.NonFiniteError, match=r"stage forward, layer 2 \(Linear\)"):
            net(torch.full((2, 4), 100.0, dtype=torch.bfloat16))
        probe.detach()

    def test_names_without_the_wrapper(self) -> None:
        net = Net()
        with torch.no_grad():
            net.second.weight[0, 0] = math.nan
        probe, _ = train(nn.DataParallel(net))
        assert probe.found is not None
        assert probe.found.layer == "second"

    def test_tied_weights_are_looked_at_once(self) -> None:
        net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3))
        net[1].weight = net[0].weight
        probe, text = train(net, 1)
        assert probe.found is None
        assert text.count("param blob 0 weight diff") == 2

    def test_gradient_scaler(self) -> None:
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), 0.01)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
        out = io.StringIO()
        probe = probes.watch(net, optimizer, amp=True, file=out)
        for _ in range(4):
            loss = probe.loss(net(torch.randn(6, 4)).square().mean() * 100)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
        probe.close()
        assert probe.found is None
        assert scaler.get_scale() < 2.0**127, "there was an overflow"


@pytest.mark.torch
@pytest.mark.skipif(torch is None, reason="PyTorch is not installed")
class TestBeforeTheTraining:
    def test_batch(self) -> None:
        out = io.StringIO()
        pixels = torch.rand(4, 3, 2, 2)
        batch = {"pixels": pixels, "labels": torch.tensor([0, 9, 3, -100])}
        assert probes.check_batch(batch, classes=10, file=out) == []
        assert "[probe] batch: pixels float32 4x3x2x2: 0" in out.getvalue()
        pixels[1] = 0
        pixels[2, 0, 0, 0] = math.nan
        batch["labels"][0] = 10
        assert probes.check_batch(batch, classes=10, file=out) == [
            "batch: pixels non-finite: 1 nan and 0 inf of 48 (2.08%); samples 2",
            "batch: pixels all zero: samples 1",
            "batch: labels labels out of range: -100 to 10, 10 classes; samples 0",
        ]

    def test_weights_and_running_statistics(self) -> None:
        net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        assert probes.check_weights(net, file=io.StringIO()) == []
        net[1].running_var[1] = math.inf
        with torch.no_grad():
            net[0].bias[0] = math.nan
        assert probes.check_weights(net, file=io.StringIO()) == [
            "weights non-finite: 0.bias: 1 nan and 0 inf of 2 (50.00%)",
            "weights non-finite: 1.running_var: 0 nan and 1 inf of 2 (50.00%)",
        ]

    def test_optimizer(self) -> None:
        net = nn.Linear(2, 2)
        optimizer = torch.optim.Adam(net.parameters())
        net(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        assert probes.check_optimizer(optimizer, file=io.StringIO()) == []
        optimizer.param_groups[0].update(lr=math.nan, eps=0, betas=(0.9, 1.0))
        optimizer.state[net.bias]["exp_avg"][0] = math.inf
        found = probes.check_optimizer(optimizer, file=io.StringIO())
        assert found[0] == "optimizer: lr of group 0 is nan"
        assert [line.split(":")[1].split()[0] for line in found] == ["lr", "eps", "betas", "state"]

    def test_nandoctor_reads_it(self) -> None:
        out = io.StringIO()
        net = nn.Linear(2, 2)
        with torch.no_grad():
            net.bias.fill_(math.nan)
        probes.check_batch((torch.full((2, 2), math.inf), torch.tensor([5, 1])), classes=2, file=out)
        probes.check_weights(net, file=out)
        probes.check_optimizer(torch.optim.SGD(net.parameters(), lr=math.inf), file=out)
        run = read_text(out.getvalue(), "probe.log", load_knowledge(cache=False))
        assert {e.kind for e in run.events} == {
            "probe-batch", "probe-labels", "probe-start-weights", "probe-optimizer",
        }  # fmt: skip
