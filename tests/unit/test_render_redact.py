import importlib
import json

import diagnosis_samples as samples
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nandoctor.render import text
from nandoctor.render.redact import Redactor, redact
from nandoctor.source import Location


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("reading /home/mina/runs/7/train.log:412", "reading PATH-1/train.log:412"),
        ("in ~/caffe/examples/solver.prototxt", "in PATH-1/solver.prototxt"),
        ("snapshot to /data/lab/secret_project/", "snapshot to PATH-1"),
        (r"File C:\Users\Mina\net\train.py, line 3", r"File PATH-1\train.py, line 3"),
        (r"\\fileserver\lab\data.h5", r"PATH-1\data.h5"),
        (
            'File "/home/mina/env/lib/python3.11/site-packages/torch/nn/functional.py", line 9',
            'File "PATH-1/site-packages/torch/nn/functional.py", line 9',
        ),
        ("Running on machine: gpu17", "Running on machine: HOST-1"),
        ("mina@gpu17:~$ python", "USER-1@HOST-1:~$ python"),
        ("master at 10.1.2.33:29500", "master at IP-1:29500"),
        ("listen on fe80::1ff:fe23:4567:890a now", "listen on IP-1 now"),
        ("see https://lab.example.org/x?token=abc for it", "see https://URL-1 for it"),
        ("node a.cluster.local is down", "node HOST-1 is down"),
        ('{"file": "C:\\\\Users\\\\Mina\\\\a.log"}', '{"file": "PATH-1\\\\a.log"}'),
        ("login hf_abcdefghijklmnopqrst done", "login SECRET-1 done"),
    ],
)
def test_private_parts_become_placeholders(raw: str, clean: str) -> None:
    assert redact(raw) == clean


@pytest.mark.parametrize(
    "line",
    [
        "I1120 15:33:31.275600  4685 solver.cpp:239] Iteration 0 (8.9e-18 iter/s, 0.002s/1 iters), loss = 2.29184",
        "    Train net output #1: loss1/loss = nan (* 0.3 = nan loss)",
        "[Forward] Layer inception_3a/1x1, top blob inception_3a/1x1 data: 0.49",
        "step 150/1000  lr 1e-3  loss: nan  0.5 it/s",
        "std::vector<float> c10::Error at::native",
        "CUDA 11.8, cuDNN 8.9.2, driver 525.60.13",
        "epoch 3/10 12:30:05 eta 0:00:12",
        "train.log:412 solver.prototxt:3 --answer precision=fp32|fp16",
        "learning rate too high (91 %). First step: base_lr 0.5 -> 0.05 in solver.prototxt:3.",
        "@@ -1,5 +1,5 @@",
        "torch.nn.functional.cross_entropy",
        "r = s.lossf(s.net, *b)",
        "CUDNN_VERSION=9.1.0.70, CUDA 12.4.0.1",
    ],
)
def test_what_a_diagnosis_needs_stays(line: str) -> None:
    assert redact(line) == line


def test_a_name_learnt_once_is_replaced_everywhere() -> None:
    clean = redact("cd /home/mina/x.d/run\nby mina on gpu17\nmina@gpu17 started\nminamount 3\n")
    assert "mina " not in clean
    assert "gpu17" not in clean
    assert "minamount" in clean
    assert clean.count("USER-1") == 2


def test_common_account_names_are_no_secret() -> None:
    assert redact("/home/user/a/train.log\nthe user said") == "PATH-1/train.log\nthe user said"


def test_same_folder_same_placeholder() -> None:
    clean = redact("/srv/a/train.log /srv/b/train.log /srv/a/solver.prototxt")
    assert clean == "PATH-1/train.log PATH-2/train.log PATH-1/solver.prototxt"


def test_several_texts_agree() -> None:
    redactor = Redactor()
    assert redactor.redact("/srv/a/x.log") == "PATH-1/x.log"
    assert redactor.redact("/srv/b/y.log /srv/a/z.log") == "PATH-2/y.log PATH-1/z.log"


def test_parts_can_be_left_in() -> None:
    raw = "/home/mina/a/train.log on 10.0.0.1"
    assert redact(raw, hosts=False) == "PATH-1/train.log on 10.0.0.1"
    assert redact(raw, paths=False) == "/home/mina/a/train.log on IP-1"


def test_a_report_without_private_parts_is_left_alone() -> None:
    page = text.render(samples.exploding(), samples.knowledge())
    assert redact(page) == page


@pytest.mark.parametrize("form", ["text", "markdown", "html", "json", "sarif"])
def test_every_form_of_report_can_be_redacted(form: str) -> None:
    module = importlib.import_module(f"nandoctor.render.{form}")
    secret = "/home/mina/lab-x/run 7/train.log"
    place = (Location(secret, 7),)
    base = samples.exploding()
    cause = replace(base.causes[0], support=tuple(replace(w, locations=place) for w in base.causes[0].support))
    run = replace(base.runs[0], files=(secret,))
    diagnosis = replace(base, causes=(cause,), runs=(run,))
    raw = module.render(diagnosis, samples.knowledge(), lang="en")
    assert "mina" in raw
    clean = redact(raw)
    assert "mina" not in clean
    assert "lab-x" not in clean
    if form in ("json", "sarif"):
        assert json.loads(clean)


@given(st.text(max_size=200))
def test_redacting_twice_changes_nothing_more(raw: str) -> None:
    once = redact(raw)
    assert redact(once) == once


def test_long_hostile_lines_are_done_in_time() -> None:
    for line in (
        "/" * 50_000,
        "a." * 25_000,
        "/a" * 25_000,
        "1." * 25_000,
        "::" * 25_000,
        "a@" * 20_000,
        "\\" * 40_000,
    ):
        redact(line)
