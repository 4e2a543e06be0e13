"""The decision graph as Mermaid and dot."""

from __future__ import annotations

import re

import pytest

from nandoctor.errors import UsageError
from nandoctor.kb.graph import graph
from nandoctor.kb.model import Cause, KnowledgeBase, Observation, Remedy, RemedyUse, Shows, State, Text

T = Text("a title")


def observation(name: str, kind: str = "course", **more: object) -> Observation:
    states = (State("yes", T, 0.2), State("no", T, 0.8))
    return Observation(name, kind, Text(f"about {name}"), states, "no", **more)  # type: ignore[arg-type]


KB = KnowledgeBase(
    causes={
        "bad-luck": Cause(
            "bad-luck",
            Text('Bad "luck" <b> & `more`\nthan ever'),
            T,
            "rare",
            (Shows("a_b", "yes", "often"), Shows("trial", "yes", 0.01), Shows("trial", "no", 0.99)),
            (RemedyUse("fix-it", "often"), RemedyUse("hide-it", "sometimes", masks=True)),
        ),
        "all-well": Cause("all-well", T, T, "common", (Shows("a_b", "yes", 0.21),), fault=False),
    },
    observations={
        "a_b": observation("a_b"),
        "trial": observation("trial", "experiment"),
        "later": observation("later", applies_when={"a_b": ("yes", "no")}),
    },
    remedies={
        "fix-it": Remedy("fix-it", "fix", Text("Fix \\ it"), (T,), 5, T),
        "hide-it": Remedy("hide-it", "fix", T, (T,), 5, T),
        "try-it": Remedy("try-it", "experiment", T, (T,), 5, T, asks="trial"),
    },
    dialects={},
    checks={},
    messages={},
)


def test_mermaid() -> None:
    assert graph(KB, "bad-luck").splitlines() == [
        "flowchart LR",
        '  observation_a__b("about a_b")',
        '  observation_trial{{"about trial"}}',
        '  cause_bad_luck["Bad #quot;luck#quot; &lt;b&gt; &amp; #96;more#96; than<br>ever"]',
        '  remedy_fix_it(["Fix \\ it"])',
        '  remedy_hide_it(["a title"])',
        '  observation_a__b -->|"yes: often"| cause_bad_luck',
        '  observation_trial --x|"against: yes: never"| cause_bad_luck',
        '  cause_bad_luck -->|"often"| remedy_fix_it',
        '  cause_bad_luck -->|"sometimes, hides it"| remedy_hide_it',
        "  classDef cause fill:#fde0dc,stroke:#b3261e",
        "  class cause_bad_luck cause",
    ]


def test_dot_escapes_and_balances() -> None:
    text = graph(KB, form="dot")
    assert text.startswith("digraph nandoctor {\n")
    assert text.endswith("}\n")
    assert '"remedy.fix-it" [label="Fix \\\\ it", shape=box, style=rounded];' in text
    assert '"Bad \\"luck\\" <b> & `more` than\\never"' in text
    for line in text.splitlines()[1:-1]:
        assert line.endswith(";")
        assert len(re.findall(r'(?<!\\)"', line)) % 2 == 0


def test_whole_graph_holds_everything_and_its_edges_end_at_nodes() -> None:
    text = graph(KB)
    nodes = set(re.findall(r"^  (\w+)[(\[{]", text, re.MULTILINE))
    assert len(nodes) == len(KB.causes) + len(KB.observations) + len(KB.remedies)
    edges = re.findall(r'^  (\w+) \S+\|"([^"]*)"\| (\w+)$', text, re.MULTILINE)
    assert {end for source, _, target in edges for end in (source, target)} <= nodes
    assert ("observation_a__b", "if yes or no", "observation_later") in edges
    assert ("remedy_try_it", "answers", "observation_trial") in edges


def test_neighbourhood_of_an_observation_leads_to_the_cures() -> None:
    text = graph(KB, "a_b")
    assert "cause_bad_luck" in text
    assert "remedy_fix_it" in text
    assert "observation_later" in text
    assert "observation_trial" not in text
    assert "all_well" not in text  # as often as anywhere: no evidence


def test_languages_and_order_are_stable() -> None:
    assert graph(KB, lang="zh") == graph(KB)
    shuffled = KnowledgeBase(
        dict(reversed(KB.causes.items())), dict(reversed(KB.observations.items())), KB.remedies, {}, {}, {}
    )
    assert graph(shuffled) == graph(KB)


def test_unknown_id_and_format() -> None:
    with pytest.raises(UsageError, match="did you mean `bad-luck`"):
        graph(KB, "bad-lack")
    with pytest.raises(UsageError, match="mermaid or dot"):
        graph(KB, form="svg")
