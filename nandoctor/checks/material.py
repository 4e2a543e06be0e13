"""What the checks look at: the training net as a graph, the solver, the log, and what they say together."""

from __future__ import annotations

import math
import re
from functools import cached_property

import msgspec

from nandoctor.readers import series as curves
from nandoctor.readers.caffe import Layer, Net, Solver
from nandoctor.readers.facts import Run
from nandoctor.readers.layer_types import SOURCES
from nandoctor.readers.schedule import Schedule
from nandoctor.readers.shapes import Shapes, infer_shapes
from nandoctor.source import Location

# Layers that hand every value on unchanged, only its place or shape differs.
PASSING = frozenset({"Split", "Flatten", "Reshape", "Permute", "Slice", "Tile", "Crop", "Filter", "BatchReindex"})
# Layers with weights, and the parameter message that holds their fillers.
FILLER_BLOCKS = {
    "Convolution": "convolution_param",
    "Deconvolution": "convolution_param",
    "DepthwiseConvolution": "convolution_param",
    "ConvolutionDepthwise": "convolution_param",
    "DeformableConvolution": "convolution_param",
    "InnerProduct": "inner_product_param",
    "Embed": "embed_param",
    "LSTM": "recurrent_param",
    "RNN": "recurrent_param",
}
BATCH_NORMS = frozenset({"BatchNorm", "BN", "CuDNNBatchNorm", "SyncBN", "BatchNormalization"})
RECURRENT = frozenset({"LSTM", "RNN", "LSTMUnit", "Lstm", "BLSTM", "GRU"})
# Line of "Initializing solver from parameters" in solver.cpp: rc2, Nov 2015, rc3; release 1.0, master of 2020.
ANNOUNCED_AT = {32: "2015", 47: "2015", 48: "2015", 44: "1.0", 45: "1.0"}
FEWEST_LAYERS = 3  # data, weights, loss
# Where these stand the net is read while it trains, not trained.
READ_ONLY = frozenset({"Accuracy", "Silence", "ArgMax", "HDF5Output", "SegAccuracy", "DetectionEvaluate"})


class Range(msgspec.Struct, frozen=True):
    """Smallest and largest value of a blob; sure: made by the layers alone, not by the data."""

    low: float
    high: float
    sure: bool


class LossTop(msgspec.Struct, frozen=True):
    """A top that counts in the objective, and its weight."""

    layer: Layer
    top: str
    weight: float


class Material:
    """Net, solver and log of one run, and what several checks need, computed once."""

    def __init__(
        self,
        net: Net | None = None,
        solver: Solver | None = None,
        run: Run | None = None,
        input_shapes: dict[str, tuple[int, ...]] | None = None,
    ) -> None:
        self.net = net
        self.solver = solver
        self.run = run
        self.input_shapes = input_shapes or {}
        self.schedules: dict[int | None, Schedule] = {}  # by horizon
        # What the detectors' modules compute once for several checks, by layer id.
        self.scales: dict[int, float] = {}
        self.ranges: dict[int, Range] = {}
        self.fans: dict[int, tuple[float, bool]] = {}
        self.learning: dict[int, bool] = {}
        self.tamed: dict[int, bool] = {}

    # --- the graph of the training net

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of the training net, in order."""
        return self.net.for_phase("TRAIN") if self.net else ()

    @cached_property
    def _links(self) -> tuple[dict[int, tuple[Layer | None, ...]], dict[int, list[Layer]]]:
        """By the id of a layer: who made each of its bottoms, and who reads its tops. In-place layers stand in line."""
        current: dict[str, Layer] = {}
        makers: dict[int, tuple[Layer | None, ...]] = {}
        readers: dict[int, list[Layer]] = {}
        for layer in self.layers:
            made = tuple(current.get(blob) for blob in layer.bottoms)
            makers[id(layer)] = made
            for maker in made:
                if maker is not None:
                    readers.setdefault(id(maker), []).append(layer)
            for blob in layer.tops:
                current[blob] = layer
        return makers, readers

    def makers(self, layer: Layer) -> tuple[Layer | None, ...]:
        """The layers that made its bottoms, one for each; None for a net input or a blob nobody makes."""
        return self._links[0].get(id(layer), ())

    def maker(self, layer: Layer, index: int = 0) -> Layer | None:
        """The layer that made one bottom, looking through layers that hand values on unchanged."""
        found = self.makers(layer)
        at = found[index] if index < len(found) else None
        while at is not None and at.type in PASSING:
            inner = self.makers(at)
            at = inner[0] if inner else None
        return at

    def readers(self, layer: Layer) -> list[Layer]:
        """The layers that read its tops."""
        return self._links[1].get(id(layer), [])

    @cached_property
    def learnable(self) -> tuple[Layer, ...]:
        """The layers with weights, in order."""
        return tuple(layer for layer in self.layers if layer.type in FILLER_BLOCKS)

    @cached_property
    def sources(self) -> tuple[Layer, ...]:
        """The layers that bring data into the training net."""
        return tuple(layer for layer in self.layers if not layer.bottoms and (layer.type in SOURCES or layer.tops))

    @cached_property
    def losses(self) -> tuple[LossTop, ...]:
        """Every top with a weight in the objective."""
        return tuple(
            LossTop(layer, layer.tops[i] if i < len(layer.tops) else "", weight)
            for layer in self.layers
            for i, weight in enumerate(layer.loss_weights)
            if weight != 0
        )

    @property
    def trains(self) -> bool:
        """Whether the net has an objective; a deploy file has none."""
        return bool(self.losses)

    @cached_property
    def label_blobs(self) -> frozenset[str]:
        """Blobs of data layers that only losses and metrics read, none of them as prediction."""
        fed: dict[str, bool] = {}
        for layer in self.layers:
            for index, blob in enumerate(layer.bottoms):
                target = (layer.is_loss or layer.type in READ_ONLY) and index > 0
                fed[blob] = fed.get(blob, True) and (target or layer.type == "Silence")
        made = {top for layer in self.sources for top in layer.tops}
        return frozenset(blob for blob in made if fed.get(blob, False))

    def in_place(self, layer: Layer) -> bool:
        """Whether the layer overwrites one of its bottoms."""
        return bool(set(layer.tops) & set(layer.bottoms))

    # --- excerpts

    @cached_property
    def whole_net(self) -> bool:
        """Whether this is a net and not a few layers pasted from one: something feeds it, and it has a few layers.

        What an excerpt does not show says nothing.
        """
        net = self.net
        if net is None or net.document.error is not None:  # glog cuts a dump at 30,000 characters
            return False
        return len(self.layers) >= FEWEST_LAYERS and bool(self.sources or net.inputs)

    @cached_property
    def whole_solver(self) -> bool:
        """Whether this is a solver and not a few lines of one: three of the four things every solver says."""
        solver = self.solver
        if solver is None:
            return False
        said = [bool(solver.net_path or solver.net), *(solver.has(p) for p in ("base_lr", "lr_policy", "max_iter"))]
        return sum(said) >= 3

    # --- sizes

    @cached_property
    def shapes(self) -> Shapes | None:
        """The shapes of the training net, as far as they can be known: from the net, the owner, or the log."""
        if self.net is None:
            return None
        known = self.run.top_shapes if self.run else {}
        return infer_shapes(self.net, "TRAIN", self.input_shapes, known)

    @cached_property
    def batch_size(self) -> tuple[int, Location] | None:
        """Samples per forward pass, and the field that says so."""
        for layer in self.sources:
            for path in ("data_param", "image_data_param", "hdf5_data_param", "window_data_param", "memory_data_param"):
                if layer.has(f"{path}.batch_size"):
                    return layer.whole(f"{path}.batch_size"), layer.where(f"{path}.batch_size")
        return None

    # --- the run

    @cached_property
    def start(self) -> str:
        """`pretrained`, `resumed`, `scratch`, or "" where nothing tells."""
        if self.solver is not None and self.solver.has("weights"):
            return "pretrained"
        run = self.run
        if run is None:
            return ""
        texts = [event.text for event in run.events]
        if any("Resuming from" in text or "restoring" in text.lower() for text in texts) or (
            run.resumed_from.endswith((".solverstate", ".solverstate.h5"))
        ):
            return "resumed"
        if run.resumed_from or any("Finetuning from" in text or "Copying source layer" in text for text in texts):
            return "pretrained"
        # Caffe names the weights it loads between the dumps and iteration 0: only a log with both can be silent.
        complete = run.net_texts and (run.first_step == 0)
        return "scratch" if complete else ""

    @cached_property
    def start_location(self) -> tuple[Location, ...]:
        """The line that tells the start."""
        if self.solver is not None and self.solver.has("weights"):
            return (self.solver.where("weights"),)
        if self.run is None:
            return ()
        marks = ("Resuming from", "Finetuning from", "Copying source layer", "restoring")
        told = [event.location for event in self.run.events if any(mark in event.text for mark in marks)]
        if not told and self.first_loss is not None:
            return (self.first_loss[1],)  # nothing was loaded up to here
        return tuple(told[:1])

    @cached_property
    def era(self) -> str:
        """`1.0` (release 1.0 and later), `2015` (release candidates before it), or "" where the log does not date it.

        The line of solver.cpp that announces the solver's parameters is another one in each version.
        """
        for event in self.run.events if self.run else ():
            found = re.search(r"\bsolver\.cpp:(\d+)\] Initializing solver", event.text)
            if found:
                return ANNOUNCED_AT.get(int(found[1]), "")
        return ""

    @cached_property
    def first_loss(self) -> tuple[float, Location] | None:
        """The first finite training loss the log prints, and its line."""
        if self.run is None:
            return None
        series = curves.main_loss(self.run)
        if series is None:
            return None
        for reading in series.readings:
            if math.isfinite(reading.value):
                return reading.value, Location(series.file, reading.line)
        return None

    # --- the solver

    @property
    def effective_rate(self) -> float | None:
        """base_lr / (1 - momentum) for SGD and Nesterov: what a steady gradient moves a weight by per step."""
        if self.solver is None or not self.solver.has("base_lr"):
            return None
        rate = self.solver.number("base_lr")
        momentum = self.solver.number("momentum")
        if self.solver.type in ("SGD", "Nesterov") and 0 <= momentum < 1:
            rate /= 1 - momentum
        return rate
