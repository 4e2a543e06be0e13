"""Runs every check of the knowledge base over net, solver and log; gathers findings, evidence, edits.

Parameters that the engine itself reads from `params`: `finding: false` (evidence only), `also` (further
`observation=state` pairs it shows), `also_clear` (the same, when nothing fired), `clear_trust`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from nandoctor.checks import fields
from nandoctor.checks.look import Arg, Look, Match, could_not, shown
from nandoctor.checks.material import Material
from nandoctor.diagnosis import CouldNotCheck, Evidence, Finding, Note, Origin
from nandoctor.kb.model import Check, Edit, KnowledgeBase
from nandoctor.source import Location

Detector = Callable[[Material, Check], Look | None]
SEVERITIES = ("note", "warning", "error")
# What a static check that ran and found nothing is worth: the file may still be overridden from outside.
CLEAR_TRUST = 0.9
SHOWN_NAMES = 3
MAX_LOCATIONS = 20


class CheckResult(msgspec.Struct, frozen=True):
    """What the static checks say.

    edits: check id -> the concrete edits that would correct what it found, with layer names.
    """

    findings: tuple[Finding, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    could_not_check: tuple[CouldNotCheck, ...] = ()
    edits: dict[str, tuple[Edit, ...]] = {}


class _Claim(msgspec.Struct, frozen=True):
    """A piece of evidence with the rank of the check it comes from."""

    rank: tuple[int, float]
    evidence: Evidence


class Tally:
    """Collects what the checks say about each observation: the worst one wins, clear only if all ran clear."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self.kb = kb
        self.fired: dict[str, list[_Claim]] = {}
        self.cleared: dict[str, Evidence] = {}
        self.open: dict[str, CouldNotCheck] = {}

    def fire(self, check: Check, observation: str, evidence: Evidence) -> None:
        """A check fired."""
        rank = (SEVERITIES.index(check.severity), evidence.trust)
        self.fired.setdefault(observation, []).append(_Claim(rank, evidence))

    def clear(self, observation: str, evidence: Evidence) -> None:
        """A check looked and found nothing; the places of several add up."""
        held = self.cleared.get(observation)
        if held is not None and held.state == evidence.state:
            at = tuple(dict.fromkeys((*held.locations, *evidence.locations)))[:MAX_LOCATIONS]
            evidence = msgspec.structs.replace(held, locations=at, trust=min(held.trust, evidence.trust))
        self.cleared[observation] = evidence

    def could_not(self, observation: str, open_: CouldNotCheck) -> None:
        """A check could not tell."""
        self.open.setdefault(observation, open_)

    def evidence(self) -> tuple[Evidence, ...]:
        """One piece of evidence per observation."""
        found = {name: max(claims, key=lambda c: c.rank).evidence for name, claims in self.fired.items()}
        for name, item in self.cleared.items():
            if name not in found and name not in self.open:
                found[name] = item
        return tuple(item for name, item in found.items() if self.known(item))

    def unsettled(self) -> tuple[CouldNotCheck, ...]:
        """What could not be told, where nothing else told it."""
        return tuple(
            item for name, item in self.open.items() if name not in self.fired and name in self.kb.observations
        )

    def known(self, item: Evidence) -> bool:
        """Whether the knowledge base has the observation and the state; an overlay may have dropped it."""
        observation = self.kb.observations.get(item.observation)
        return observation is not None and observation.state(item.state) is not None


def run(
    kb: KnowledgeBase, material: Material, detectors: dict[str, Detector], gaps: Iterable[CouldNotCheck] = ()
) -> CheckResult:
    """Runs all checks whose file is there.

    Args:
        kb: the checks.
        material: what they look at.
        detectors: by the name that check files give.
        gaps: what no check can settle; it is open unless one fires.
    """
    tally = Tally(kb)
    for gap in gaps:
        tally.could_not(gap.observation, gap)
    findings: list[Finding] = []
    edits: dict[str, tuple[Edit, ...]] = {}
    for check in kb.checks.values():
        if not _applies(check, material):
            continue
        look = detectors[check.detector](material, check) if check.detector else _compare(material, check)
        if look is None:
            continue
        _weigh(tally, material, check, look)
        if look.matches and check.params.get("finding") is not False:
            findings.append(_finding(check, look.matches))
            made = _edits(check, look.matches)
            if made:
                edits[check.id] = made
    findings.sort(key=lambda f: -SEVERITIES.index(f.severity))
    return CheckResult(tuple(findings), tally.evidence(), tally.unsettled(), edits)


def _applies(check: Check, material: Material) -> bool:
    if check.on == "net":
        return material.net is not None
    if check.on == "solver":
        return material.solver is not None
    return True


def _compare(material: Material, check: Check) -> Look | None:
    if check.on == "solver":
        solver = material.solver
        if solver is None:
            return None
        at = fields.places(solver, check.when)
        if fields.holds(solver, check.when):
            return Look((Match(None, at, {"value": shown(fields.value_of(solver, check.when))}),), at)
        return Look((), at)
    candidates = [layer for layer in material.layers if not check.layer_type or layer.type in check.layer_type]
    matches = [
        Match(layer, fields.places(layer, check.when), {"value": shown(fields.value_of(layer, check.when))})
        for layer in candidates
        if fields.holds(layer, check.when)
    ]
    return Look(tuple(matches), tuple(layer.location for layer in candidates))


def _weigh(tally: Tally, material: Material, check: Check, look: Look) -> None:
    origin = _origin(material, check, look)
    if look.matches:
        worst = max(look.matches, key=lambda m: m.trust or check.trust)
        state = worst.state or check.state
        at = _places(look.matches)
        note = Note(f"check:{check.id}", _args(check, look.matches))
        trust = worst.trust or check.trust
        for name, shows in ((check.observation, state), *pairs(check, "also")):
            if name:
                tally.fire(check, name, Evidence(name, shows, origin, at, note, trust, hint=check.hint))
        return
    if look.open is not None:
        because, how = look.open
        for name in (check.observation, *(name for name, _ in pairs(check, "also"))):
            if name:
                tally.could_not(name, CouldNotCheck(name, because, how))
        return
    if excerpt := _excerpt(material, check):
        because, how = could_not(f"{excerpt}-excerpt", f"give-{excerpt}")
        for name, shows in ((check.observation, check.clear), *pairs(check, "also_clear")):
            if name and shows:
                tally.could_not(name, CouldNotCheck(name, because, how))
        return
    trust = look.trust or float(check.params.get("clear_trust", CLEAR_TRUST))
    at = look.at[:MAX_LOCATIONS]
    for name, shows in ((check.observation, check.clear), *pairs(check, "also_clear")):
        if name and shows:
            tally.clear(name, Evidence(name, shows, origin, at, None, trust))


def _excerpt(material: Material, check: Check) -> str:
    """`net` or `solver` if the check looked only at an excerpt, in which absence says nothing."""
    if check.on == "net" and not material.whole_net:
        return "net"
    return "solver" if check.on == "solver" and not material.whole_solver else ""


def _origin(material: Material, check: Check, look: Look) -> Origin:
    """Whose word it is: the file of a check of one file, else that of the first place cited."""
    if check.on != "both":
        return check.on
    first = next((at.file for match in look.matches for at in match.at), "")
    if material.solver is not None and first == material.solver.file:
        return "solver"
    return "net" if material.net is not None and first == material.net.file else "log"


def pairs(check: Check, key: str) -> list[tuple[str, str]]:
    """The `observation=state` pairs of a parameter."""
    text = check.params.get(key, "")
    return [(name, state) for name, _, state in (pair.partition("=") for pair in str(text).split())] if text else []


def _finding(check: Check, matches: tuple[Match, ...]) -> Finding:
    note = Note(f"check:{check.id}", _args(check, matches))
    return Finding(check.id, check.severity, note, _places(matches), causes=check.causes)


def _places(matches: Iterable[Match]) -> tuple[Location, ...]:
    return tuple(dict.fromkeys(at for match in matches for at in match.at))[:MAX_LOCATIONS]


def _args(check: Check, matches: tuple[Match, ...]) -> dict[str, Arg]:
    """The first match's own values, and the names of all layers that fired."""
    args: dict[str, Arg] = {"state": matches[0].state or check.state, **matches[0].args}
    names = list(dict.fromkeys(shown(match.layer.name) for match in matches if match.layer is not None))
    if names:
        more = f", … ({len(names)})" if len(names) > SHOWN_NAMES else ""
        args = {"layer": names[0], "layers": ", ".join(names[:SHOWN_NAMES]) + more, **args}
        first = matches[0].layer
        args.setdefault("type", shown(first.type) if first is not None else "")
    return args


def _edits(check: Check, matches: tuple[Match, ...]) -> tuple[Edit, ...]:
    """The check's edits with `{check}` replaced by the name of each layer that fired, and {values} filled in."""
    made: list[Edit] = []
    for edit in check.edits:
        for match in matches if "{check}" in edit.layer else matches[:1]:
            args = {key: str(value) for key, value in match.args.items()}
            name = match.layer.name if match.layer is not None else ""
            made.append(
                msgspec.structs.replace(
                    edit,
                    layer=edit.layer.replace("{check}", name),
                    path=_filled(edit.path, args),
                    value=_filled(edit.value, args),
                )
            )
    return tuple(dict.fromkeys(made))


def _filled(text: str, args: dict[str, str]) -> str:
    for key, value in args.items():
        text = text.replace("{" + key + "}", value)
    return text
