"""`kb check` on small folders: one fault planted, one problem told, at its place."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from nandoctor.kb import load, schema
from nandoctor.kb.check import check

TITLE = "{en: A title, zh: 标题, ko: 제목}"


def observation(name: str, kind: str, *fields: str, **states: float) -> str:
    """An observation's file: a line for each field, and its states with their backgrounds."""
    rows = [f"  - {{id: {state}, background: {background}, label: {TITLE}}}" for state, background in states.items()]
    return "\n".join([f"id: {name}", f"kind: {kind}", f"title: {TITLE}", *fields, "states:", *rows, ""])


def remedy(name: str, kind: str, last: str) -> str:
    """A remedy's file."""
    head = [f"id: {name}", f"kind: {kind}", f"title: {TITLE}", f"steps: [{TITLE}]"]
    return "\n".join([*head, "minutes: 3", f"verify: {TITLE}", last, ""])


FILES = {
    "causes/first.yaml": f"""\
        id: first
        title: {TITLE}
        summary: {TITLE}
        prior: common
        shows:
          - {{observation: colour, state: red, how_often: often}}
          - {{observation: size, state: large, how_often: 0.8}}
          - {{observation: taste, state: sour, how_often: never, because: it cannot}}
        remedies:
          - {{use: wash, efficacy: often}}
        sources: ['000']
        cases:
          - title: found
            observations: {{colour: red, size: large}}
          - title: look-alike
            observations: {{colour: blue}}
            expect: below 5 %
        """,
    "observations/colour.yaml": observation(
        "colour", "course", f"question: {TITLE}", "normal: blue", red=0.3, blue=0.7
    ),
    "observations/size.yaml": observation(
        "size", "setup", "normal: small", "applies_when: {colour: [red]}", large=0.5, small=0.5
    ),
    "observations/taste.yaml": observation("taste", "experiment", "normal: sweet", sour=0.5, sweet=0.5),
    "remedies/wash.yaml": remedy("wash", "fix", "snippets: {caffe: 'wash: 1'}"),
    "remedies/lick.yaml": remedy("lick", "experiment", "asks: taste"),
    "checks/too-red.yaml": f"""\
        id: too-red
        severity: warning
        on: net
        title: {TITLE}
        message: {{en: '{{layer}} is red', zh: '{{layer}} 红', ko: '{{layer}} 빨강'}}
        when: {{'paint.colour|re': '^r.d$'}}
        observation: colour
        state: red
        clear: blue
        causes: [first]
        remedies: [wash]
        samples:
          - {{fires: true, net: 'layer {{ }}'}}
          - {{fires: false, net: 'layer {{ }}'}}
        """,
    "texts/words.yaml": """\
        messages:
          - {id: hello, en: 'the value {value}', zh: '值 {value}', ko: '값 {value}'}
          - {id: name.caffe, en: Caffe}
        """,
}

Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A sound small knowledge folder, with replacements: `folder('causes/first.yaml', (old, new), ...)`."""

    def make(name: str = "", *replacements: tuple[str, str]) -> Path:
        for path, indented in FILES.items():
            text = textwrap.dedent(indented)
            if path == name:
                for old, new in replacements:
                    assert old in text, old
                    text = text.replace(old, new, 1)
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(text, encoding="utf-8")
        return tmp_path

    return make


def told(folder: Path) -> list[str]:
    return [str(problem).replace(f"{folder}/", "") for problem in check([folder])]


def test_a_sound_folder_has_no_problems(folder: Folder) -> None:
    assert told(folder()) == []


CAUSE, COLOUR, SIZE = "causes/first.yaml", "observations/colour.yaml", "observations/size.yaml"


CHECK, WASH, LICK, WORDS = "checks/too-red.yaml", "remedies/wash.yaml", "remedies/lick.yaml", "texts/words.yaml"
SECOND = "how_often: 0.8}\n  - {observation: size, state: small, how_often: 0.6}"
PLANTED = [  # file, what stands there, what is put in its place, the problem from its line on
    (CAUSE, "prior: common", "prior: comon", "4:8: KB001 `comon` is none of `common`, `rare`"),
    (CAUSE, "id: first", "id: frist", "1:5: KB002 the id `frist` must be the file's name `first`"),
    (CAUSE, "prior: common", "prior: common\nprior: rare", "5:1: KB003 duplicate key `prior`"),
    (CAUSE, "observation: size", "observation: sise", "7:19: KB010 unknown observation `sise` (did you mean `size`?)"),
    (CAUSE, "state: large", "state: largo", "7:32: KB011 `size` has no state `largo` (did you mean `large`?)"),
    (CAUSE, "use: wash", "use: wish", "10:11: KB012 unknown remedy `wish` (did you mean `wash`?)"),
    (CAUSE, "colour: blue}", "color: blue}", "16:20: KB010 unknown observation `color` (did you mean `colour`?)"),
    (CAUSE, "colour: blue}", "colour: bleu}", "16:28: KB011 `colour` has no state `bleu` (did you mean `blue`?)"),
    (CAUSE, ", because: it cannot", "", "8:5: KB023 `never` needs a reason"),
    (CAUSE, "observation: size, state: large", "observation: colour, state: red", "7:5: KB024 `colour: red` is stated"),
    (CAUSE, "how_often: 0.8}", SECOND, "7:5: KB025 the states of `size` add up to 1.40"),
    (CAUSE, "    expect: below 5 %\n", "", "12:1: KB033 no look-alike"),
    (CAUSE, "sources: ['000']", "", "1:1: KB034 no sources"),
    (COLOUR, "background: 0.7", "background: 0.6", "6:1: KB020 the backgrounds add up to 0.9, not to 1"),
    (COLOUR, ", ko: 제목}\nnormal", "}\nnormal", "4:11: KB021 ko missing in the text `question`"),
    (COLOUR, "en: A title", "en: TODO", "3:8: KB035 `TODO` in `title`"),
    (COLOUR, "normal: blue", "normal: green", "5:9: KB011 `colour` has no state `green`; it has red, blue"),
    (SIZE, "{colour: [red]}", "{colour: [rad]}", "5:25: KB011 `colour` has no state `rad` (did you mean `red`?)"),
    (SIZE, "{colour: [red]}", "{size: [large]}", "5:16: KB044 it applies only when it is already known"),
    (SIZE, "id: small", "id: unknown", "8:10: KB024 `unknown` is the answer that every question has"),
    (
        SIZE,
        "id: small,",
        "id: small, implied_by: {colour: [bleu]},",
        "8:39: KB011 `colour` has no state `bleu` (did you",
    ),
    (
        SIZE,
        "id: small,",
        "id: small, implied_by: {size: [small]},",
        "8:17: KB045 `small` is implied by what it implies",
    ),
    (LICK, "asks: taste", "asks: tast", "7:7: KB010 unknown observation `tast` (did you mean `taste`?)"),
    (LICK, "asks: taste", "", "2:1: KB042 an experiment must say"),
    (WASH, "{caffe:", "{cafe:", "7:12: KB014 unknown framework `cafe` (did you mean `caffe`?)"),
    (
        WASH,
        "minutes: 3",
        "steps_in: {cafe: [{en: Rub., zh: 搓。, ko: 문지릅니다.}]}\nminutes: 3",
        "5:12: KB014 unknown framework `cafe` (did you mean `caffe`?)",
    ),
    (
        WASH,
        "minutes: 3",
        "steps_in: {caffe: [{en: Rub.}]}\nminutes: 3",
        "5:20: KB021 zh, ko missing in the text `steps_in.caffe.0`",
    ),
    (CHECK, "causes: [first]", "causes: [frist]", "10:10: KB013 unknown cause `frist` (did you mean `first`?)"),
    (CHECK, "remedies: [wash]", "remedies: [wosh]", "11:12: KB012 unknown remedy `wosh` (did you mean `wash`?)"),
    (CHECK, "clear: blue", "clear: blu", "9:8: KB011 `colour` has no state `blu` (did you mean `blue`?)"),
    (CHECK, "colour|re", "colour|rex", "6:8: KB063 unknown modifier `rex`"),
    (CHECK, "'^r.d$'", "'^(r.d$'", "6:8: KB050 not a regular expression: missing )"),
    (CHECK, "'^r.d$'", "'^(r+)+$'", "6:8: KB051 a repeat inside a repeat"),
    (CHECK, "fires: false", "fires: true", "12:1: KB061 no sample on which it does not"),
    (CHECK, "{'paint.colour|re': '^r.d$'}", "{}", "1:1: KB062 a check has either"),
    (CHECK, "'{layer} 红'", "'{leyer} 红'", "5:37: KB022 `zh` and `en` differ in {layer}, {leyer}"),
    (WORDS, "ko: '값 {value}'", "ko: '값 {value'", "2:63: KB022 no valid text with placeholders"),
    (WORDS, "id: name.caffe, en: Caffe", "id: hello, en: Caffe", "3:5: KB003 `hello` stands in words.yaml already"),
]


@pytest.mark.parametrize(("file", "old", "new", "problem"), PLANTED)
def test_a_fault_is_told_at_its_place(folder: Folder, file: str, old: str, new: str, problem: str) -> None:
    assert f"{file}:{problem}" in "\n".join(told(folder(file, (old, new))))


def test_all_faults_of_one_file_and_of_all_files_at_once(folder: Folder) -> None:
    pytest.importorskip("jsonschema")
    place = folder(
        CAUSE, ("prior: common", "prior: comon"), ("summary:", "sumary:"), ("how_often: often", "how_often: 7"),
        ("efficacy: often", "efficacy: [often]"),
    )  # fmt: skip
    (place / COLOUR).write_text((place / COLOUR).read_text().replace("0.7", "0.6"))
    found = told(place)
    assert [line.split(" ", 1)[0].rstrip(":") for line in found if line.startswith(CAUSE)] == [
        f"{CAUSE}:1:1", f"{CAUSE}:3:1", f"{CAUSE}:4:8", f"{CAUSE}:6:50", f"{CAUSE}:10:27",
    ]  # fmt: skip
    assert "unknown field `sumary` (did you mean `summary`?)" in found[1]
    assert any(line.startswith(COLOUR) for line in found)


def test_a_file_that_cannot_be_read_does_not_make_its_links_unknown(folder: Folder) -> None:
    found = told(folder("remedies/wash.yaml", ("kind: fix", "kind: fixx")))
    assert len(found) == 1
    assert "KB001 `fixx` is none of `experiment`, `fix` (did you mean `fix`?)" in found[0]


def test_unreachable_and_unmentioned(folder: Folder) -> None:
    place = folder(CAUSE, ("{use: wash, efficacy: often}", "{use: dye}"))
    (place / "remedies/dye.yaml").write_text((place / "remedies/wash.yaml").read_text().replace("id: wash", "id: dye"))
    assert told(place) == ["remedies/wash.yaml:1:1: KB040 no cause uses this remedy"]
    (place / "observations/idle.yaml").write_text((place / COLOUR).read_text().replace("id: colour", "id: idle"))
    assert "observations/idle.yaml:1:1: KB041 no cause mentions this observation: it tells nothing" in told(place)


def test_a_cause_without_anything(folder: Folder) -> None:
    place = folder(
        CAUSE,
        ("remedies:\n  - {use: wash, efficacy: often}\n", ""),
        ("title: found\n", "title: found\n    expect: not first\n"),
    )
    codes = {line.split(" ")[1] for line in told(place)}
    assert codes == {"KB030", "KB032", "KB040"}


def test_folder_names_and_twins(folder: Folder) -> None:
    place = folder()
    (place / "cause").mkdir()
    (place / "cause/x.yaml").write_text("id: x\n")
    (place / "causes/first.yml").write_text((place / CAUSE).read_text())
    assert told(place) == [
        "cause: KB002 `cause` is no folder of knowledge (did you mean `causes`?)",
        "causes/first.yml:1:1: KB003 `first.yaml` beside it has the same id",
    ]


def test_an_overlay_is_checked_over_what_it_lies_on(folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> None:
    base, overlay = folder(), tmp_path_factory.mktemp("overlay")
    (overlay / "causes").mkdir()
    text = (base / CAUSE).read_text()
    (overlay / "causes/second.yaml").write_text(
        text.replace("id: first", "id: second").replace("use: wash", "use: wish")
    )
    found = check([base, overlay])
    assert [str(p).replace(str(overlay), "") for p in found] == [
        "/causes/second.yaml:10:11: KB012 unknown remedy `wish` (did you mean `wash`?)"
    ]
    (overlay / "causes/second.yaml").rename(overlay / "causes/first.yaml")
    (overlay / "causes/first.yaml").write_text(text.replace("prior: common", "prior: rare"))
    assert check([base, overlay]) == []


@pytest.mark.parametrize(
    "text", ["", "\x00", "- a\n", "[" * 3000, "a: &x [*x]\n", "id: first\n? [a]\n: b\n", "\ufeffid: 1\n"]
)
def test_hostile_files_are_problems_not_tracebacks(folder: Folder, text: str) -> None:
    place = folder()
    (place / CAUSE).write_text(text, encoding="utf-8")
    assert any(line.startswith(CAUSE) and "KB001" in line for line in told(place))


def test_not_utf8(folder: Folder) -> None:
    place = folder()
    (place / CAUSE).write_bytes("title: 标题".encode("gbk"))
    assert "cannot be read" in told(place)[0]


def test_without_jsonschema_the_first_fault_is_told(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    place = folder(CAUSE, ("prior: common", "prior: comon"), ("summary:", "sumary:"))
    monkeypatch.setattr(schema.importlib, "import_module", missing)
    found = told(place)
    assert len(found) == 1
    assert found[0].startswith(f"{CAUSE}:")


def test_no_such_folder(tmp_path: Path) -> None:
    assert [p.code for p in check([tmp_path / "missing"])] == ["KB001"]


def test_the_loader_takes_what_the_lint_passes(folder: Folder) -> None:
    loaded, problems = load.read_files(map(Path, load.knowledge_files(folder())))
    assert not problems
    base = load.assemble(loaded)
    assert base.causes["first"].shows[1].probability == 0.8
    assert base.text("hello", "ko", value=3) == "값 3"
    assert base.text("name.caffe", "zh") == "Caffe"
