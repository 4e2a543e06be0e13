"""The text format reader: values, places, errors, the same bytes back, and bounded work on hostile input."""

import math
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nandoctor.errors import TextFormatError
from nandoctor.readers import textproto
from nandoctor.readers.textproto import Document, Enum, Message, parse

CORPUS = Path(__file__).parents[1] / "corpus"
FILES = sorted(CORPUS.glob("**/*.prototxt"))


def plain(message: Message):
    """The tree as nested lists of (name, value)."""
    return [(f.name, plain(f.value) if isinstance(f.value, Message) else f.value) for f in message.fields]


def value_of(text: str):
    return parse(f"x: {text}").root.get("x")


class TestValues:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("3", 3),
            ("-3", -3),
            ("- 3", -3),
            ("-\n# why\n3", -3),
            ("0", 0),
            ("-0", 0),
            ("0x1F", 31),
            ("-0x10", -16),
            ("017", 15),
            ("1.", 1.0),
            (".5", 0.5),
            ("1e-4", 1e-4),
            ("1E+3", 1000.0),
            ("1f", 1.0),
            ("0.1F", 0.1),
            ("2.f", 2.0),
            ("1e400", math.inf),
            ("18446744073709551615", 18446744073709551615),
            ("99999999999999999999999", 1e23),
            ("inf", math.inf),
            ("-Infinity", -math.inf),
            ("true", True),
            ("false", False),
        ],
    )
    def test_scalars(self, text, expected):
        value = value_of(text)
        assert value == expected
        assert type(value) is type(expected)

    @pytest.mark.parametrize("text", ["nan", "NaN", "-nan", "- nan"])
    def test_nan_is_data(self, text):
        assert math.isnan(value_of(text))

    def test_a_literal_with_a_million_digits_is_a_float(self):
        assert value_of("1" * 1_000_000) == math.inf
        assert value_of("-0x" + "f" * 1_000_000) == -math.inf

    def test_bytes_that_are_no_utf8_survive(self):
        text = b'"\xff\\n\xfe"'.decode("utf-8", "surrogateescape")
        assert value_of(text).encode("utf-8", "surrogateescape") == b"\xff\n\xfe"
        assert value_of("'\ud800\\n'") == "\udced\udca0\udc80\n"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('"a"', "a"),
            ("'a'", "a"),
            ('"a" \'b\'\n"c"', "abc"),
            (r'"\"\\\n\t\x41\101"', '"\\\n\tAA'),
            (r'"\346\227\240"', "无"),
            (r'"\346" "\227\240"', "无"),
            (r'"\1" "2"', "\x012"),
            (r'"\x4" "1" "\\x4" "1"', "\x041\\x41"),
            (r'"\u65e0\U0001F600"', "无😀"),
            ('"无 # no comment"', "无 # no comment"),
            (r'"D:\data\lmdb"', "D:\\data\\lmdb"),
        ],
    )
    def test_strings(self, text, expected):
        assert value_of(text) == expected

    def test_enum_names_stay_text_and_are_told_from_strings(self):
        document = parse('pool: AVE name: "AVE"')
        assert document.root.get("pool") == "AVE" == document.root.get("name")
        assert isinstance(document.root.get("pool"), Enum)
        assert not isinstance(document.root.get("name"), Enum)

    def test_a_byte_order_mark_and_no_break_spaces_are_white_space(self):
        assert plain(parse("\ufeffa:\xa01\u3000b: 2").root) == [("a", 1), ("b", 2)]

    def test_comments_end_at_a_lone_carriage_return(self):
        assert plain(parse("a: 1 # x: 2\rb: 3").root) == [("a", 1), ("b", 3)]

    def test_forms_of_messages_and_lists(self):
        text = "m { a: 1 }, m: < a: 2 >; l: [1, -2, 3.] l: [] n [{ a: 3 }, < a: 4; >] [x.y/z] { b: 1 }"
        assert plain(parse(text).root) == [
            ("m", [("a", 1)]),
            ("m", [("a", 2)]),
            ("l", 1),
            ("l", -2),
            ("l", 3.0),
            ("n", [("a", 3)]),
            ("n", [("a", 4)]),
            ("[x.y/z]", [("b", 1)]),
        ]

    def test_empty(self):
        for text in ("", " \n", "# only a comment", "\ufeff"):
            assert parse(text).root.fields == []


class TestAccess:
    TEXT = "p { a: 1 } p { b: 2 a: 3 } q { r { s: 4 } } bottom: 'x' bottom: 'y'"

    def test_paths(self):
        root = parse(self.TEXT).root
        assert root.get("p.a") == 1
        assert root.get("p.b") == 2  # found in the second message, as protobuf merges them
        assert root.get("q.r.s") == 4
        assert root.get("q.x.s") is None
        assert root.get("q.r.s.t", "gone") == "gone"
        assert root.all("p.a") == [1, 3]
        assert root.all("bottom") == ["x", "y"]
        assert isinstance(root.get("q.r"), Message)
        assert [field.value for field in root.every("p.a")] == [1, 3]
        assert root.field("nothing") is None

    def test_offsets(self):
        text = "a: 1 ,\n m { l: [ 2, 'x' 'y' ] ; } # end"
        document = parse(text)
        a, m = document.root.fields
        assert text[a.start : a.end] == "a: 1"
        assert text[a.value_start : a.value_end] == "1"
        assert text[a.end : a.after] == " ,"
        assert text[m.start : m.end] == "m { l: [ 2, 'x' 'y' ] ; }"
        assert text[m.value.start : m.value.end] == " l: [ 2, 'x' 'y' ] ; "
        first, second = m.value.fields
        assert first.in_list
        assert not a.in_list
        assert [text[f.value_start : f.value_end] for f in (first, second)] == ["2", "'x' 'y'"]
        assert {text[f.start : f.end] for f in (first, second)} == {"l: [ 2, 'x' 'y' ]"}
        assert text[second.end : second.after] == " ;"

    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
    def test_locations_count_from_the_line_in_the_log(self, newline):
        document = parse(f"a: 1{newline}  b: 2{newline}", "train.log", first_line=40)
        b = document.root.fields[1]
        assert str(document.location(b.start)) == "train.log:41:3"


# text, line, column, part of the message
MALFORMED = [
    ("base_lr: ", 1, 10, "expected a value for base_lr, but the file ends"),
    ("base_lr 0.1", 1, 9, "expected ':' or '{' after base_lr, found 0.1"),
    ("base_lr: }", 1, 10, "expected a value for base_lr, found }"),
    ("a: 1\nb: 08", 2, 4, "a leading 0 means octal"),
    ("a: 1.2.3", 1, 4, "found 1.2.3"),
    ("a: 3x", 1, 4, "found 3x"),
    ("a: -x", 1, 5, "expected a number after '-', found x"),
    ("a: +1", 1, 4, "found +1"),
    ('net: "train_val\nbase_lr: 1', 1, 6, "not closed on its line"),
    ("net: 'x", 1, 6, "not closed on its line"),
    ("layer {\n  name: 'a'\n", 1, 7, "layer is opened here and never closed with }"),
    ("layer {\n  p {\n  }\n", 1, 7, "layer is opened here"),
    ("a { b < c: 1 } }", 1, 14, "} does not close the < of b in line 1"),
    ("a: 1 }", 1, 6, "} closes nothing"),
    ("}", 1, 1, "} closes nothing"),
    (": 3", 1, 1, "expected a field name, found :"),
    ("a { 1conv: 3 }", 1, 5, "expected a field name or '}', found 1conv"),
    ("a: [1 2]", 1, 7, "expected ',' or ']' in the list, found 2"),
    ("a: [1, ]", 1, 8, "expected a value for a, found ]"),
    ("a: [[1]]", 1, 5, "expected a value for a, found ["),
    ("a: [1, 2", 1, 9, "',' or ']' in the list, but the file ends"),
    ("a: 1 ;;", 1, 7, "found ;"),
    ("a: 1 @", 1, 6, "found @"),
    ("base_lr： 0.1", 1, 8, "found ： (Caffe needs the plain :)"),
    ("net: “x”", 1, 6, 'found “ (Caffe needs the plain ")'),
    ("[a b: 1", 1, 1, "expected a field name, found ["),
    ("a: 1\r\nb:: 2", 2, 3, "expected a value for b, found :"),
    ("a: 1\r\rb", 3, 2, "expected ':' or '{' after b, but the file ends"),
    ("I1120 15:33:30.331267  4681 solver.cpp:236] Iteration 0, loss = nan", 1, 7, "after I1120"),
]


class TestErrors:
    @pytest.mark.parametrize(("text", "line", "column", "message"), MALFORMED)
    def test_place_and_words(self, text, line, column, message):
        with pytest.raises(TextFormatError) as caught:
            parse(text, "net.prototxt")
        assert (caught.value.location.line, caught.value.location.column) == (line, column)
        assert message in caught.value.message
        assert str(caught.value).startswith(f"net.prototxt:{line}:{column}: ")

    @pytest.mark.parametrize(("text", "line", "column", "message"), MALFORMED)
    def test_the_caret_points_at_it(self, text, line, column, message):
        with pytest.raises(TextFormatError) as caught:
            parse(text)
        shown, caret = caught.value.excerpt.split("\n")
        assert caret == " " * (column - 1) + "^"
        assert shown == text.splitlines()[line - 1]

    def test_the_caret_in_a_long_line(self):
        with pytest.raises(TextFormatError) as caught:
            parse("a: 1 " * 100_000 + "b: ?" + " c: 1" * 100_000)
        shown, caret = caught.value.excerpt.split("\n")
        assert shown[len(caret) - 1] == "?"
        assert len(shown) < 200

    def test_control_characters_do_not_reach_the_terminal(self):
        with pytest.raises(TextFormatError) as caught:
            parse("a: \x1b[31m")
        assert "\x1b" not in str(caught.value)

    def test_partial_reading_keeps_what_came_before(self):
        document = parse("layer { name: 'a' }\nlayer { name: 'b' pooling_param { stri", partial=True)
        assert document.error is not None
        assert document.error.location.column == 39
        assert plain(document.root)[0] == ("layer", [("name", "a")])
        assert document.root.all("layer.name") == ["a", "b"]
        assert document.source() == document.text
        assert parse("a: 1", partial=True).error is None


class TestHostile:
    """Each of these ends with a clear error in bounded time and memory."""

    @pytest.mark.parametrize("opening", ["a{", "a<", "a:{", "a [{", "a{b:1 c{"])
    def test_bombs_of_brackets(self, opening):
        text = opening * 2_000_000
        started = time.perf_counter()
        with pytest.raises(TextFormatError, match="deeper than 100"):
            parse(text)
        assert time.perf_counter() - started < 2

    def test_too_many_fields(self, monkeypatch):
        monkeypatch.setattr(textproto, "MAX_FIELDS", 1000)
        for text in ("a{}" * 1001, "a: 1 " * 1001, "data: [" + "1," * 1001 + "1]"):
            with pytest.raises(TextFormatError, match="more than 1,000 fields"):
                parse(text)
        assert len(parse("a{}" * 1000).root.fields) == 1000

    def test_a_hundred_levels_are_read(self):
        text = "a{" * textproto.MAX_DEPTH + "}" * textproto.MAX_DEPTH
        assert parse(text).source() == text

    @pytest.mark.parametrize(
        "text", ["# " * 500_000, " " * 1_000_000, '"' * 300_000, "a: '" + "\\" * 500_000, "-" * 300_000, "[" * 300_000,
                 "a:" + " #\n" * 300_000, "a: 1" + "e" * 300_000, "a: " + "1" * 300_000 + "x", "_" * 1_000_000,
                 "a: 'x' " + "'x' " * 300_000]
    )  # fmt: skip
    def test_linear_time(self, text):
        started = time.perf_counter()
        try:
            assert parse(text).source() == text
        except TextFormatError as error:
            assert len(str(error)) < 1000
        assert time.perf_counter() - started < 2


class TestRoundTrip:
    @pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CORPUS).as_posix())
    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
    def test_files(self, path, newline):
        text = path.read_text(encoding="utf-8").replace("\n", newline)
        assert parse(text).source() == text

    @given(st.text())
    @settings(deadline=None)
    def test_any_text_is_read_back_or_refused(self, text):
        self.read(text)

    @given(st.text(alphabet="ab1.-+:{}<>[],;'\"\\#\n\r \tx0e"))
    @settings(max_examples=300, deadline=None)
    def test_text_made_of_its_own_characters(self, text):
        self.read(text)

    @staticmethod
    def read(text):
        try:
            document = parse(text)
        except TextFormatError as error:
            assert error.location.line >= 1
            document = parse(text, partial=True)
            assert document.error is not None
        assert document.source() == text


# --- trees written in every style the format allows, and read back

names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
gaps = st.sampled_from(["", " ", "\n", "\t\t", "\r\n", " # note: {\n", "\n\n  "])
some_gap = st.sampled_from([" ", "\n", "\r\n\t", " # 'x\n"])
scalars = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.text(max_size=8).map(lambda text: text.encode("utf-8", "replace").decode()),
    st.sampled_from(["MAX", "AVE", "TRAIN"]).map(Enum),
)
trees = st.recursive(
    st.lists(st.tuples(names, scalars), max_size=4),
    lambda inner: st.lists(st.tuples(names, st.one_of(scalars, inner)), max_size=4),
    max_leaves=20,
)


def literal(draw, value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, str):
        quote = draw(st.sampled_from("\"'"))
        raw = "".join(
            f"\\{byte:03o}" if byte < 32 or byte in b"\"'\\" or byte > 126 else chr(byte) for byte in value.encode()
        )
        cut = draw(st.integers(0, len(raw)))
        while "\\" in raw[max(0, cut - 3) : cut]:
            cut -= 1  # not within an escape
        return f"{quote}{raw[:cut]}{quote}{draw(gaps)}{quote}{raw[cut:]}{quote}"
    if isinstance(value, float):
        text = repr(value)
        return text if "inf" in text else text + draw(st.sampled_from(["", "f", "F"]))
    if value > 0 and draw(st.booleans()):
        return hex(value)
    return str(value) if value >= 0 else f"-{draw(gaps)}{-value}"


def written(draw, tree):
    parts = [draw(gaps)]
    for name, value in tree:
        if isinstance(value, list):
            opening, closing = draw(st.sampled_from(["{}", "<>"]))
            colon = draw(st.sampled_from(["", ":", " : "]))
            parts.append(f"{name}{colon}{draw(gaps)}{opening}{written(draw, value)}{closing}")
        else:
            parts.append(f"{name}{draw(gaps)}:{draw(gaps)}{literal(draw, value)}")
        parts.append(draw(st.sampled_from([",", ";", " ;", ""])) + draw(some_gap))
    return "".join(parts)


@st.composite
def documents(draw):
    tree = draw(trees)
    return tree, written(draw, tree)


@given(documents())
@settings(max_examples=200, deadline=None)
def test_reads_what_was_written(pair):
    tree, text = pair
    document = parse(text)
    assert isinstance(document, Document)
    assert plain(document.root) == tree
    assert document.source() == text


@given(documents())
@settings(max_examples=50, deadline=None)
def test_every_offset_cuts_out_its_own_field(pair):
    _, text = pair
    document = parse(text)

    def check(message: Message) -> None:
        for field in message.fields:
            assert text.startswith(field.name, field.start)
            assert field.start < field.value_start <= field.value_end <= field.end <= field.after
            assert plain(parse(text[field.start : field.after]).root) == plain(Message([field], 0, 0))
            if isinstance(field.value, Message):
                check(field.value)

    check(document.root)
