"""Every dialect against its own samples and those of all others; regexes that cannot run away."""

import time

import pytest

from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import Dialect, KnowledgeBase, LinePattern, Sample
from nandoctor.readers.dialect import LINE_LIMIT, Lexicon, RoleTable, compiled, number
from nandoctor.readers.samples import failures

KB = load_knowledge()
LEXICON = Lexicon(KB)


def test_samples_of_all_dialects() -> None:
    assert failures(KB) == []


def test_every_dialect_has_samples_that_match_and_one_that_must_not() -> None:
    for dialect in KB.dialects.values():
        assert any(sample.match for sample in dialect.samples), dialect.id
        if dialect.lines:
            assert not all(sample.match for sample in dialect.samples), dialect.id


def with_dialect(dialect: Dialect) -> KnowledgeBase:
    return KnowledgeBase({}, {}, {}, {**KB.dialects, dialect.id: dialect}, {}, {}, KB.quantities)


def test_a_wrong_sample_is_found() -> None:
    line = LinePattern(id="x", regex=r"zeta (?P<step>\d+) loss {num}", needs="zeta")
    wrong = Dialect("zeta", "Zeta", "other", (line,), samples=(Sample("zeta 3 loss 0.5", reads={"loss": 0.5}),))
    assert any("zeta" in f.dialect for f in failures(with_dialect(wrong)))
    right = LinePattern(id="x", regex=r"zeta (?P<step>\d+) loss (?P<loss>{num})", needs="zeta")
    good = Dialect(
        "zeta", "Zeta", "other", (right,), samples=(Sample("zeta 3 loss 0.5", reads={"step": 3, "loss": 0.5}),)
    )
    assert failures(with_dialect(good)) == []


def test_a_regex_that_does_not_compile_is_reported() -> None:
    broken = Dialect("broken", "Broken", "other", (LinePattern(id="x", regex="(?P<loss>"),))
    assert any(f.dialect == "broken" and f.sample == -1 for f in failures(with_dialect(broken)))


# names as programs print them -> role
ROLES = {
    "loss": "loss",
    "Train Loss": "loss",
    "training loss": "loss",
    "total_loss": "loss",
    "train/loss": "loss",
    "lm loss": "loss",
    "train_loss_step": "loss",
    "cost": "loss",
    "损失": "loss",
    "train_loss_epoch": "loss_running",
    "avr_loss": "loss_running",
    "mean training loss": "loss_running",
    "loss_bbox": "loss_part",
    "decode.loss_ce": "loss_part",
    "cls_loss": "loss_part",
    "value_loss": "loss_part",
    "Loss_D": "loss_part",
    "D loss": "loss_part",
    "nll_loss": "loss_part",
    "lr": "lr",
    "learning_rate": "lr",
    "learning rate": "lr",
    "lr-SGD": "lr",
    "lr-Adam/pg1": "lr",
    "optim0_lr0": "lr",
    "grad_norm": "grad_norm",
    "gnorm": "grad_norm",
    "grad norm": "grad_norm",
    "loss scale": "loss_scale",
    "loss_scale": "loss_scale",
    "logit_scale": "other",
    "val_loss": "validation_loss",
    "Validation Loss": "validation_loss",
    "eval_loss": "validation_loss",
    "val/box_loss": "validation_loss",
    "val_accuracy": "validation_metric",
    "eval_pearson": "validation_metric",
    "accuracy": "metric",
    "mIoU": "metric",
    "ppl": "metric",
    "Acc@1": "metric",
    "time": "ignore",
    "data_time": "ignore",
    "max_mem": "ignore",
    "loss_weight": "ignore",
    "best_val_loss": "ignore",
    "consumed samples": "ignore",
    "step": "step",
    "num_updates": "step",
    "epoch": "epoch",
}


@pytest.mark.parametrize("name", ROLES)
def test_roles(name: str) -> None:
    assert RoleTable(KB.quantities).role(name) == ROLES[name]


NUMBERS = ["1", "-1.5", ".5", "1e-05", "1.5E+03", "nan", "-nan", "NaN", "NAN", "inf", "-inf", "Infinity", "1.#QNAN"]
NUMBERS += ["-1.#IND", "1.#INF", "1.#INF00", "-nan(ind)", "nan(snan)", "nan.0", "inf.0", "INF"]


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers(text: str) -> None:
    regex = compiled("^{num}$")
    assert regex.match(text)
    assert isinstance(number(text), float)
    assert (number(text) != number(text)) == ("nan" in text.lower() or "ind" in text.lower())


@pytest.mark.parametrize(
    "text", ["nano", "info", "inference", "nan-data", "nan/data", "NaNs", "INFO", "infinitely", "nanoseconds"]
)
def test_words_are_no_numbers(text: str) -> None:
    assert not compiled("{num}").match(text)


def test_glued_words_end_a_number() -> None:
    match = compiled("loss: (?P<v>{num})").search("loss: nanBatch 4: Invalid loss")
    assert match is not None
    assert match["v"] == "nan"


HOSTILE = [
    "a",
    "1",
    "1 ",
    "a ",
    "a:1 ",
    "loss: 1 ",
    " ",
    "1.",
    "-",
    "loss ",
    "epoch 1 ",
    "{",
    "('a': 1, ",
    "a.",
    "nan ",
    "[",
    "|",
]
HOSTILE += ["=", "\t", "1e", "val: ", "_", "\\", "x.x:1", "tensor(", "1:", "#", "█", "('", "1/", "a=1,", "1|", "a | "]


def test_no_regex_runs_away() -> None:
    """Every pattern on long lines made of what regexes repeat: the time grows with the length, not with its square."""
    length = LINE_LIMIT // 4
    slowest = (0.0, "")
    for piece in HOSTILE:
        body = (piece * (length // len(piece) + 1))[:length]
        for item in (*LEXICON.lines, *LEXICON.events):
            words = item.needs or (item.needs_any[0] if item.needs_any else "")
            for text in {(words + body)[:length], body[: length - len(words)] + words}:
                start = time.process_time()
                item.search(text)
                slowest = max(slowest, (time.process_time() - start, f"{item.dialect.id}.{item.pattern.id} {piece!r}"))
    for line in LEXICON.lines:
        line.compile()
        if line.pairs is not None:
            for piece in HOSTILE:
                start = time.process_time()
                line.pairs.findall((piece * length)[:length])
                slowest = max(slowest, (time.process_time() - start, f"pairs of {line.dialect.id}.{line.pattern.id}"))
    assert slowest[0] < 0.2, slowest
