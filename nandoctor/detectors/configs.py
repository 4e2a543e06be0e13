"""Training arguments (Hugging Face, DeepSpeed, Lightning, axolotl and the like) into observations.

Several files of one run (training_args.json, ds_config.json, adapter_config.json) are looked at together, so that each
observation is settled once. A value such as `auto`, and a setting that is not there, says nothing unless the program's
default is known. Darknet's cfg has rules of its own: `detectors.darknet`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from nandoctor.detectors import darknet
from nandoctor.detectors.arguments import (
    STORED,
    USUAL_DECAY,
    Arg,
    Arguments,
    Found,
    decided,
    faulty,
    format_named,
    graded,
    number_format,
    published,
    seen,
)
from nandoctor.diagnosis import Evidence
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.facts import Run
from nandoctor.readers.settings import Setting, TrainingConfig, plain_scalar
from nandoctor.source import Location, printable

# Learning rates by optimizer: (usual up to, large up to). Adam: published default 1e-3, fine-tuning 1e-5 to 5e-5; LoRA
# 1e-4 to 5e-4 (its paper and axolotl's examples); Lion a third to a tenth of Adam; SGD 0.1 with batch normalisation;
# Adafactor, Adagrad, LAMB and Muon 0.01 to 0.02; LARS, AdaDelta and the self-sizing ones by their papers.
ADAM = (1e-3, 2e-2)
LIMITS = (
    (r"prodigy|d-?adapt|dowg|mechanic", (1.5, 10.0)),
    (r"adadelta|lars", (10.0, 100.0)),
    (r"lion", (3e-4, 3e-3)),
    (r"adafactor|adagrad|lamb|muon|rmsprop", (2e-2, 2e-1)),
    (r"adam|adabelief|sophia|galore|came|ademamix", ADAM),
    (r"sgd|momentum|nesterov", (1e-1, 1.0)),
)
LORA = (5e-4, 5e-3)
UNKNOWN = (5e-2, 5e-1)  # as `quantities.USUAL_DEFAULT`
HALF_TINY = 5.96e-8  # the smallest number above zero in fp16, 2^-24; half of it and less rounds to 0


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
    found: list[Evidence] = []
    for config in [c for c in configs if c.kind == "darknet"]:
        foreign = run is not None and run.framework not in ("", "darknet")
        found += darknet.observe(config, net_only=foreign)
    given = Arguments([c for c in configs if c.kind != "darknet"])
    if given.configs:
        found += [item for detect in DETECTORS for item in detect(given)]
    if run is not None and (printed := printed_settings(run)) is not None:
        said = [item for detect in OF_SETTINGS for item in detect(Arguments([printed]))]
        found += [msgspec.structs.replace(item, origin="log") for item in said]
    if run is not None and run.framework:
        found = [item for item in found if item.observation != "framework"]
    first: dict[str, Evidence] = {}
    for item in found:
        observation = kb.observations.get(item.observation)
        if observation is not None and observation.state(item.state) is not None:
            first.setdefault(item.observation, item)
    return list(first.values())


def printed_settings(run: Run) -> TrainingConfig | None:
    """The settings that the log prints at its beginning (a dump of arguments), as a configuration; None without any."""
    file = run.files[0] if run.files else ""
    here = {key: printed for key, printed in run.header.items() if not printed.file or printed.file == file}
    if not here or run.framework == "caffe":
        return None
    settings = {
        key.lower(): Setting(key.lower(), plain_scalar(printed.value), printed.line) for key, printed in here.items()
    }
    return TrainingConfig("other", file, settings)


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
    """The number format: as it is stated, else DeepSpeed's default."""
    stated = list(stated_precision(arguments))
    yield from stated
    if not stated and _left_open(arguments):
        at = Location(arguments.configs[0].file, 1, 1)
        if arguments.find("fp16.enabled", "bf16.enabled") is None:
            yield seen("precision", "fp32", "precision-default", at, trust=0.75)


def stated_precision(arguments: Arguments) -> Iterator[Evidence]:
    """The trainer's own switches first, then the type in which the weights are loaded or stored."""
    state, found = number_format(arguments)
    stored = arguments.find(*STORED)
    hint = format_named(stored.setting) if stored is not None and published(stored.config) else ""
    if found is not None:
        trust = 0.95 if state != "fp32" else 0.6 if hint == "fp16" else 0.85
        yield seen("precision", state, "setting", found.at, trust=trust, args=found.args)
    elif stored is not None and hint and not _left_open(arguments):
        # from_pretrained loads fp32 unless told otherwise, so the type of the published weights is a hint.
        hint = "pure_fp16" if hint == "fp16" else hint
        odds = {"fp32": 0.4, "fp16": 0.4, "bf16": 0.3, "pure_fp16": 0.1, hint: 0.6}
        yield seen("precision", hint, "stored", stored.at, likelihoods=odds, args=stored.args)


def _left_open(arguments: Arguments) -> bool:
    """Whether there is a file of DeepSpeed that does not decide the number format."""
    return any(c.kind == "deepspeed" and decided(arguments) is None for c in arguments.configs)


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
        family = ADAM if trainer and not name else UNKNOWN
        name = name or ("AdamW" if trainer else "-")
    if arguments.adapts and family == ADAM:
        family, name = LORA, f"{name}, LoRA"
    state, odds = graded(rate, family, sure=family is not UNKNOWN)
    args: dict[str, Arg] = {"value": rate, "optimizer": name, "limit": family[0], "name": printable(found.setting.name)}
    yield seen("lr_size", state, f"lr-{state}", found.at, likelihoods=odds, args=args)


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
    uphill = arguments.find("maximize", "optimizer.params.maximize")
    if uphill is not None and uphill.setting.on:
        yield from faulty("other", "maximize", uphill.at, trust=0.995, args=uphill.args)
        return
    adam = arguments.find("betas") is not None  # an optimizer's own dump: its eps is nobody else's
    for rule in _RULES:
        for name in (*rule.names, "eps") if adam and rule.state == "epsilon" else rule.names:
            held = arguments.number(name)
            if held is None:
                continue
            looked.append(held[0])
            lion = rule.state == "weight_decay" and "lion" in arguments.optimizer  # its decay is ten times Adam's
            if any(not rule.low <= v <= (10 * rule.high if lion else rule.high) for v in held[0].setting.numbers):
                yield from faulty(rule.state, rule.note, held[0].at, trust=0.985, args=held[0].args)
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


_LOSS_WEIGHT = re.compile(r"(?:.*[._])?(?:lambda|w|weight|coef|coeff|beta)_(?!decay)\w+|\w+_(?:coef|coeff|lambda)")
LOPSIDED = 1e3  # times the smallest of the weights


def loss_weights(arguments: Arguments) -> Iterator[Evidence]:
    """Weights of the parts of a loss that lie far apart."""
    held = [
        (setting.number, config, setting)
        for config in arguments.configs
        for name, setting in config.settings.items()
        if _LOSS_WEIGHT.fullmatch(name) and setting.number is not None and 0 < setting.number < math.inf
    ]
    if not held:
        return
    least, most = min(held, key=lambda h: h[0] or 0.0), max(held, key=lambda h: h[0] or 0.0)
    if (most[0] or 0.0) >= LOPSIDED * min(least[0] or 1.0, 1.0):
        found = Found(most[1], most[2])
        yield seen("loss_weight_setting", "huge", "setting", found.at, trust=0.85, args=found.args)


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


# What says something where only some settings are printed: no setting there means nothing here.
OF_SETTINGS = (
    stated_precision,
    lr_size,
    schedule,
    gradient_clipping,
    warmup,
    optimizer,
    loss_weights,
    starting_point,
    devices,
    architecture,
)
DETECTORS = (
    framework,
    precision,
    lr_size,
    schedule,
    gradient_clipping,
    warmup,
    optimizer,
    loss_weights,
    starting_point,
    devices,
    architecture,
)
