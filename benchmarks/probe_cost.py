"""How much slower a PyTorch training is under `nandoctor.probes.watch`: median step with the probe over without.

    python benchmarks/probe_cost.py [--steps 24] [--threads 1] [--device cpu]

Blocks of steps with and without the probe alternate, so that other load on the machine hits both. Needs PyTorch.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from nandoctor.probes import watch

Made = tuple[nn.Module, torch.Tensor, torch.Tensor]
BLOCKS = 4


def cnn() -> Made:
    layers: list[nn.Module] = []
    channels = 3
    for width in (32, 32, 64, 64, 128, 128):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        channels = width
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))
    return net, torch.randn(16, 3, 32, 32), torch.randint(0, 10, (16,))


def mlp() -> Made:
    net = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    return net, torch.randn(256, 64), torch.randint(0, 10, (256,))


class Transformer(nn.Module):
    """Four encoder layers over 64 tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(1000, 128)
        layer = nn.TransformerEncoderLayer(128, 4, 256, batch_first=True, dropout=0)
        self.encoder = nn.TransformerEncoder(layer, 4)
        self.head = nn.Linear(128, 1000)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.encoder(self.embedding(tokens)))
        return logits.flatten(0, 1)


def transformer() -> Made:
    return Transformer(), torch.randint(0, 1000, (8, 64)), torch.randint(0, 1000, (8 * 64,))


def steps(make: Callable[[], Made], every: int | None, count: int, device: str) -> list[float]:
    """Seconds of each step after three to warm up; `every` None: without the probe."""
    torch.manual_seed(0)
    net, inputs, labels = make()
    net, inputs, labels = net.to(device), inputs.to(device), labels.to(device)
    optimizer = torch.optim.SGD(net.parameters(), 0.01)
    probe = None if every is None else watch(net, optimizer, every=every, file=io.StringIO())
    taken = []
    for step in range(count + 3):
        start = time.perf_counter()
        loss = nn.functional.cross_entropy(net(inputs), labels)
        if probe is not None:
            probe.loss(loss)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device != "cpu":
            torch.cuda.synchronize()
        if step >= 3:
            taken.append(time.perf_counter() - start)
    if probe is not None:
        probe.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"PyTorch {torch.__version__}, {given.device}, {given.threads} thread(s), median of {given.steps} steps")
    print(f"{'net':12} {'plain':>9} {'every=0':>8} {'every=1':>8} {'every=50':>8}")
    for name, make in (("cnn", cnn), ("transformer", transformer), ("mlp", mlp)):
        taken: dict[int | None, list[float]] = {None: [], 0: [], 1: [], 50: []}
        for _ in range(BLOCKS):
            for every, times in taken.items():
                times.extend(steps(make, every, max(1, given.steps // BLOCKS), given.device))
        plain = statistics.median(taken.pop(None))
        ratios = "".join(f" {statistics.median(times) / plain:7.2f}x" for times in taken.values())
        print(f"{name:12} {plain * 1000:6.2f} ms{ratios}")


if __name__ == "__main__":
    main()
