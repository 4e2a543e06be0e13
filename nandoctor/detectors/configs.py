"""Training arguments (Hugging Face, DeepSpeed, Lightning, axolotl and the like) into observations.

Several files of one run (training_args.json, ds_config.json, adapter_config.json) are looked at together, so that each
observation is settled once. A value such as `auto`, and a setting that is not there, says nothing unless the program's
default is known. Darknet's cfg has rules of its own: `detectors.darknet`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from nandoctor.detectors.view import number
from nandoctor.diagnosis import Evidence, Note
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.config import Setting, TrainingConfig
from nandoctor.readers.facts import Run
from nandoctor.source import Location, printable

Arg = str | float | int
# Learning rates by optimizer: (usual up to, large up to). Adam: published default 1e-3, fine-tuning 1e-5 to 5e-5; LoRA
# 1e-4 to 5e-4 (its paper and axolotl's examples); Lion a third to a tenth of Adam; SGD 0.1 with batch normalisation;
# Adafactor, Adagrad, LAMB and Muon 0.01 to 0.02; LARS, AdaDelta and the self-sizing ones by their papers.
LIMITS = (
    (r"prodigy|d-?adapt|dowg|mechanic", (1.5, 10.0)),
    (r"adadelta|lars", (10.0, 100.0)),
    (r"lion", (3e-4, 3e-3)),
    (r"adafactor|adagrad|lamb|muon|rmsprop", (2e-2, 2e-1)),
    (r"adam|adabelief|sophia|galore|came|ademamix", (1e-3, 2e-2)),
    (r"sgd|momentum|nesterov", (1e-1, 1.0)),
)
LORA = (5e-4, 5e-3)
UNKNOWN = (5e-2, 5e-1)  # as `quantities.USUAL_DEFAULT`
TINY = 1e-4  # of the usual limit: 1e-7 for Adam, 1e-5 for SGD, as Caffe's check `learning-rate-tiny`
HALF_TINY = 5.96e-8  # the smallest number above zero in fp16, 2^-24; half of it and less rounds to 0
USUAL_DECAY = 0.5  # the largest published decay is 0.3 (ViT); Lion's and SGD's warm restarts stay below 1


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
_RATE = (
    "learning_rate",
    "optimizer.params.lr",
    "optimizer.lr",
    "optim.lr",
    "lr",
    "lr0",
    "base_lr",
    "max_lr",
    "peak_lr",
)
_CLIP = (
    "max_grad_norm", "gradient_clipping", "gradient_clip_val", "grad_clip", "clip_grad", "clip_grad_norm", "clip_norm",
    "gradient_clip", "grad_clip_norm", "clipnorm",
)  # fmt: skip
_WARM = (
    "warmup_steps", "warmup_ratio", "num_warmup_steps", "warmup_num_steps", "lr_warmup_steps", "warmup_epochs",
    "warmup_iters", "warmup_updates", "warmup", "lr_warmup_ratio",
)  # fmt: skip


def observe(kb: KnowledgeBase, configs: Sequence[TrainingConfig], run: Run | None) -> list[Evidence]:
    """Everything the configurations answer; one piece of evidence for each observation the knowledge base has.

    A Darknet cfg beside the log of another program (several PyTorch ports read them) tells about its net only.
    """
    from nandoctor.detectors import darknet

    found: list[Evidence] = []
    for config in [c for c in configs if c.kind == "darknet"]:
        foreign = run is not None and run.framework not in ("", "darknet")
        found += darknet.observe(config, net_only=foreign)
    arguments = Arguments([c for c in configs if c.kind != "darknet"])
    if arguments.configs:
        for detect in DETECTORS:
            found += detect(arguments)
    if run is not None and run.framework:
        found = [item for item in found if item.observation != "framework"]
    first: dict[str, Evidence] = {}
    for item in found:
        observation = kb.observations.get(item.observation)
        if observation is not None and observation.state(item.state) is not None:
            first.setdefault(item.observation, item)
    return list(first.values())


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


def framework(arguments: Arguments) -> Iterator[Evidence]:
    """Whose arguments these are. DeepSpeed's file may serve any trainer; `auto` is Hugging Face's."""
    config = arguments.configs[0]
    at = Location(config.file, 1, 1)
    kinds = {c.kind for c in arguments.configs}
    auto = any(setting.value == "auto" for c in arguments.configs for setting in c.settings.values())
    if "huggingface" in kinds or ("deepspeed" in kinds and auto):
        yield seen("framework", "hf", "framework", at, trust=0.85, args={"name": "Hugging Face"})
    elif "deepspeed" in kinds:
        odds = {"llm_trainer": 0.5, "hf": 0.3, "pytorch": 0.4}
        yield seen("framework", "llm_trainer", "framework", at, likelihoods=odds, args={"name": "DeepSpeed"})
    elif arguments.find("gradient_clip_val", "accumulate_grad_batches", "trainer.precision") is not None:
        yield seen("framework", "lightning", "framework", at, trust=0.85, args={"name": "Lightning"})
    elif arguments.find("lr0") is not None and arguments.find("warmup_bias_lr") is not None:
        yield seen("framework", "detection_toolbox", "framework", at, trust=0.85, args={"name": "Ultralytics"})


def precision(arguments: Arguments) -> Iterator[Evidence]:
    """The number format: the trainer's own switches first, then the type in which the weights are loaded or stored."""
    state, found = number_format(arguments)
    stored = arguments.find(*_STORED)
    hint = _format_named(stored.setting) if stored is not None and _published(stored.config) else ""
    if found is None and not any(c.kind == "deepspeed" and _decided(arguments) is None for c in arguments.configs):
        if stored is not None and hint:
            # from_pretrained loads fp32 unless told otherwise, so the type of the published weights is a hint.
            hint = "pure_fp16" if hint == "fp16" else hint
            odds = {"fp32": 0.4, "fp16": 0.4, "bf16": 0.3, "pure_fp16": 0.1, hint: 0.6}
            yield seen("precision", hint, "stored", stored.at, likelihoods=odds, args=stored.args)
    elif found is None:
        at = Location(arguments.configs[0].file, 1, 1)
        if arguments.find("fp16.enabled", "bf16.enabled") is None:
            yield seen("precision", "fp32", "precision-default", at, trust=0.75)
    else:
        trust = 0.95 if state != "fp32" else 0.6 if hint == "fp16" else 0.85
        yield seen("precision", state, "setting", found.at, trust=trust, args=found.args)


_STORED = ("torch_dtype", "dtype", "model_dtype")
_BY_NAME = {
    "fp16": "fp16", "16-mixed": "fp16", "16": "fp16", "float16": "fp16", "amp": "fp16", "half": "fp16", "o1": "fp16",
    "o2": "fp16", "16-true": "pure_fp16", "o3": "pure_fp16", "bf16": "bf16", "bf16-mixed": "bf16", "bf16-true": "bf16",
    "bfloat16": "bf16", "fp32": "fp32", "32": "fp32", "32-true": "fp32", "float32": "fp32", "no": "fp32",
    "fp8": "bf16", "64": "fp64", "64-true": "fp64", "float64": "fp64", "mixed_float16": "fp16", "tf32": "fp32",
    "mixed_bfloat16": "bf16",
}  # fmt: skip


def number_format(arguments: Arguments) -> tuple[str, Found | None]:
    """(state of `precision`, the setting that says so); nothing if it is open."""
    decided = _decided(arguments)
    stored = arguments.find(*_STORED)
    loaded = _format_named(stored.setting) if stored is not None and not _published(stored.config) else ""
    # Weights loaded as float16 and no mixed precision: no fp32 copy anywhere. A quantised base does not count.
    adapter = arguments.adapts or arguments.find("load_in_4bit", "load_in_8bit") is not None
    if loaded == "fp16" and not adapter and (decided is None or decided[0] == "fp32"):
        return "pure_fp16", stored
    if decided is not None:
        return decided
    return (loaded, stored) if loaded else ("", None)


def _published(config: TrainingConfig) -> bool:
    """Whether this is the description of a model (config.json beside its weights), not of a training."""
    return config.find("architectures", "transformers_version") is not None


def _decided(arguments: Arguments) -> tuple[str, Found] | None:
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
        if found is not None and off is None and (state := _format_named(found.setting)):
            return state, found
    return ("fp32", off) if off is not None and not open_ else None


def _format_named(setting: Setting) -> str:
    word = setting.text.lower().removeprefix("torch.").strip()
    return "fp32" if setting.value is False else _BY_NAME.get(word, "")


def lr_size(arguments: Arguments) -> Iterator[Evidence]:
    """The learning rate against what is usual for the optimizer."""
    held = arguments.number(*_RATE)
    if held is None or not held[1] > 0 or not math.isfinite(held[1]):
        return
    found, rate = held
    name = arguments.optimizer
    family = next((limits for pattern, limits in LIMITS if re.search(pattern, name)), None)
    if family is None:
        trainer = any(c.kind in ("huggingface", "deepspeed") for c in arguments.configs)
        family = LIMITS[4][1] if trainer and not name else UNKNOWN
        name = name or ("AdamW" if trainer else "-")
    if arguments.adapts and family == LIMITS[4][1]:
        family, name = LORA, f"{name}, LoRA"
    state, odds = graded(rate, family, sure=family is not UNKNOWN)
    args: dict[str, Arg] = {"value": rate, "optimizer": name, "limit": family[0], "name": printable(found.setting.name)}
    yield seen("lr_size", state, f"lr-{state}", found.at, likelihoods=odds, args=args)


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


def schedule(arguments: Arguments) -> Iterator[Evidence]:
    """A learning rate that is no usable number, or a schedule that ends before its warm-up."""
    held = arguments.number(*_RATE)
    if held is None:
        return
    found, rate = held
    if not math.isfinite(rate):
        yield seen("schedule", "becomes_nonfinite", "setting", found.at, trust=0.97, args=found.args)
        return
    if rate < 0:
        yield seen("schedule", "becomes_negative", "setting", found.at, trust=0.97, args=found.args)
    elif rate == 0:
        yield seen("schedule", "zero_or_absent", "setting", found.at, trust=0.95, args=found.args)
        return
    kind = arguments.find("lr_scheduler_type", "scheduler.type", "lr_scheduler")
    if rate > 0 and kind is not None and isinstance(kind.setting.value, str) and kind.setting.text != "auto":
        yield seen("schedule", "valid", "setting", kind.at, trust=0.75, args=kind.args)


def gradient_clipping(arguments: Arguments) -> Iterator[Evidence]:
    """Whether the gradient is clipped; DeepSpeed alone clips only if told to."""
    held = arguments.find(*_CLIP)
    if held is None:
        if all(c.kind == "deepspeed" for c in arguments.configs):
            at = Location(arguments.configs[0].file, 1, 1)
            yield seen("gradient_clipping", "no", "clip-none", at, trust=0.75)
        return
    value = held.setting.number
    if value is None and held.setting.on is False:
        value = 0.0
    if value is not None and not math.isnan(value):
        yes = value > 0 and math.isfinite(value)
        yield seen("gradient_clipping", "yes" if yes else "no", "setting", held.at, args=held.args)


def warmup(arguments: Arguments) -> Iterator[Evidence]:
    """Whether the learning rate is warmed up; Hugging Face's `constant` schedule ignores the setting."""
    given = [f for name in _WARM if (f := arguments.find(name)) is not None and f.setting.number is not None]
    on = next((f for f in given if (f.setting.number or 0.0) > 0), None)
    kind = arguments.find("lr_scheduler_type", "lr_scheduler")
    if on is not None and kind is not None and kind.setting.text.lower() == "constant":
        places = (on.at, kind.at)
        yield seen("warmup", "no", "warmup-ignored", places, trust=0.9, args={"policy": kind.setting.text, **on.args})
    elif on is not None:
        yield seen("warmup", "yes", "setting", on.at, args=on.args)
    elif given:
        yield seen("warmup", "no", "setting", given[0].at, trust=0.93, args=given[0].args)


def optimizer(arguments: Arguments) -> Iterator[Evidence]:
    """Momentum, decay, epsilon, accumulation, clip value: the first that cannot be right; else that they are usual."""
    looked: list[Found] = []
    for rule in _RULES:
        for name in rule.names:
            held = arguments.number(name)
            if held is None:
                continue
            looked.append(held[0])
            lion = rule.state == "weight_decay" and "lion" in arguments.optimizer  # its decay is ten times Adam's
            if any(not rule.low <= v <= (10 * rule.high if lion else rule.high) for v in held[0].setting.numbers):
                yield from faulty(rule.state, rule.note, held[0].at, trust=0.95, args=held[0].args)
                return
    epsilon = next((f for f in looked if f.setting.name.rpartition(".")[2] in _EPSILON), None)
    half, told = number_format(arguments)
    if half == "pure_fp16" and told is not None and _adaptive(arguments):
        value = epsilon.setting.number if epsilon is not None else None
        if epsilon is None:
            yield from faulty("epsilon", "epsilon-default", told.at, trust=0.75, args=told.args)
            return
        if value is not None and value <= HALF_TINY / 2:
            yield from faulty("epsilon", "epsilon-half", (epsilon.at, told.at), trust=0.93, args=epsilon.args)
            return
    if len(looked) >= 2:
        shown = {"names": ", ".join(printable(f.setting.name) for f in looked[:4])}
        places = [f.at for f in looked[:4]]
        yield seen("optimizer_fault", "none", "optimizer-usual", places, trust=0.88, args=shown)
        yield seen("optimizer_settings", "usual", "optimizer-usual", places, trust=0.88, args=shown)


def faulty(
    state: str, note: str, at: Location | Sequence[Location], *, trust: float, args: Mapping[str, Arg]
) -> Iterator[Evidence]:
    """A setting of the optimizer that cannot be right, for both observations that ask for it."""
    yield seen("optimizer_fault", state, note, at, trust=trust, args=args)
    yield seen("optimizer_settings", "unusual", note, at, trust=trust, args=args)


class _Rule(NamedTuple):
    """Settings whose numbers must lie between `low` and `high`."""

    names: tuple[str, ...]
    state: str  # of `optimizer_fault` where they do not
    note: str
    low: float
    high: float


_EPSILON = ("adam_epsilon", "adam_eps", "eps", "epsilon", "optim_eps")
_BETAS = ("adam_beta1", "adam_beta2", "adam_betas", "betas", "beta1", "beta2", "momentum", "sgd_momentum")
_ADAM_EPSILON = ("adam_epsilon", "adam_eps", "optim_eps", "optimizer.params.eps", "optimizer.eps", "optim.eps")
_BELOW_ONE = 1.0 - 1e-9
_RULES = (
    _Rule(_BETAS, "momentum", "momentum", 0.0, _BELOW_ONE),
    _Rule(("weight_decay", "optim.wd"), "weight_decay", "decay", 0.0, USUAL_DECAY),
    _Rule(_ADAM_EPSILON, "epsilon", "epsilon-zero", 1e-45, math.inf),
    _Rule(("gradient_accumulation_steps", "accumulate_grad_batches"), "accumulation", "accumulation", 1.0, math.inf),
    _Rule(_CLIP, "clip", "clip-negative", 0.0, math.inf),
)


def _adaptive(arguments: Arguments) -> bool:
    name = arguments.optimizer
    return "adam" in name or "rmsprop" in name or (not name and any(c.kind == "huggingface" for c in arguments.configs))


def starting_point(arguments: Arguments) -> Iterator[Evidence]:
    """Resumed from an own checkpoint, or weights of somebody else."""
    resumed = arguments.find("resume_from_checkpoint", "resume_from", "ckpt_path", "resume", "restore_file")
    if resumed is not None and resumed.setting.on is not False and resumed.setting.text not in ("", "auto"):
        yield seen("starting_point", "resumed", "setting", resumed.at, trust=0.9, args=resumed.args)
        return
    base = arguments.find(
        "base_model", "model_name_or_path", "pretrained_model_name_or_path", "base_model_name_or_path", "_name_or_path"
    )
    if base is None or base.setting.on is False:
        base = arguments.find("pretrained")
    if base is not None and base.setting.on is not False and base.setting.text:
        yield seen("starting_point", "pretrained", "setting", base.at, trust=0.85, args=base.args)


_DEVICES = ("world_size", "num_processes", "n_gpu", "num_gpus", "distributed_world_size", "devices", "gpus", "device")


def devices(arguments: Arguments) -> Iterator[Evidence]:
    """The number of devices: given, or from DeepSpeed's batch sizes (total = per device x accumulation x devices)."""
    for name in _DEVICES:
        found = arguments.find(name)
        if found is None or isinstance(found.setting.value, bool):
            continue
        if name == "device" and len(found.setting.numbers) < 2:
            continue  # one number is the index of a GPU, not a count
        counts = found.setting.numbers
        listed = isinstance(found.setting.value, tuple) or len(counts) > 1
        count = float(len(counts)) if listed else counts[0] if counts else 0.0
        if count >= 1:
            state = "several" if count > 1 else "one"
            yield seen("devices", state, "setting", found.at, trust=0.93 if count > 1 else 0.75, args=found.args)
            return
    total, each = arguments.number("train_batch_size"), arguments.number("train_micro_batch_size_per_gpu")
    steps = arguments.number("gradient_accumulation_steps")
    if total and each and each[1] > 0 and (steps is None or steps[1] > 0):
        count = total[1] / (each[1] * (steps[1] if steps else 1.0))
        if count >= 1 and count == int(count) and (steps is not None or count == 1):
            state = "several" if count > 1 else "one"
            yield seen("devices", state, "world", (total[0].at, each[0].at), trust=0.93, args={"count": int(count)})


def architecture(arguments: Arguments) -> Iterator[Evidence]:
    """Language models say so by the shape of their settings."""
    found = arguments.find("num_attention_heads", "peft_type", "lora_r", "sequence_len", "lora_target")
    if found is not None and found.setting.on is not False:
        yield seen("architecture", "transformer", "setting", found.at, trust=0.85, args=found.args)


DETECTORS = (
    framework,
    precision,
    lr_size,
    schedule,
    gradient_clipping,
    warmup,
    optimizer,
    starting_point,
    devices,
    architecture,
)
