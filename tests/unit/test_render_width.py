import pytest
from hypothesis import given
from hypothesis import strategies as st

from nandoctor.render.width import cut, cut_left, display_width, pad, wrap

TEXTS = st.text(st.sampled_from("ab ,.:()-学习率。，（）「」학습률이 é⠤│┤\u00a0e\u0301"), max_size=80)


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("loss", 4),
        ("学习率", 6),
        ("학습률", 6),
        ("（NaN）", 7),
        ("⠤⠒⠉", 3),
        ("│┤┊×…", 5),
        ("é", 1),
        ("e\u0301", 1),
        ("ﾊ", 1),
        ("Ａ", 2),
    ],
)
def test_width_is_counted_in_columns(text: str, width: int) -> None:
    assert display_width(text) == width


def test_cut_shows_that_something_is_missing_and_never_splits_a_wide_character() -> None:
    assert cut("学习率过高", 10) == "学习率过高"
    assert cut("学习率过高", 8) == "学习率…"
    assert cut("学习率过高", 7) == "学习率…"
    assert cut_left("/home/run/train.log:412", 14) == "…train.log:412"


def test_pad_aligns_by_columns() -> None:
    assert pad("损失", 6) + "|" == "损失  |"
    assert pad("损失", 6, right=True) == "  损失"


def test_korean_words_stay_whole_and_chinese_breaks_anywhere() -> None:
    assert wrap("학습률이 너무 높음", 12) == ["학습률이", "너무 높음"]
    assert wrap("学习率过高导致损失爆炸", 8) == ["学习率过", "高导致损", "失爆炸"]


def test_punctuation_keeps_its_side() -> None:
    for line in wrap("学习率过高，损失爆炸。（见 train.log）", 12):
        assert line[0] not in "，。）"
        assert line[-1] != "（"


def test_no_break_space_holds() -> None:
    assert wrap("chance of 91\u00a0% here", 12) == ["chance of", "91\u00a0% here"]


@given(TEXTS, st.integers(2, 40))
def test_wrapped_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(display_width(line) <= width for line in lines)
    kept = "".join("".join(lines).split())
    assert kept == "".join(text.split())


@given(TEXTS, st.integers(1, 40))
def test_cut_fits(text: str, width: int) -> None:
    assert display_width(cut(text, width)) <= width
    assert display_width(cut_left(text, width)) <= width
