"""The arguments of a training over all its files: look-up, optimizer, number format; and how evidence is made of them.

Shared by `detectors.configs` and `detectors.darknet`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from nandoctor.detectors.view import number
from nandoctor.diagnosis import Evidence, Note
from nandoctor.readers.settings import Setting, TrainingConfig
from nandoctor.source import Location, printable

Arg = str | float | int
TINY = 1e-4  # of the usual limit: 1e-7 for Adam, 1e-5 for SGD, as Caffe's check `learning-rate-tiny`
USUAL_DECAY = 0.5  # published recipes lie between 0 and 0.3; Lion takes ten times that of Adam


class Found(NamedTuple):
    """A setting, and the configuration it stands in."""

    config: TrainingConfig
    setting: Setting

    @property
    def at(self) -> Location:
        """Its place."""
        return self.config.where(self.setting)

    @property
    def args(self) -> dict[str, Arg]:
        """Name and value for a message."""
        return {"name": printable(self.setting.name)[:80], "value": self.setting.text}


class Arguments:
    """The configurations of one run together."""

    def __init__(self, configs: Sequence[TrainingConfig]) -> None:
        self.configs = tuple(configs)

    def find(self, *names: str) -> Found | None:
        """The setting of the first of these names, in the first file that has it."""
        for name in names:
            for config in self.configs:
                if (setting := config.find(name)) is not None:
                    return Found(config, setting)
        return None

    def number(self, *names: str) -> tuple[Found, float] | None:
        """The first of these settings that holds a number; `auto` in one file leaves the word to another."""
        for name in names:
            for config in self.configs:
                setting = config.find(name)
                if setting is not None and (value := setting.number) is not None:
                    return Found(config, setting), value
        return None

    @property
    def optimizer(self) -> str:
        """The optimizer's name in lower case: `adamw_torch`, `torch.optim.SGD`; empty if it is not given."""
        found = self.find(*_OPTIMIZER)
        text = found.setting.text.lower() if found is not None else ""
        return "" if text in ("auto", "null", "none") else text.rpartition(".")[2]

    @property
    def adapts(self) -> bool:
        """Whether only an adapter (LoRA) is trained."""
        return self.find(*_ADAPTER) is not None and not self._full

    @property
    def _full(self) -> bool:
        found = self.find("adapter", "finetuning_type", "use_peft", "use_lora")
        return found is not None and (found.setting.on is False or found.setting.text.lower() == "full")


_OPTIMIZER = (
    "optimizer.type", "optimizer.name", "optimizer.class_path", "optimizer._target_", "optimizer._name", "optim.name",
    "optim._target_", "optim", "optimizer", "optimizer_type", "optimizer_name", "opt",
)  # fmt: skip
_ADAPTER = ("peft_type", "lora_r", "lora_rank", "lora_alpha", "adapter", "use_lora", "finetuning_type", "lora_target")


def seen(
    observation: str,
    state: str,
    note: str,
    at: Location | Sequence[Location],
    *,
    trust: float = 0.95,
    likelihoods: dict[str, float] | None = None,
    args: Mapping[str, Arg] | None = None,
) -> Evidence:
    """A piece of evidence from a configuration with the sentence `seen:config-<note>`."""
    places = (at,) if isinstance(at, Location) else tuple(at)
    shown: dict[str, Arg] = {k: number(v) if isinstance(v, float) else v for k, v in (args or {}).items()}
    return Evidence(observation, state, "solver", places, Note(f"seen:config-{note}", shown), trust, likelihoods or {})


def faulty(
    state: str, note: str, at: Location | Sequence[Location], *, trust: float, args: Mapping[str, Arg]
) -> Iterator[Evidence]:
    """A setting of the optimizer that cannot be right, for both observations that ask for it."""
    yield seen("optimizer_fault", state, note, at, trust=trust, args=args)
    yield seen("optimizer_settings", "unusual", note, at, trust=trust, args=args)


def graded(rate: float, limits: tuple[float, float], *, sure: bool = True) -> tuple[str, dict[str, float]]:
    """State of `lr_size` and its likelihoods; the borders are soft, as published limits differ tenfold."""
    usual, large = limits
    if rate < TINY * usual:
        odds = {"tiny": 0.8, "usual": 0.3, "large": 0.02, "huge": 0.01}
    elif rate <= usual:
        odds = {"tiny": 0.03, "usual": 0.9, "large": 0.15 if sure else 0.3, "huge": 0.02}
    elif rate <= large:
        odds = {"tiny": 0.01, "usual": 0.15 if sure else 0.3, "large": 0.85, "huge": 0.2}
    else:
        odds = {"tiny": 0.01, "usual": 0.03, "large": 0.3, "huge": 0.93}
    return max(odds, key=lambda state: odds[state]), odds


STORED = ("torch_dtype", "dtype", "model_dtype")
_BY_NAME = {
    "fp16": "fp16", "16-mixed": "fp16", "16": "fp16", "float16": "fp16", "amp": "fp16", "half": "fp16", "o1": "fp16",
    "o2": "fp16", "16-true": "pure_fp16", "o3": "pure_fp16", "bf16": "bf16", "bf16-mixed": "bf16", "bf16-true": "bf16",
    "bfloat16": "bf16", "fp32": "fp32", "32": "fp32", "32-true": "fp32", "float32": "fp32", "no": "fp32",
    "fp8": "bf16", "64": "fp64", "64-true": "fp64", "float64": "fp64", "mixed_float16": "fp16", "tf32": "fp32",
    "mixed_bfloat16": "bf16",
}  # fmt: skip


def number_format(arguments: Arguments) -> tuple[str, Found | None]:
    """(state of `precision`, the setting that says so); nothing if it is open."""
    switches = decided(arguments)
    stored = arguments.find(*STORED)
    loaded = format_named(stored.setting) if stored is not None and not published(stored.config) else ""
    # Weights loaded as float16 and no mixed precision: no fp32 copy anywhere. A quantised base does not count.
    adapter = arguments.adapts or arguments.find("load_in_4bit", "load_in_8bit") is not None
    if loaded == "fp16" and not adapter and (switches is None or switches[0] == "fp32"):
        return "pure_fp16", stored
    if switches is not None:
        return switches
    return (loaded, stored) if loaded else ("", None)


def published(config: TrainingConfig) -> bool:
    """Whether this is the description of a model (config.json beside its weights), not of a training."""
    return config.find("architectures", "transformers_version") is not None


def decided(arguments: Arguments) -> tuple[str, Found] | None:
    """What the trainer's own switches say. `auto` is open, unless another file switches it off."""
    off: Found | None = None
    open_ = False
    for kind in ("bf16", "fp16", "amp"):
        names = {"bf16": ("bf16.enabled", "bfloat16.enabled"), "fp16": ("fp16.enabled",)}.get(kind, ("use_amp",))
        given = [f for name in (kind, *names) if (f := arguments.find(name)) is not None]
        on = next((f for f in given if f.setting.on), None)
        if on is not None:
            return ("bf16" if kind == "bf16" else "fp16"), on
        switched_off = next((f for f in given if f.setting.on is False), None)
        off = off or switched_off
        open_ = open_ or (bool(given) and switched_off is None)
    for name in ("mixed_precision", "precision", "fp16_opt_level"):
        found = arguments.find(name)
        if found is not None and off is None and (state := format_named(found.setting)):
            return state, found
    return ("fp32", off) if off is not None and not open_ else None


def format_named(setting: Setting) -> str:
    """The state of `precision` that a name such as `16-mixed` or `torch.bfloat16` means; empty if none."""
    word = setting.text.lower().removeprefix("torch.").strip()
    return "fp32" if setting.value is False else _BY_NAME.get(word, "")
