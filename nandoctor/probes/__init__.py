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

The folder stands alone: it can be copied to a machine without nandoctor. PyTorch is imported when `watch` is called.
Cost, measured by `benchmarks/probe_cost.py` on one thread of a busy two-core CPU with PyTorch 2.13: 1.2 times the time
for a small convolutional net, 1.5 times for a small transformer, twice the time for a three-layer perceptron. Every
tensor is reduced twice; on a GPU there is one synchronisation per forward and one per backward pass. With `every=50`
the other 49 steps look at nothing but the loss. Watch the model that `torch.compile` has not touched.
Only training steps are watched (`model.training`).
"""

from __future__ import annotations

from .before import check_batch, check_optimizer, check_weights
from .watching import NonFiniteError, Probe, watch

__all__ = ["NonFiniteError", "Probe", "check_batch", "check_optimizer", "check_weights", "watch"]
