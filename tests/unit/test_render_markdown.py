import re

import diagnosis_samples as samples
import pytest
from msgspec.structs import replace

from nandoctor.diagnosis import Note, RankedCause, Step, Weighed
from nandoctor.kb.model import KnowledgeBase
from nandoctor.render import markdown
from nandoctor.source import Location


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    return samples.knowledge()


def blocks(page: str) -> list[str]:
    """The page outside fenced code."""
    return re.split(r"^ *`{3,}.*$", page, flags=re.MULTILINE)[::2]


@pytest.mark.parametrize("name", sorted(samples.ALL))
@pytest.mark.parametrize("lang", ["en", "zh", "ko"])
def test_tables_are_rectangular_and_fences_closed(name: str, lang: str, kb: KnowledgeBase) -> None:
    page = markdown.render(samples.ALL[name](), kb, lang=lang, details=True)
    assert len(re.findall(r"^ *`{3,}", page, flags=re.MULTILINE)) % 2 == 0
    for block in blocks(page):
        for group in re.findall(r"(?:^\|.*\n?)+", block, flags=re.MULTILINE):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in group.strip().split("\n")}
            assert len(widths) == 1
    assert not re.search(r"\b(report|verdict|plot|band)\.[a-z]", page)


def test_the_verdict_is_first_and_last(kb: KnowledgeBase) -> None:
    lines = [line for line in markdown.render(samples.exploding(), kb).split("\n") if line]
    assert lines[1] == lines[-1]
    assert lines[-1].startswith("**Learning rate too high: very likely (91 %).")


def test_diff_is_the_patch_and_code_has_its_language(kb: KnowledgeBase) -> None:
    page = markdown.render(samples.exploding(), kb)
    assert "   ```diff\n   --- a/solver.prototxt\n" in page
    assert "   -base_lr: 0.5\n   +base_lr: 0.05\n" in page
    assert "   ```python\n   args = TrainingArguments(\n" in markdown.render(samples.hidden(), kb)


def test_an_edit_without_a_patch_is_shown_as_a_hunk(kb: KnowledgeBase) -> None:
    assert "@@ train_val.prototxt:12 @@\n   +  transform_param {" in markdown.render(samples.exploding(), kb)


def test_evidence_has_places_and_weights(kb: KnowledgeBase) -> None:
    assert "| for | base_lr 0.5 with momentum 0.9 | `solver.prototxt:3` | +5 |" in markdown.render(
        samples.exploding(), kb
    )


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<img src=x>", r"\<img src=x>"),
        ("**bold** `x`", r"\*\*bold\*\* \`x\`"),
        ("ping @someone", "ping &#64;someone"),
        ("fixes #12", r"fixes \#12"),
        ("[click](http://x)", r"\[click\](http://x)"),
        ("_emph_ base_lr", r"\_emph\_ base_lr"),
        ("&lt;", r"\&lt;"),
        ("# heading", r"\# heading"),
        ("two\nlines", "two lines"),
    ],
)
def test_log_text_is_never_markup(raw: str, shown: str) -> None:
    assert markdown.escape(raw) == shown


def test_hostile_texts_stay_inside_their_cell(kb: KnowledgeBase) -> None:
    evil = "x | y ``` <script> \x1b[2J"
    weighed = Weighed("precision", "fp16", 3.0, (Location("a`b|c.log", 2),), Note("log.half", {"what": evil}))
    step = Step("use-bf16", "fix", (), 0.5, 3, snippet="```\nnot the end\n````\n")
    page = markdown.render(
        replace(
            samples.exploding(),
            causes=(RankedCause("fp16-overflow", 0.9, "very likely", (weighed,)),),
            fastest=(step,),
        ),
        kb,
    )
    assert "<script>" not in page.replace("\\<script>", "")
    assert "\x1b" not in page
    row = next(line for line in page.split("\n") if "not the" not in line and "script" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 5
    assert "`````" in page


def test_fence_is_longer_than_what_it_holds() -> None:
    assert markdown.fence("a ```` b", "text") == "`````text\na ```` b\n`````"
