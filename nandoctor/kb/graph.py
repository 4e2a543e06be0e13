"""The decision graph as text: observation -> cause -> remedy, experiment -> observation, and when a question applies.

Mermaid for Markdown pages, dot for Graphviz. The order is fixed, so that two versions of the knowledge can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeVar

from nandoctor.errors import UsageError
from nandoctor.kb.model import FREQUENCY, Cause, KnowledgeBase, Observation
from nandoctor.kb.schema import did_you_mean

# A link is drawn if it changes the odds of the cause at least so much against the background: in a neighbourhood by a
# factor of two, in the whole graph by three and without what speaks against a cause; Mermaid draws 500 edges at most.
NEAR, WHOLE = math.log(2.0), math.log(3.0)
STRONG = math.log(6.0)  # drawn as a thick line; and what it takes to be drawn as evidence against
WRAP = 28  # characters of a label line

Kind = Literal["observation", "experiment", "cause", "fine", "fix", "trial"]
_MERMAID_SHAPES: dict[Kind, tuple[str, str]] = {
    "observation": ("(", ")"),
    "experiment": ("{{", "}}"),
    "cause": ("[", "]"),
    "fine": ("[", "]"),
    "fix": ("([", "])"),
    "trial": ("[/", "/]"),
}
_DOT_SHAPES: dict[Kind, str] = {
    "observation": "shape=ellipse",
    "experiment": "shape=hexagon",
    "cause": "shape=box, style=filled, fillcolor=mistyrose",
    "fine": "shape=box, style=filled, fillcolor=honeydew",
    "fix": "shape=box, style=rounded",
    "trial": "shape=parallelogram",
}


class Node(NamedTuple):
    """A thing of the knowledge base; `key` is unique over all kinds."""

    key: str
    kind: Kind
    label: str


class Edge(NamedTuple):
    """`style`: strong, plain (evidence and cures), against (evidence that speaks against), relevance (when asked)."""

    source: str
    target: str
    label: str
    style: Literal["strong", "plain", "against", "relevance", "asks"]


def graph(kb: KnowledgeBase, around: str = "", form: str = "mermaid", lang: str = "en") -> str:
    """The graph as text, one statement a line; `around`: one id and its neighbourhood; `form`: mermaid or dot.

    Raises:
        UsageError: an unknown id or form.
    """
    nodes = {node.key: node for node in _nodes(kb, lang)}
    drawn = NEAR if around else WHOLE
    edges = [edge for edge in _edges(kb, drawn) if edge.source in nodes and edge.target in nodes]
    if around:
        nodes, edges = _neighbourhood(kb, around, nodes, edges)
    else:
        edges = [edge for edge in edges if edge.style != "against"]
    if form == "mermaid":
        return _mermaid(list(nodes.values()), edges)
    if form == "dot":
        return _dot(list(nodes.values()), edges)
    raise UsageError(f"unknown format `{form}`: mermaid or dot")


def _nodes(kb: KnowledgeBase, lang: str) -> Iterator[Node]:
    for observation in _by_id(kb.observations):
        kind: Kind = "experiment" if observation.kind == "experiment" else "observation"
        yield Node(f"observation.{observation.id}", kind, observation.title.get(lang))
    for cause in _by_id(kb.causes):
        yield Node(f"cause.{cause.id}", "cause" if cause.fault else "fine", cause.title.get(lang))
    for remedy in _by_id(kb.remedies):
        yield Node(f"remedy.{remedy.id}", "fix" if remedy.kind == "fix" else "trial", remedy.title.get(lang))


_Thing = TypeVar("_Thing")


def _by_id(things: dict[str, _Thing]) -> list[_Thing]:
    return [things[name] for name in sorted(things)]


def _edges(kb: KnowledgeBase, drawn: float) -> Iterator[Edge]:
    for cause in _by_id(kb.causes):
        for name in dict.fromkeys(link.observation for link in cause.shows):
            if name in kb.observations:
                yield from _evidence(cause, kb.observations[name], drawn)
    for cause in _by_id(kb.causes):
        for use in cause.remedies:
            label = _word(use.probability) + (", hides it" if use.masks else "")
            yield Edge(f"cause.{cause.id}", f"remedy.{use.use}", label, "plain")
    for remedy in _by_id(kb.remedies):
        if remedy.asks:
            yield Edge(f"remedy.{remedy.id}", f"observation.{remedy.asks}", "answers", "asks")
    for observation in _by_id(kb.observations):
        for name, states in sorted(observation.applies_when.items()):
            yield Edge(f"observation.{name}", f"observation.{observation.id}", "if " + " or ".join(states), "relevance")


def _evidence(cause: Cause, observation: Observation, drawn: float) -> Iterator[Edge]:
    """One edge for the states that speak for the cause, one for those that speak against it."""
    total = math.fsum(state.background for state in observation.states) or 1.0
    stated = {link.state: link.probability for link in cause.shows if link.observation == observation.id}
    ratios = {s.id: math.log(stated[s.id] * total / s.background) for s in observation.states if s.id in stated}
    source, target = f"observation.{observation.id}", f"cause.{cause.id}"
    lifting = sorted((s for s, r in ratios.items() if r >= drawn), key=lambda s: (-ratios[s], s))
    if lifting:
        label = ", ".join(f"{state}: {_word(stated[state])}" for state in lifting)
        yield Edge(source, target, label, "strong" if ratios[lifting[0]] >= STRONG else "plain")
    excluding = sorted(s for s, r in ratios.items() if r <= -STRONG)
    if excluding:
        label = ", ".join(f"{state}: {_word(stated[state])}" for state in excluding)
        yield Edge(source, target, label, "against")


def _word(probability: float) -> str:
    """The nearest word for a frequency."""
    if probability <= 0.02:
        return "never"
    return min(FREQUENCY, key=lambda word: abs(FREQUENCY[word] - probability))


def _neighbourhood(
    kb: KnowledgeBase, around: str, nodes: dict[str, Node], edges: list[Edge]
) -> tuple[dict[str, Node], list[Edge]]:
    """The nodes one step from `around`, and for a cause or observation what its causes' cures are."""
    centres = [key for key in nodes if key.partition(".")[2] == around]
    if not centres:
        known = [*kb.observations, *kb.causes, *kb.remedies]
        raise UsageError(f"unknown id `{around}`{did_you_mean(around, known)}")
    kept = set(centres)
    for edge in edges:
        if edge.source in centres or edge.target in centres:
            kept |= {edge.source, edge.target}
    if any(nodes[key].kind in ("observation", "experiment") for key in centres):
        causes = {key for key in kept if nodes[key].kind in ("cause", "fine")}
        kept |= {edge.target for edge in edges if edge.source in causes}
    near = [e for e in edges if e.source in kept and e.target in kept and (_touches(e, centres) or _cures(e, nodes))]
    return {key: node for key, node in nodes.items() if key in kept}, near


def _touches(edge: Edge, centres: list[str]) -> bool:
    return edge.source in centres or edge.target in centres


def _cures(edge: Edge, nodes: dict[str, Node]) -> bool:
    return nodes[edge.source].kind == "cause" and nodes[edge.target].kind == "fix"


# --- the two formats


def _mermaid(nodes: list[Node], edges: list[Edge]) -> str:
    """Flowchart; labels as quoted strings with entities, so that no text can break out."""
    arrows = {"strong": "==>", "plain": "-->", "against": "--x", "relevance": "-.->", "asks": "-->"}
    lines = ["flowchart LR"]
    for node in nodes:
        opening, closing = _MERMAID_SHAPES[node.kind]
        lines.append(f'  {_name(node.key)}{opening}"{_entities(_wrapped(node.label, "<br>"))}"{closing}')
    for edge in edges:
        label = _entities(("against: " if edge.style == "against" else "") + edge.label)
        lines.append(f'  {_name(edge.source)} {arrows[edge.style]}|"{label}"| {_name(edge.target)}')
    for kind, style in (("cause", "fill:#fde0dc,stroke:#b3261e"), ("fine", "fill:#e3f4e1,stroke:#2e7d32")):
        if members := [_name(node.key) for node in nodes if node.kind == kind]:
            lines.append(f"  classDef {kind} {style}")
            lines.append(f"  class {','.join(members)} {kind}")
    return "\n".join(lines) + "\n"


def _dot(nodes: list[Node], edges: list[Edge]) -> str:
    styles = {
        "strong": "penwidth=2",
        "plain": "penwidth=1",
        "against": "style=dashed, color=gray40, arrowhead=tee",
        "relevance": "style=dotted",
        "asks": "style=bold",
    }
    lines = ["digraph nandoctor {", "  rankdir=LR;"]
    for node in nodes:
        label = _quoted(_wrapped(node.label, "\n"))
        lines += [f"  {_quoted(node.key)} [label={label}, {_DOT_SHAPES[node.kind]}];"]
    for edge in edges:
        ends = f"{_quoted(edge.source)} -> {_quoted(edge.target)}"
        lines.append(f"  {ends} [label={_quoted(edge.label)}, {styles[edge.style]}];")
    return "\n".join([*lines, "}"]) + "\n"


def _name(key: str) -> str:
    """A Mermaid node name: `_` for `-`, `__` for `_`; words such as `end` are no danger behind the kind."""
    kind, _, name = key.partition(".")
    safe = (char if char.isascii() and char.isalnum() else {"-": "_", "_": "__"}.get(char, "_0_") for char in name)
    return f"{kind}_{''.join(safe)}"


def _entities(text: str) -> str:
    """Text inside Mermaid's quotes: signs that end the string or begin markup become entities; `<br>` is ours."""
    safe = text.replace("&", "&amp;").replace('"', "#quot;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(safe.split()).replace("&lt;br&gt;", "<br>").replace("`", "#96;")


def _quoted(text: str) -> str:
    """A dot string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", " ") + '"'


def _wrapped(text: str, end: str) -> str:
    """A label in lines of about `WRAP` characters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > WRAP:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return end.join(lines)
