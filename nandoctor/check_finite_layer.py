"""The Python layer that `nandoctor probe` writes for pycaffe. It runs in the owner's Caffe, so it is kept as text.

Plain Python 3.4 and numpy, as old builds of pycaffe have it: no f-strings, no annotations.
"""

from __future__ import annotations

MODULE = "nandoctor_check_finite"
CLASS = "CheckFinite"

SOURCE = '''\
"""A layer that looks for the first NaN or Inf, forward and backward. Written by `nandoctor probe`.

Put it behind a layer, in place (bottom and top are the same blobs):

    layer {
      name: "check" type: "Python" bottom: "conv1" top: "conv1"
      python_param {
        module: "nandoctor_check_finite" layer: "CheckFinite"
        param_str: '{"name": "conv1", "stop": false}'
      }
    }

param_str is JSON:
  name      the layer it watches, and its type
  type
  blobs     names of the blobs, in order; default: numbers
  stop      raise at the first non-finite number, which ends the run; default false
  input     true behind a data layer: forward only, and the samples are counted
  loss      true if a loss reads the blobs
  start     iteration the run starts from (a snapshot); default 0
  iter_size of the solver; default 1

Caffe must be built with WITH_PYTHON_LAYER := 1; this file's folder must be in PYTHONPATH; one GPU at most.
"""
import json
import sys
from collections import deque

import caffe
import numpy as np

HISTORY = 20  # magnitudes remembered of every blob, printed as the approach
SAMPLES = 8  # of a batch, named in a line


class Found(object):
    """What all layers of the process know: whether there was a non-finite number already, and where it is known."""

    first = None
    places = set()


class CheckFinite(caffe.Layer):
    def setup(self, bottom, top):
        # caffe.Layer has its own `blobs` and `type`, which cannot be assigned.
        settings = json.loads(self.param_str) if self.param_str else {}
        self.layer_name = settings.get("name", "unnamed")
        self.layer_type = settings.get("type", "Python")
        self.blob_names = settings.get("blobs", [])
        self.stop = bool(settings.get("stop", False))
        self.input = bool(settings.get("input", False))
        self.loss = bool(settings.get("loss", False))
        self.start = int(settings.get("start", 0))
        self.iter_size = max(1, int(settings.get("iter_size", 1)))
        self.passes = 0
        self.history = {}
        if len(top) not in (0, len(bottom)):
            raise ValueError("%s: as many tops as bottoms are needed, or none" % self.layer_name)

    def reshape(self, bottom, top):
        for source, target in zip(bottom, top):
            if tuple(source.data.shape) != tuple(target.data.shape):
                target.reshape(*source.data.shape)

    def forward(self, bottom, top):
        for index in range(len(bottom)):
            if index < len(top) and top[index] is not bottom[index] and not self.in_place(bottom, top, index):
                top[index].data[...] = bottom[index].data
            self.inspect("input" if self.input else "forward", index, bottom[index].data)
        self.passes += 1

    def backward(self, top, propagate_down, bottom):
        for index in range(len(top)):
            if not propagate_down[index] or self.input:
                continue
            # The gradient arrives in the top; in place the bottom's is the same memory.
            self.inspect("backward", index, top[index].diff)
            if top[index] is not bottom[index] and not self.in_place(bottom, top, index):
                bottom[index].diff[...] = top[index].diff

    def in_place(self, bottom, top, index):
        """Whether two blob objects are one blob: pycaffe may wrap it twice."""
        shares = getattr(np, "may_share_memory", None)
        return shares is not None and shares(bottom[index].data, top[index].data)

    def inspect(self, direction, index, values):
        if values.size == 0:
            return
        peak = float(np.max(np.abs(values)))  # NaN if one of them is
        ring = self.history.setdefault((direction, index), deque(maxlen=HISTORY))
        if peak - peak == 0:
            ring.append(peak)
            return
        place = (self.layer_name, direction, index)
        if place in Found.places:
            return
        Found.places.add(place)
        self.report(direction, index, values, ring)

    def report(self, direction, index, values, ring):
        finite = np.isfinite(values)
        nan = int(np.sum(np.isnan(values)))
        bad = int(values.size - np.sum(finite))
        # Backward comes after its forward pass, which has been counted.
        passes = self.passes - (1 if direction == "backward" else 0)
        step = self.start + passes // self.iter_size
        stage = "loss or backward" if direction == "backward" and self.loss else direction
        blob = self.blob_names[index] if index < len(self.blob_names) else str(index)
        where = "layer %s (%s), top blob %s %s" % (
            "_".join(self.layer_name.split()), self.layer_type, "_".join(blob.split()),
            "diff" if direction == "backward" else "data")
        line = "%s non-finite: step %d, stage %s, %s: %d nan and %d inf of %d (%.2f%%)" % (
            "then" if Found.first else "first", step, stage, where, nan, bad - nan, values.size,
            100.0 * bad / values.size)
        line += self.samples(finite, passes)
        if bad < values.size:
            sizes = np.abs(values[finite])
            # In float32 the sum of large numbers would overflow, and numpy's warning look like the net's own.
            line += "; the others: min %.4g mean %.4g max %.4g" % (
                float(np.min(sizes)), float(np.mean(sizes, dtype="float64")), float(np.max(sizes)))
        if stage == "loss or backward":
            line += "; a loss reads this blob: see whether that loss is finite in this iteration"
        self.say(line)
        if Found.first is None:
            if ring:
                self.say("approach: %s, last %d: %s" % (where, len(ring), " ".join("%.4g" % value for value in ring)))
            Found.first = line
        if self.stop:
            raise FloatingPointError(line)

    def samples(self, finite, passes):
        """Which samples of the batch hold the bad values."""
        if not finite.shape or (len(finite.shape) < 2 and not self.input):
            return ""
        count = finite.shape[0]
        rows = [row for row in range(count) if not np.all(finite[row])]
        if len(rows) == count and not self.input:
            return ""
        more = ", ..." if len(rows) > SAMPLES else ""
        text = "; samples " + ", ".join(str(row) for row in rows[:SAMPLES]) + more
        if self.input:
            read = ", ".join(str(passes * count + row) for row in rows[:SAMPLES]) + more
            text += " (read as number " + read + " from 0)"
        return text

    def say(self, text):
        sys.stderr.write("[probe] " + text + "\\n")
        sys.stderr.flush()
'''
