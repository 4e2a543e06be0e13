import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import diagnosis_samples as samples
import pytest
from msgspec.structs import replace

from nandoctor.diagnosis import Note, RankedCause, Step, Weighed
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.facts import Run
from nandoctor.render import html
from nandoctor.render.svg import LEFT, RIGHT, WIDTH, loss_svg
from nandoctor.source import Location

VOID = {"meta", "br", "path", "circle", "polyline"}


class Balanced(HTMLParser):
    """Fails on a tag that closes out of order; keeps the tags and attributes seen."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    return samples.knowledge()


def parsed(page: str) -> Balanced:
    reader = Balanced()
    reader.feed(page)
    assert reader.open == []
    return reader


@pytest.mark.parametrize("name", sorted(samples.ALL))
@pytest.mark.parametrize("lang", ["en", "zh", "ko"])
def test_page_is_well_formed_and_needs_nothing_else(name: str, lang: str, kb: KnowledgeBase) -> None:
    page = html.render(samples.ALL[name](), kb, lang=lang)
    seen = parsed(page)
    tags = {tag for tag, _ in seen.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "form"}
    attributes = {attribute for _, attrs in seen.tags for attribute in attrs}
    assert not {a for a in attributes if a.startswith("on")}
    assert not attributes & {"src", "href", "action"}
    assert not re.search(r"url\(|@import|https?://", page)
    assert f'<html lang="{lang}">' in page
    assert not re.search(r"\b(report|verdict|plot|band)\.[a-z]", page)


def test_light_and_dark(kb: KnowledgeBase) -> None:
    page = html.render(samples.exploding(), kb)
    assert "prefers-color-scheme: dark" in page
    assert "default-src 'none'" in page


def test_verdict_evidence_edit_and_places_are_there(kb: KnowledgeBase) -> None:
    page = html.render(samples.exploding(), kb)
    assert '<h1 class="bad">Learning rate too high: very likely (91 %). First step: base_lr 0.5 -&gt; 0.05' in page
    assert '<span class="place">train.log:396</span>' in page
    assert "<del>- base_lr: 0.5</del><ins>+ base_lr: 0.05</ins>" in page
    assert "<td class=n>+14</td>" in page
    assert "hides the fault" in page


def test_healthy_is_green(kb: KnowledgeBase) -> None:
    assert '<h1 class="good">' in html.render(samples.healthy(), kb)


def test_hostile_texts_are_text(kb: KnowledgeBase) -> None:
    evil = '</pre><script>alert(1)</script>\x1b[2J" onload="x'
    weighed = Weighed("precision", "fp16", 3.0, (Location(evil, 2),), Note("log.half", {"what": evil}))
    run = Run((evil,), {}, series=(samples.series(evil, "loss", [1.0, 2.0, math.nan], file=evil),))
    base = samples.exploding()
    edit = replace(base.fastest[0].edits[0], removed=(evil,), added=(evil,))
    page = html.render(
        replace(
            base,
            runs=(run,),
            causes=(RankedCause("fp16-overflow", 0.9, "very likely", (weighed,)),),
            fastest=(Step("use-bf16", "fix", (), 0.5, 3, snippet=evil, patch=evil, edits=(edit,)),),
        ),
        kb,
    )
    seen = parsed(page)
    assert "script" not in {tag for tag, _ in seen.tags}
    assert not any("onload" in attrs for _, attrs in seen.tags)
    assert "\x1b" not in page


def test_code_in_knowledge_texts_is_code() -> None:
    assert html.prose("set `debug_info: true` <now>") == "set <code>debug_info: true</code> &lt;now&gt;"


def svg_of(*values: float, kb: KnowledgeBase) -> ElementTree.Element:
    run = Run(("t.log",), {}, series=(samples.series("loss", "loss", list(values)),))
    return ElementTree.fromstring(loss_svg(run, "en", kb))


def test_curve_is_a_picture_with_a_text_for_those_who_cannot_see_it(kb: KnowledgeBase) -> None:
    picture = ElementTree.fromstring(loss_svg(samples.exploding_run(), "en", kb))
    assert "NaN at iteration 150, train.log:412" in picture.attrib["aria-label"]
    xs = [float(p.split(",")[0]) for p in picture.find("polyline").attrib["points"].split()]  # type: ignore[union-attr]
    assert xs[0] == LEFT
    assert xs == sorted(xs)
    assert max(xs) <= WIDTH - RIGHT


def test_curve_breaks_at_nan(kb: KnowledgeBase) -> None:
    picture = svg_of(1, 2, math.nan, 3, 2, kb=kb)
    assert len(picture.findall("polyline")) == 2
    assert len(picture.findall("circle")) == 1


def test_long_curves_are_thinned_without_losing_a_spike(kb: KnowledgeBase) -> None:
    values = [1.0 + i % 3 * 0.001 for i in range(20000)]
    values[12345] = 50.0
    points = svg_of(*values, kb=kb).find("polyline").attrib["points"].split()  # type: ignore[union-attr]
    assert len(points) < 4000
    tops = [float(p.split(",")[1]) for p in points]
    assert min(tops) < 30


def test_too_few_values_make_no_picture(kb: KnowledgeBase) -> None:
    run = Run(("t.log",), {}, series=(samples.series("loss", "loss", [1.0, math.nan]),))
    assert loss_svg(run, "en", kb) == ""
    assert "one finite value only" in html.render(replace(samples.exploding(), runs=(run,)), kb)
