"""Writes instrumented copies of an owner's Caffe net and solver: the first non-finite blob names itself in the next run.

`nandoctor probe --net train_val.prototxt [--solver solver.prototxt]` writes a net with a check-finite layer after every
layer, that layer's source for pycaffe, a net that only reads the data, and a solver that starts before the onset.
"""

from __future__ import annotations
