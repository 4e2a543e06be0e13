"""`explain ID`: one page for every entity, in three languages, at any width."""

from __future__ import annotations

import pytest

from nandoctor.errors import UsageError
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import Cause, KnowledgeBase, Shows, Text
from nandoctor.render.explain import explain
from nandoctor.render.width import display_width

KB = load_knowledge(cache=False)
EVERY = sorted({*KB.causes, *KB.observations, *KB.remedies, *KB.checks, *KB.dialects})


@pytest.mark.parametrize("lang", ["en", "zh", "ko"])
def test_every_entity_has_a_page_that_fits(lang: str) -> None:
    for entity in EVERY:
        page = explain(KB, entity, lang, width=72)
        assert entity in page
        assert "explain." not in page, f"a text is missing for {entity}"
        code = any(entity in kind for kind in (KB.causes, KB.remedies, KB.dialects, KB.checks))
        for line in page.splitlines():
            assert line == line.rstrip()
            if not code:
                assert display_width(line) <= 72


def test_a_cause_under_its_fixed_headings() -> None:
    page = explain(KB, "learning-rate-too-high").splitlines()
    headings = [above for above, line in zip(page, page[1:]) if line and set(line) == {"-"}]
    assert headings == [
        "What it is",
        "How it shows",
        "What speaks against it",
        "What is claimed and what is true",
        "Remedies",
        "How to find out",
        "Sources",
    ]
    text = "\n".join(page)
    assert "because no update has been applied yet" in " ".join(text.split())
    assert "base_lr: 0.001" in text  # the first remedy's code


def test_an_observation_names_the_causes_it_speaks_for() -> None:
    page = " ".join(explain(KB, "zero_lr_effect").split())
    assert "speaks for" in page
    assert "learning-rate-too-high (×0.0)" in page.split("[still_nan]")[1].split("[fine]")[0]


def test_a_remedy_tells_steps_code_and_what_it_cures() -> None:
    page = explain(KB, "clip-gradients")
    assert "hides the fault instead of curing it" in " ".join(page.split())
    assert "clip_gradients" in page
    assert "recurrent-gradient-explosion" in page


def test_an_id_of_two_things_gives_both_pages() -> None:
    both = sorted(set(KB.causes) & set(KB.checks))
    assert both, "no cause and check share an id"
    page = explain(KB, both[0])
    assert f"{both[0]} (cause)" in page
    assert f"{both[0]} (check of net or solver)" in page


def test_unknown_ids_are_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean `learning-rate-too-high`"):
        explain(KB, "learning-rate-to-high")
    with pytest.raises(UsageError, match=r"unknown id `zzzz`$"):
        explain(KB, "zzzz")


def test_foreign_text_cannot_reach_the_terminal() -> None:
    nasty = Cause(
        "nasty", Text("a \x1b[31mred\u202e title"), Text("tab\tand\x00nul"), "rare", (Shows("lr_size", "huge", 0.5),)
    )
    page = explain(KnowledgeBase({"nasty": nasty}, KB.observations, {}, {}, {}, KB.messages), "nasty")
    assert not any(char in page for char in "\x1b\u202e\x00\t")


def test_a_page_survives_an_overlay_with_loose_ends() -> None:
    loose = Cause("loose", Text("Loose"), Text("Ends."), 0.02, (Shows("gone", "yes", "often"),))
    page = explain(KnowledgeBase({"loose": loose}, {}, {}, {}, {}, {}), "loose")
    assert "Loose" in page
