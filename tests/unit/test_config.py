"""Darknet cfg and dumps of training arguments: what is read, at which place, and what it says."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from nandoctor.consultation import Consultation
from nandoctor.detectors import configs as detectors
from nandoctor.diagnosis import Evidence
from nandoctor.errors import TextFormatError, UnreadableError
from nandoctor.ingest import Ingested, Inputs, ingest
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.config import MAX_CONFIG, config_of_text, read_config
from nandoctor.readers.settings import TrainingConfig
from nandoctor.readers.sniff import ConfigForm, config_form, find_files
from nandoctor.source import Location

CORPUS = Path(__file__).parent.parent / "corpus" / "configs"


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    return load_knowledge()


def evidence(kb: KnowledgeBase, *configs: TrainingConfig) -> dict[str, Evidence]:
    return {item.observation: item for item in detectors.observe(kb, configs, None)}


def states(kb: KnowledgeBase, text: str, form: ConfigForm = "json") -> dict[str, str]:
    return {name: item.state for name, item in evidence(kb, config_of_text(text, "f", form)).items()}


def cfg(*lines: str, net: str = "batch=64 subdivisions=16 learning_rate=0.001 burn_in=1000 max_batches=6000") -> str:
    return "\n".join(["[net]", *net.split(), *lines])


HEAD = (
    "[convolutional]", "batch_normalize=1", "filters=24", "[yolo]", "mask=0,1,2", "classes=3", "num=9",
)  # fmt: skip


# --- reading


def test_json_keeps_the_place_of_every_key() -> None:
    config = read_config(CORPUS / "ds_config.json")
    assert config.kind == "deepspeed"
    rate = config.find("lr")
    assert rate is not None
    assert (rate.name, rate.number, rate.line, rate.column) == ("optimizer.params.lr", 2e-5, 9, 7)
    betas = config.find("betas")
    assert betas is not None
    assert (betas.numbers, betas.line) == ((0.9, 0.95), 10)
    assert config.where(rate) == Location(str(CORPUS / "ds_config.json"), 9, 7)


def test_yaml_keeps_places_and_reads_exponents_without_a_dot_as_numbers() -> None:
    config = read_config(CORPUS / "axolotl.yaml")
    rate, half = config.find("learning_rate"), config.find("fp16")
    assert rate is not None
    assert (rate.number, rate.line, rate.column) == (2e-4, 16, 1)
    assert half is not None
    assert half.value is None
    modules = config.find("lora_target_modules")
    assert modules is not None
    assert modules.value == ("q_proj", "v_proj")


def test_darknet_sections_keep_their_lines_and_the_first_of_two_options_counts() -> None:
    config = config_of_text("[net]\nbatch = 6 4 # images\nbatch=1\nwhat\n\n[yolo]\nmask = 3,4,5\n", "f.cfg", "darknet")
    assert [(s.name, s.line) for s in config.sections] == [("net", 1), ("yolo", 6)]
    assert config.sections[0].whole("batch", 1) == 64
    assert config.sections[1].options["mask"].numbers == (3, 4, 5)
    assert len(config.notes) == 2
    assert "f.cfg:3:1: `batch` is given again; line 2 counts" in config.notes[0]
    assert "f.cfg:4:1" in config.notes[1]


def test_a_second_net_section_is_a_note() -> None:
    config = config_of_text("[net]\nbatch=64\n[net]\nbatch=1\n", "f.cfg", "darknet")
    assert config.sections[0].whole("batch", 1) == 64
    assert any("a second [net]; line 1 counts" in note for note in config.notes)


def test_a_key_given_twice_is_a_note_and_groups_of_parameters_are_none() -> None:
    twice = config_of_text('{"lr": 1e-3,\n "lr": 1e-4}', "f", "json")
    assert twice.settings["lr"].number == 1e-4
    assert twice.notes == ("f:2:2: `lr` is given again; the last one counts",)
    groups = config_of_text('{"groups": [{"lr": 1e-3}, {"lr": 1e-4}]}', "f", "json")
    assert groups.settings["groups.lr"].number == 1e-3
    assert not groups.notes


@pytest.mark.parametrize(
    ("text", "form", "place", "problem"),
    [
        ('{"a": 1,\n "b": }', "json", (2, 7), "expected a value"),
        ('{"a": 1\n', "json", (2, 1), "the file ends"),
        ('{"a": 1}\n}', "json", (2, 1), "something follows"),
        ('{"a": [1, 2}', "json", (1, 12), "expected a comma"),
        ('{"a": 1 "b": 2}', "json", (1, 9), "found `b`"),
        ('{"a": 1,}', "json", (1, 9), "expected a key"),
        ("{" * 100_000, "json", (1, 2), "expected a key"),
        ('{"a":' * 100_000, "json", (1, 321), "nested more than 64"),
        ("[" * 100_000, "yaml", (1, 65), "nested more than 64"),
        ("- " * 100_000, "yaml", (1, 129), "nested more than 64"),
        ("a: [1\nb: 2", "yaml", (2, 2), "not valid YAML"),
        ("? [a]\n: b", "yaml", (1, 3), "plain text"),
        ("[net]\n" * 60_000, "darknet", (50_001, 1), "too many sections"),
    ],
)
def test_a_syntax_error_names_its_place(text: str, form: ConfigForm, place: tuple[int, int], problem: str) -> None:
    with pytest.raises(TextFormatError, match=problem) as caught:
        config_of_text(text, "f", form)
    assert caught.value.location == Location("f", *place)


def test_yaml_builds_no_objects_and_unfolds_no_aliases() -> None:
    text = "a: &x [1, 2]\nb: *x\nc: !!python/object/apply:os.system ['true']\nlr: 1\n"
    assert set(config_of_text(text, "f", "yaml").settings) == {"a", "c", "lr"}


@pytest.mark.parametrize(
    "head",
    [
        b"#" + b"\n \t" * 20_000 + b"=", b"{}" + b"\n" * 65_000, b"{" + b'"loss" ' * 9_000, b"#=" + b" " * 65_000,
        b"[" * 65_536, b"#=\n1: " + b"a" * 60_000,
    ],
)  # fmt: skip
def test_hostile_beginnings_are_judged_in_bounded_time(head: bytes) -> None:
    started = time.process_time()
    config_form(head, "x.yaml")
    config_form(head, "x")
    assert time.process_time() - started < 0.5


def test_json_scanner_does_not_backtrack() -> None:
    started = time.process_time()
    with pytest.raises(TextFormatError):
        config_of_text("{" + " " * 200_000 + "x", "f", "json")
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty"),
        (b"[net]\n\0\1\2\3" * 50, "binary"),
        (b"a" * (MAX_CONFIG + 1), "too large"),
        (b"x", "not a train"),
    ],
)
def test_unusable_files_are_refused(tmp_path: Path, data: bytes, problem: str) -> None:
    path = tmp_path / "x.cfg"
    path.write_bytes(data)
    with pytest.raises(UnreadableError, match=problem):
        read_config(path)
    with pytest.raises(UnreadableError, match="no such file"):
        read_config(tmp_path / "y.cfg")


def test_utf16_and_windows_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "net.cfg"
    path.write_bytes(cfg(*HEAD).replace("\n", "\r\n").encode("utf-16"))
    assert read_config(path).sections[0].whole("batch", 1) == 64


# --- recognition


@pytest.mark.parametrize(
    ("text", "name", "form"),
    [
        (cfg(*HEAD), "train.log", "darknet"),
        ('{"learning_rate": 1e-4, "fp16": true, "max_grad_norm": 1}', "x.log", "json"),
        ("learning_rate: 1e-4\nfp16: true\nmax_grad_norm: 1\n", "x.yaml", "yaml"),
        ("learning_rate: 1e-4\nfp16: true\nmax_grad_norm: 1\n", "x.log", ""),
        ('{"learning_rate": 1e-4, "max_steps": 5, "fp16": true, "log_history": []}', "x.json", ""),
        ('{"lr": 1e-4, "optimizer": "adam", "epochs": 3}\n{"step": 1, "loss": 2.0}\n', "x.jsonl", ""),
        ('{"lr": 1e-4, "optimizer": "adam", "epochs": 3, "train_loss": [3.0, 2.0]}', "x.json", ""),
        ('{"vocab_size": 32000, "hidden": 4}', "x.json", ""),
        (cfg(*HEAD) + "\n 1: 463.2, 463.2 avg, 0.0 rate\n", "x.log", ""),
        ("lr: 1e-4\noptimizer: adam\nepochs: 3\nloss: 3.0\nloss: 2.0\n", "x.yaml", ""),
        ("id: x\nanswers:\n  precision: fp16\n  gradient_clipping: 'yes'\n  devices: one\n", "case.yaml", ""),
        ("precision: fp16\ngradient_clipping: 'yes'\n", "answers.yaml", ""),
    ],
)
def test_recognition_by_content(text: str, name: str, form: str) -> None:
    assert config_form(text.encode(), name) == form


def test_nothing_else_of_the_corpus_is_a_configuration() -> None:
    for path in sorted(CORPUS.parent.rglob("*")):
        if path.is_file() and path.parent != CORPUS:
            assert config_form(path.read_bytes()[: 1 << 16], path.name) == "", path


def test_a_folder_gives_its_configurations_apart_from_its_logs(tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text("step 1 loss: 2.0\nstep 2 loss: 1.9\n")
    (tmp_path / "ds_config.json").write_bytes((CORPUS / "ds_config.json").read_bytes())
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0", "model": {}}')
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    image: x\n")
    found = {kind: [Path(p).name for p in paths] for kind, paths in find_files(tmp_path).items()}
    assert found == {"log": ["train.log"], "net": [], "solver": [], "metrics": [], "config": ["ds_config.json"]}


# --- Darknet


def test_a_correct_cfg_raises_no_suspicion(kb: KnowledgeBase) -> None:
    told = {name: item.state for name, item in evidence(kb, read_config(CORPUS / "yolov3-tiny-mask.cfg")).items()}
    assert told == {
        "architecture": "detector",
        "batchnorm": "usual",
        "gradient_clipping": "no",
        "optimizer_fault": "none",
        "optimizer_settings": "usual",
        "lr_size": "usual",
        "schedule": "valid",
        "warmup": "yes",
    }


def test_test_mode_makes_the_rate_huge_and_says_why(kb: KnowledgeBase) -> None:
    told = evidence(kb, read_config(CORPUS / "test-mode.cfg"))
    rate = told["lr_size"]
    assert rate.state == "huge"
    assert [place.line for place in rate.locations] == [18, 3, 4]
    assert rate.note is not None
    assert "test mode" in kb.text(rate.note.id, "en", **rate.note.args)
    assert told["batchnorm"].state == "tiny_batch"


@pytest.mark.parametrize(
    ("net", "state"),
    [
        ("batch=64 learning_rate=0.001 burn_in=1000", "usual"),
        ("batch=64 learning_rate=0.00261 burn_in=1000", "usual"),
        ("batch=8 subdivisions=4 learning_rate=0.001 burn_in=1000", "large"),
        ("batch=64 learning_rate=0.1 burn_in=1000", "huge"),
        ("batch=64 learning_rate=0.0005 policy=steps steps=200,400,600 scales=2.5,2,2 max_batches=40000", "usual"),
        ("batch=64 learning_rate=0.01 policy=steps steps=100,200 scales=10,10 max_batches=40000", "huge"),
    ],
)  # fmt: skip
def test_rate_against_batch(kb: KnowledgeBase, net: str, state: str) -> None:
    assert states(kb, cfg(*HEAD, net=net), "darknet")["lr_size"] == state


def test_a_classifier_takes_a_larger_rate(kb: KnowledgeBase) -> None:
    classifier = cfg("[convolutional]", "filters=10", "[softmax]", net="batch=128 learning_rate=0.1")
    assert states(kb, classifier, "darknet")["lr_size"] == "usual"


def test_no_burn_in_leaves_the_rate_in_doubt(kb: KnowledgeBase) -> None:
    cold = evidence(kb, config_of_text(cfg(*HEAD, net="batch=64 learning_rate=0.001 burn_in=0"), "f", "darknet"))
    warm = evidence(kb, config_of_text(cfg(*HEAD), "f", "darknet"))
    assert (cold["warmup"].state, warm["warmup"].state) == ("no", "yes")
    assert cold["lr_size"].likelihoods["large"] > warm["lr_size"].likelihoods["large"]


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (HEAD, False),
        (("[convolutional]", "filters=255", "[yolo]", "mask=0,1,2", "classes=3", "num=9"), True),
        (("[convolutional]", "filters=255", "[yolo]", "mask=0,1,2", "classes=80", "num=9"), False),
        (("[convolutional]", "filters=72", "[yolo]", "classes=3", "num=9"), False),
        (("[convolutional]", "filters=125", "[region]", "classes=20", "coords=4", "num=5"), False),
        (("[convolutional]", "filters=125", "[region]", "classes=2", "coords=4", "num=5"), True),
        (("[convolutional]", "filters=24", "[yolo]", "mask=7,8,9", "classes=3", "num=9"), True),
        (("[convolutional]", "filters=30", "[gaussian_yolo]", "mask=0,1", "classes=6", "num=9"), False),
        ((*HEAD, "[convolutional]", "filters=27", "[yolo]", "mask=3,4,5", "classes=4", "num=9"), True),
    ],
)
def test_filters_against_classes(kb: KnowledgeBase, head: tuple[str, ...], told: bool) -> None:
    found = evidence(kb, config_of_text(cfg(*head), "f", "darknet"))
    assert ("labels_valid" in found) is told
    if told:
        assert found["labels_valid"].state == "out_of_range"
        assert found["labels_valid"].trust <= 0.8


def test_filters_name_both_lines_and_the_right_number(kb: KnowledgeBase) -> None:
    found = evidence(kb, read_config(CORPUS / "filters.cfg"))["labels_valid"]
    assert [place.line for place in found.locations] == [49, 55]
    assert found.note is not None
    assert found.note.args["expected"] == 24


@pytest.mark.parametrize(
    ("net", "observation", "state"),
    [
        ("momentum=1.0", "optimizer_fault", "momentum"),
        ("decay=-0.0005", "optimizer_fault", "weight_decay"),
        ("decay=5", "optimizer_fault", "weight_decay"),
        ("adam=1 B2=1", "optimizer_fault", "momentum"),
        ("adam=1 eps=0", "optimizer_fault", "epsilon"),
        ("B2=1", "optimizer_fault", "none"),
        ("batch=4 subdivisions=8", "optimizer_fault", "accumulation"),
        ("batch=64 subdivisions=0", "optimizer_fault", "accumulation"),
        ("learning_rate=nan", "schedule", "becomes_nonfinite"),
        ("learning_rate=-0.001", "schedule", "becomes_negative"),
        ("learning_rate=0", "schedule", "zero_or_absent"),
        ("policy=poly", "schedule", "becomes_nonfinite"),
        ("policy=poly max_batches=1000", "schedule", "valid"),
        ("policy=exp gamma=1.01", "schedule", "grows"),
        ("policy=steps steps=4000,5000 scales=10,10 max_batches=6000", "schedule", "grows"),
        ("policy=steps steps=-1,100,4000 scales=.1,10,.1 max_batches=6000", "warmup", "yes"),
        ("learning_rate=0.00025 burn_in=4000", "devices", "several"),
        ("clip=5", "gradient_clipping", "yes"),
    ],
)
def test_settings_of_net(kb: KnowledgeBase, net: str, observation: str, state: str) -> None:
    assert states(kb, cfg(*HEAD, net=net), "darknet")[observation] == state


def test_beside_the_log_of_another_program_only_the_net_counts(kb: KnowledgeBase, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("".join(f"{{'loss': 2.{i}, 'learning_rate': 1e-05, 'epoch': 0.{i}}}\n" for i in range(9)))
    got = ingest(kb, Inputs(logs=(str(log), str(CORPUS / "test-mode.cfg"))))
    assert got.run is not None
    assert got.run.framework == "hf"
    from_cfg = {item.observation for item in got.evidence if item.origin == "solver"}
    assert from_cfg == {"architecture"}


# --- training arguments


def test_training_arguments_of_hugging_face(kb: KnowledgeBase) -> None:
    told = {name: item.state for name, item in evidence(kb, read_config(CORPUS / "training_args.json")).items()}
    assert told == {
        "framework": "hf",
        "precision": "fp16",
        "lr_size": "huge",
        "schedule": "valid",
        "gradient_clipping": "no",
        "warmup": "no",
        "optimizer_fault": "none",
        "optimizer_settings": "usual",
    }


def test_deepspeed(kb: KnowledgeBase) -> None:
    told = evidence(kb, read_config(CORPUS / "ds_config.json"))
    assert {name: told[name].state for name in ("precision", "lr_size", "gradient_clipping", "warmup", "devices")} == {
        "precision": "fp16", "lr_size": "usual", "gradient_clipping": "yes", "warmup": "yes", "devices": "several",
    }  # fmt: skip


def test_lightning(kb: KnowledgeBase) -> None:
    told = evidence(kb, read_config(CORPUS / "lightning.yaml"))
    wanted = {
        "framework": "lightning", "precision": "pure_fp16", "gradient_clipping": "no", "optimizer_fault": "momentum",
        "optimizer_settings": "unusual", "starting_point": "resumed", "devices": "several",
    }  # fmt: skip
    assert {name: told[name].state for name in wanted} == wanted
    assert told["optimizer_fault"].locations == (Location(str(CORPUS / "lightning.yaml"), 15, 5),)


def test_axolotl_leaves_open_what_auto_decides(kb: KnowledgeBase) -> None:
    told = evidence(kb, read_config(CORPUS / "axolotl.yaml"))
    assert "precision" not in told
    assert told["starting_point"].state == "pretrained"
    assert told["architecture"].state == "transformer"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ('{"fp16": true}', "fp16"),
        ('{"fp16": false, "bf16": true}', "bf16"),
        ('{"fp16": false, "bf16": false}', "fp32"),
        ('{"fp16": false, "bf16": false, "torch_dtype": "float16"}', "pure_fp16"),
        ('{"fp16": true, "torch_dtype": "float16"}', "fp16"),
        ('{"fp16": false, "torch_dtype": "float16", "load_in_4bit": true}', "fp32"),
        ('{"fp16": {"enabled": "auto"}, "bf16": {"enabled": "auto"}}', None),
        ('{"fp16": {"enabled": false}, "bf16": {"enabled": true}}', "bf16"),
        ('{"mixed_precision": "no"}', "fp32"),
        ('{"trainer": {"precision": "bf16-mixed"}}', "bf16"),
        ('{"trainer": {"precision": 16}}', "fp16"),
        ('{"precision": "64-true"}', "fp64"),
        ('{"train_micro_batch_size_per_gpu": 4, "zero_optimization": {}}', "fp32"),
        ('{"learning_rate": 1}', None),
    ],
)
def test_precision(kb: KnowledgeBase, text: str, state: str | None) -> None:
    assert states(kb, text).get("precision") == state


def test_the_type_of_published_weights_is_only_a_hint(kb: KnowledgeBase) -> None:
    model = config_of_text('{"architectures": ["X"], "torch_dtype": "float16"}', "config.json", "json")
    alone = evidence(kb, model)["precision"]
    assert alone.likelihoods["pure_fp16"] < 2 * alone.likelihoods["fp32"]
    arguments = config_of_text('{"per_device_train_batch_size": 1, "bf16": true}', "training_args.json", "json")
    assert evidence(kb, arguments, model)["precision"].state == "bf16"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ('{"optim": "adamw_torch", "learning_rate": 1e-3}', "usual"),
        ('{"optim": "adamw_torch", "learning_rate": 5e-3}', "large"),
        ('{"optim": "adamw_torch", "learning_rate": 0.1}', "huge"),
        ('{"optim": "adamw_torch", "learning_rate": 1e-9}', "tiny"),
        ('{"optim": "sgd", "learning_rate": 0.1}', "usual"),
        ('{"optim": "sgd", "learning_rate": 0.5}', "large"),
        ('{"optim": "adamw_torch", "learning_rate": 5e-4, "peft_type": "LORA"}', "usual"),
        ('{"optim": "adamw_torch", "learning_rate": 1e-3, "peft_type": "LORA"}', "large"),
        ('{"optimizer": "Prodigy", "learning_rate": 1.0}', "usual"),
        ('{"optimizer": {"type": "AdamW", "params": {"lr": 0.1}}}', "huge"),
        ('{"optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}}', "usual"),
        ('{"learning_rate": {"desc": null, "value": 2.0}}', "huge"),
        ('{"learning_rate": "auto"}', None),
    ],
)
def test_rate_against_optimizer(kb: KnowledgeBase, text: str, state: str | None) -> None:
    assert states(kb, text).get("lr_size") == state


def test_auto_in_one_file_leaves_the_word_to_the_other(kb: KnowledgeBase) -> None:
    deepspeed = config_of_text(
        '{"zero_optimization": {}, "gradient_clipping": "auto", "fp16": {"enabled": "auto"},'
        ' "optimizer": {"type": "AdamW", "params": {"lr": "auto", "weight_decay": "auto"}}}', "ds.json", "json"
    )  # fmt: skip
    arguments = config_of_text(
        '{"per_device_train_batch_size": 1, "learning_rate": 0.1, "fp16": true, "max_grad_norm": 1.0,'
        ' "weight_decay": -1}', "args.json", "json"
    )  # fmt: skip
    told = evidence(kb, deepspeed, arguments)
    wanted = {
        "precision": "fp16",
        "lr_size": "huge",
        "gradient_clipping": "yes",
        "optimizer_fault": "weight_decay",
        "framework": "hf",
    }
    assert {name: told[name].state for name in wanted} == wanted


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ('{"adam_beta2": 1.0}', "momentum"),
        ('{"momentum": 9}', "momentum"),
        ('{"adam_betas": "(0.9, 0.98)", "weight_decay": 0.1}', "none"),
        ('{"weight_decay": -0.01}', "weight_decay"),
        ('{"weight_decay": 500}', "weight_decay"),
        ('{"weight_decay": 3.0, "optimizer": "lion", "momentum": 0.9}', "none"),
        ('{"adam_epsilon": 0.0}', "epsilon"),
        ('{"gradient_accumulation_steps": 0}', "accumulation"),
        ('{"max_grad_norm": -1}', "clip"),
        ('{"precision": "16-true", "optimizer": "adamw", "adam_epsilon": 1e-8}', "epsilon"),
        ('{"precision": "16-true", "optimizer": "adamw"}', "epsilon"),
        ('{"precision": "16-true", "optimizer": "adamw", "adam_epsilon": 1e-4, "weight_decay": 0}', "none"),
        ('{"precision": "16-true", "optimizer": "sgd", "momentum": 0.9}', None),
        ('{"precision": "16-mixed", "optimizer": "adamw", "adam_epsilon": 1e-8, "weight_decay": 0}', "none"),
        ('{"layer_norm_eps": 0}', None),
    ],
)
def test_optimizer_settings(kb: KnowledgeBase, text: str, state: str | None) -> None:
    told = states(kb, text)
    assert told.get("optimizer_fault") == state
    assert told.get("optimizer_settings") == (None if state is None else "usual" if state == "none" else "unusual")


@pytest.mark.parametrize(
    ("text", "observation", "state"),
    [
        ('{"warmup_steps": 0, "warmup_ratio": 0.03}', "warmup", "yes"),
        ('{"warmup_steps": 100, "lr_scheduler_type": "constant"}', "warmup", "no"),
        ('{"warmup_steps": 100, "lr_scheduler_type": "constant_with_warmup"}', "warmup", "yes"),
        ('{"warmup_steps": 0}', "warmup", "no"),
        ('{"learning_rate": 0.0}', "schedule", "zero_or_absent"),
        ('{"learning_rate": -1}', "schedule", "becomes_negative"),
        ('{"learning_rate": NaN}', "schedule", "becomes_nonfinite"),
        ('{"resume_from_checkpoint": "out/checkpoint-500"}', "starting_point", "resumed"),
        ('{"resume_from_checkpoint": null}', "starting_point", None),
        ('{"resume": false, "pretrained": true}', "starting_point", "pretrained"),
        ('{"num_processes": 8}', "devices", "several"),
        ('{"devices": 1}', "devices", "one"),
        ('{"device": "0,1"}', "devices", "several"),
        ('{"device": 1}', "devices", None),
        ('{"devices": "auto"}', "devices", None),
        ('{"gradient_clip_val": null}', "gradient_clipping", "no"),
        ('{"max_grad_norm": 0.5}', "gradient_clipping", "yes"),
    ],
)
def test_other_settings(kb: KnowledgeBase, text: str, observation: str, state: str | None) -> None:
    assert states(kb, text).get(observation) == state


# --- the whole way


@pytest.mark.parametrize("option", ["log", "solver", "net", "run_dir"])
def test_a_cfg_is_taken_under_any_option(kb: KnowledgeBase, option: str) -> None:
    path = str(CORPUS / "test-mode.cfg")
    given: dict[str, str] = {option: path}
    consultation = Consultation.open(kb=kb, **given)  # type: ignore[arg-type]
    assert not consultation.ingested.errors
    assert consultation.diagnosis.causes[0].id == "learning-rate-too-high"
    noted = any("Darknet cfg; read as such" in note for note in consultation.ingested.notes)
    assert noted is (option in ("solver", "net"))


def test_filters_that_do_not_fit_speak_for_the_labels(kb: KnowledgeBase) -> None:
    causes = Consultation.open(kb=kb, log=str(CORPUS / "filters.cfg")).diagnosis.causes
    assert causes[0].id == "bad-labels"


def test_a_correct_cfg_alone_convicts_nobody_and_acquits_nobody(kb: KnowledgeBase) -> None:
    diagnosis = Consultation.open(kb=kb, log=str(CORPUS / "yolov3-tiny-mask.cfg")).diagnosis
    assert diagnosis.verdict not in ("healthy", "benign")
    assert diagnosis.causes[0].probability < 0.5


def test_a_pasted_cfg_is_read(kb: KnowledgeBase) -> None:
    text = (CORPUS / "test-mode.cfg").read_text(encoding="utf-8")
    got = ingest(kb, Inputs(texts=(("pasted", text),)))
    assert [config.kind for config in got.configs] == ["darknet"]
    assert got.run is None


def test_a_broken_file_is_an_error_where_it_was_named_and_a_note_in_a_folder(kb: KnowledgeBase, tmp_path: Path) -> None:
    broken = CORPUS / "comma-missing.json"
    named = ingest(kb, Inputs(logs=(str(broken),)))
    assert [str(error) for error in named.errors] == [
        f"{broken}:5:3: not valid JSON: expected a comma or the closing bracket, found `optim`"
    ]
    (tmp_path / "args.json").write_bytes(broken.read_bytes())
    (tmp_path / "net.cfg").write_bytes((CORPUS / "test-mode.cfg").read_bytes())
    folder = ingest(kb, Inputs(run_dir=str(tmp_path)))
    assert not folder.errors
    assert any("args.json:5:3" in note for note in folder.notes)
    assert [config.kind for config in folder.configs] == ["darknet"]


def test_several_cfg_of_a_folder_are_left_out_with_a_note(kb: KnowledgeBase) -> None:
    got: Ingested = ingest(kb, Inputs(run_dir=str(CORPUS)))
    assert sorted(Path(config.file).name for config in got.configs) == [
        "axolotl.yaml", "ds_config.json", "lightning.yaml", "training_args.json",
    ]  # fmt: skip
    assert sum("holds 3 files of its kind" in note for note in got.notes) == 3


def test_every_sentence_is_there_in_three_languages(kb: KnowledgeBase) -> None:
    samples = [read_config(path) for path in sorted(CORPUS.iterdir()) if path.name != "comma-missing.json"]
    samples += [config_of_text(cfg(*HEAD, net=net), "f", "darknet") for net in ("momentum=2", "policy=poly", "batch=8")]
    said = [item for config in samples for item in detectors.observe(kb, (config,), None)]
    assert len(said) > 30
    for item in said:
        assert item.note is not None
        texts = [kb.text(item.note.id, lang, **item.note.args) for lang in ("en", "zh", "ko")]
        assert len(set(texts)) == 3
        assert item.note.id not in texts
        assert all("{" not in text for text in texts)
