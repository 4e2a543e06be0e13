"""Caffe nets and solvers: the text-format tree in Caffe's own terms, with the place of every field."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Literal, TypeVar, overload

from nandoctor.readers.layer_types import ENUM_NUMBERS, KNOWN, SOLVER_TYPES, current_type
from nandoctor.readers.schedule import Policy, Schedule, float32, schedule_of
from nandoctor.readers.textproto import Document, Enum, Field, Message, Value
from nandoctor.readers.upgrade import upgraded_layers
from nandoctor.source import Location

Phase = Literal["TRAIN", "TEST"]
_T = TypeVar("_T")

_NET_FIELDS = frozenset({"layer", "layers", "input", "input_dim", "input_shape", "force_backward", "state"})
_SOLVER_FIELDS = frozenset(
    {
        "net", "train_net", "test_net", "net_param", "train_net_param", "test_net_param", "base_lr", "lr_policy",
        "max_iter", "test_iter", "test_interval", "solver_mode", "solver_type", "stepsize", "stepvalue", "gamma",
        "momentum", "weight_decay", "snapshot", "snapshot_prefix", "random_seed", "display", "average_loss",
        "iter_size", "clip_gradients", "regularization_type", "device_id", "train_state", "test_state",
    }
)  # fmt: skip
# Stages are the caller's business (`caffe train --stage`, train_state) and ignored, but for DIGITS' all-in-one nets.
_DIGITS_STAGES = {"train": "TRAIN", "val": "TEST", "deploy": ""}
_TRUE = frozenset({"true", "True", "t", "1"})
_FALSE = frozenset({"false", "False", "f", "0"})
# Losses whose names do not say so.
_LOSSES = frozenset({"WarpCTC", "Ctc", "SmoothL1"})


def kind_of(document: Document) -> Literal["net", "solver", "unknown"]:
    """Whether a text is a net or a solver, by its top-level fields alone."""
    net = solver = 0
    for field in document.root.fields:
        net += field.name in _NET_FIELDS
        solver += field.name in _SOLVER_FIELDS
    if net == solver:
        return "unknown"
    return "net" if net > solver else "solver"


class _Fields(ABC):
    """Typed access to the fields of a message by dotted path."""

    __slots__ = ("__dict__", "document", "message")

    def __init__(self, document: Document, message: Message) -> None:
        self.document = document
        self.message = message

    @property
    @abstractmethod
    def location(self) -> Location:
        """Where the whole begins."""

    @overload
    def get(self, path: str) -> Value | None: ...
    @overload
    def get(self, path: str, default: _T) -> Value | _T: ...
    def get(self, path: str, default: object = None) -> object:
        """The value of the first field at a path; enum numbers come as names (`pool: 1` is AVE)."""
        field = self.message.field(path)
        return default if field is None else _named(path, field.value)

    def has(self, path: str) -> bool:
        """Whether the field is written."""
        return self.message.field(path) is not None

    def all(self, path: str) -> list[Value]:
        """The values of a repeated field, in file order."""
        return [_named(path, field.value) for field in self.message.every(path)]

    def text(self, path: str, default: str = "") -> str:
        """A string or enum name; `default` if missing or of another kind."""
        value = self.get(path)
        return value if isinstance(value, str) else default

    def number(self, path: str, default: float = 0.0) -> float:
        """A number; `default` if missing or of another kind."""
        return _number(self.get(path), default)

    def numbers(self, path: str) -> list[float]:
        """The numbers of a repeated field."""
        return [_number(value, 0.0) for value in self.all(path) if _is_number(value)]

    def whole(self, path: str, default: int = 0) -> int:
        """An integer; `default` if missing, of another kind or not finite."""
        return _whole(self.get(path), default)

    def wholes(self, path: str) -> list[int]:
        """The integers of a repeated field."""
        return [_whole(value, 0) for value in self.all(path) if _is_number(value)]

    def flag(self, path: str, default: bool = False) -> bool:
        """A boolean in any of the spellings protobuf takes (true, t, 1)."""
        value = self.get(path)
        if isinstance(value, bool):
            return value
        text = str(value)
        return True if text in _TRUE else False if text in _FALSE else default

    def where(self, path: str) -> Location:
        """The place of a field; of the innermost message that could hold it if it is missing; else of the whole."""
        while path:
            field = self.message.field(path)
            if field is not None:
                return self.document.location(field.start)
            path = path.rpartition(".")[0]
        return self.location


class Layer(_Fields):
    """A layer in current terms, whatever the version of the net.

    name, type: current-style type, e.g. "Pooling" also for `pool` and `POOLING`.
    bottoms, tops: blob names in order.
    loss_weights: one per top (one too for a loss without tops); unless given, 1 for a loss's first top, else 0.
    message: its fields in the current form; their offsets are those of the owner's own fields.
    field: the owner's own field; version: 0, 1 or 2.
    """

    __slots__ = ("bottoms", "field", "loss_weights", "name", "tops", "type", "version")

    def __init__(self, document: Document, field: Field, message: Message, version: int) -> None:
        super().__init__(document, message)
        self.field = field
        self.version = version
        self.name = self.text("name")
        kind = self.text("type")
        self.type = current_type(kind, 1) if isinstance(kind, Enum) else kind
        self.bottoms = _texts(message, "bottom")
        self.tops = _texts(message, "top")
        self.loss_weights = self._loss_weights()

    def __repr__(self) -> str:
        return f"Layer({self.name!r}, {self.type!r}, {self.bottoms} -> {self.tops})"

    def _loss_weights(self) -> tuple[float, ...]:
        given = self.numbers("loss_weight")
        if not given and self.is_loss:
            given = [1.0]
        return tuple((given + [0.0] * len(self.tops))[: max(len(self.tops), 1)])

    @property
    def is_loss(self) -> bool:
        """Whether the type is a loss layer, whose first top has loss weight 1 by default."""
        return "Loss" in self.type or self.type in _LOSSES

    @cached_property
    def location(self) -> Location:
        """Where the layer begins."""
        return self.document.location(self.field.start)

    def in_phase(self, phase: str) -> bool:
        """Whether include and exclude rules keep the layer; levels, and stages other than DIGITS', are ignored."""
        if any(_meets(rule, phase, exclude=True) for rule in self.all("exclude")):
            return False
        rules = self.all("include")
        return not rules or any(_meets(rule, phase, exclude=False) for rule in rules)


def _meets(rule: Value, phase: str, exclude: bool) -> bool:
    """NetState against NetStateRule, where the stages and the level of the run are not known."""
    if not isinstance(rule, Message):
        return False
    wanted = rule.get("phase")
    if wanted is not None and _named("include.phase", wanted) != phase:
        return False
    stages = [stage for stage in rule.all("stage") if isinstance(stage, str)]
    if any(_DIGITS_STAGES.get(stage, phase) != phase for stage in stages):
        return False
    return not exclude or all(stage in _DIGITS_STAGES for stage in stages)


class Net:
    """A net.

    version: the oldest form it uses: 0 `layers { layer { .. } }`, 1 `layers { type: CONVOLUTION }`, 2 current.
    layers: in file order, all phases. inputs: blob -> shape of `input`, None where no shape is given.
    unknown_types: layer types in no known fork, each once, in order. state_phase: of `state { phase }`, or "".
    """

    def __init__(self, document: Document, message: Message) -> None:
        self.document = document
        self.message = message
        self.file = document.file
        name = message.get("name")
        self.name = name if isinstance(name, str) else ""
        upgraded = upgraded_layers(message)
        self.layers = tuple(Layer(document, found.field, found.message, found.version) for found in upgraded)
        self.version = min((layer.version for layer in self.layers), default=2)
        self.inputs = _inputs(message)
        self.unknown_types = tuple(
            dict.fromkeys(layer.type for layer in self.layers if layer.type and layer.type not in KNOWN)
        )
        self.state_phase = str(_named("state.phase", message.get("state.phase", "")))

    def __repr__(self) -> str:
        return f"Net({self.name!r}, {len(self.layers)} layers, {self.file})"

    @property
    def location(self) -> Location:
        """Where the net begins: its first field."""
        return self.document.location(self.message.fields[0].start if self.message.fields else self.message.start)

    def for_phase(self, phase: str) -> tuple[Layer, ...]:
        """The layers that a net of this phase has."""
        return tuple(layer for layer in self.layers if layer.in_phase(phase))

    def layer(self, name: str) -> Layer | None:
        """The first layer of that name."""
        return next((layer for layer in self.layers if layer.name == name), None)

    def of_type(self, *types: str) -> list[Layer]:
        """The layers of these types, in file order."""
        return [layer for layer in self.layers if layer.type in types]


class Solver(_Fields):
    """A solver; fields by path as in `get("base_lr")`."""

    @cached_property
    def location(self) -> Location:
        """Where the solver begins: its first field."""
        return self.document.location(self.message.fields[0].start if self.message.fields else self.message.start)

    @property
    def file(self) -> str:
        """The name of the file."""
        return self.document.file

    @property
    def type(self) -> str:
        """The update rule in its current spelling: SGD by default, also from the old `solver_type: ADAM`."""
        named = self.text("type") or self.text("solver_type")
        return SOLVER_TYPES.get(named, named) or "SGD"

    @property
    def net_path(self) -> str:
        """The file of the training net, as written; "" if the solver names none."""
        return self.text("net") or self.text("train_net")

    @property
    def net(self) -> Net | None:
        """The net written inside the solver (`net_param`, `train_net_param`), if any."""
        for path in ("net_param", "train_net_param"):
            message = self.message.get(path)
            if isinstance(message, Message):
                return Net(self.document, message)
        return None

    @cached_property
    def policy(self) -> Policy:
        """The fields that make the learning rate."""
        return Policy(
            name=self.text("lr_policy"),
            base_lr=float32(self.number("base_lr")),
            gamma=float32(self.number("gamma")),
            power=float32(self.number("power")),
            stepsize=self.whole("stepsize"),
            max_iter=self.whole("max_iter"),
            stepvalues=tuple(self.wholes("stepvalue")),
            min_lr=float32(self.number("min_lr")),
            rampup_interval=self.whole("rampup_interval"),
            rampup_lr=float32(self.number("rampup_lr")),
            warmup_iter=self.whole("warmup_iter"),
            warmup_start_lr=float32(self.number("warmup_start_lr")),
            stagelr=tuple(self.numbers("stagelr")),
            stageiter=tuple(self.wholes("stageiter")),
        )

    def learning_rate(self, it: int) -> float:
        """The learning rate at an iteration, as Caffe computes it; nan where it computes none. Never raises."""
        return self.policy.rate(it)

    def schedule(self, horizon: int | None = None) -> Schedule:
        """The learning rate over the whole run (or `horizon` iterations), and what is wrong with it."""
        return schedule_of(self.policy, self.where, horizon)


def read_net(document: Document) -> Net:
    """The net in a document; never refuses: what it does not know it keeps."""
    return Net(document, document.root)


def read_solver(document: Document) -> Solver:
    """The solver in a document; never refuses."""
    return Solver(document, document.root)


def _inputs(message: Message) -> dict[str, tuple[int, ...] | None]:
    names = _texts(message, "input")
    shapes = [
        tuple(_whole(dim, 0) for dim in shape.all("dim")) for shape in message.all("input_shape")
        if isinstance(shape, Message)
    ]  # fmt: skip
    dims = [_whole(dim, 0) for dim in message.all("input_dim")]
    if not shapes:
        shapes = [tuple(dims[i : i + 4]) for i in range(0, len(dims) - 3, 4)]
    return {name: shapes[i] if i < len(shapes) else None for i, name in enumerate(names)}


def _texts(message: Message, name: str) -> tuple[str, ...]:
    return tuple(value for value in message.all(name) if isinstance(value, str))


def _named(path: str, value: Value) -> Value:
    if path in ENUM_NUMBERS and isinstance(value, int):
        return ENUM_NUMBERS[path].get(value, value)
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def _whole(value: object, default: int) -> int:
    number = _number(value, float(default))
    return int(number) if abs(number) < 1 << 63 else default
