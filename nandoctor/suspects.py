"""The causes as a view needs them: ranked, with what speaks for and against each, and which of them are out of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from nandoctor.diagnosis import RankedCause, Weighed
from nandoctor.inference import explain
from nandoctor.inference.belief import Belief, band, likelihood

POPULAR = ("learning-rate-too-high",)  # what everybody suspects first
RULED_OUT_AT_MOST = 0.03  # probability up to which a popular suspect is said to be ruled out
RULED_OUT_DECIBANS = -5.2  # and by one piece of evidence of at least a factor of three,
SPEAKS_AGAINST = -1.0  # what is set up has to speak against it by itself, not only by what it does for another cause


def ranked(belief: Belief, tried: Mapping[str, bool]) -> tuple[RankedCause, ...]:
    """Every cause with its evidence, best first. `tried`: remedy -> whether it helped."""
    weighed = {
        cause: [_with_outcome(w, tried) for w in items if _shown(w)] for cause, items in explain.weights(belief).items()
    }
    return tuple(
        RankedCause(
            id=cause,
            probability=probability,
            band=band(probability),
            support=tuple(w for w in weighed[cause] if w.decibans > 0),
            against=tuple(w for w in weighed[cause] if w.decibans < 0),
        )
        for cause, probability in belief.ranking
    )


def _shown(weighed: Weighed) -> bool:
    """What a file says without a line to show (which program wrote the log) counts, and is not listed."""
    return bool(weighed.locations) or weighed.origin not in ("log", "net", "solver")


def _with_outcome(weighed: Weighed, tried: Mapping[str, bool]) -> Weighed:
    """Of a remedy, whether it helped: the weights know only that it was tried."""
    if weighed.origin != "tried":
        return weighed
    return msgspec.structs.replace(weighed, state="helped" if tried[weighed.observation] else "no")


def ruled_out(causes: Sequence[RankedCause], belief: Belief) -> tuple[tuple[str, Weighed], ...]:
    """Popular suspects that the evidence excludes, with the strongest reason."""
    found = []
    for suspect in causes:
        if suspect.id not in POPULAR or suspect.probability > RULED_OUT_AT_MOST:
            continue
        left_out = {w.observation: w for w in suspect.against}
        reasons = [
            min(w, left_out.get(w.observation, w), key=lambda w: w.decibans)
            for w in _alone(suspect.id, belief)
            if w.decibans <= SPEAKS_AGAINST or not belief.tables.of_setup.get(w.observation, False)
        ]
        reasons = [w for w in reasons if w.decibans <= RULED_OUT_DECIBANS]
        # What the run did convinces an owner more than what another fault explains.
        course = [w for w in reasons if not belief.tables.of_setup.get(w.observation, False)]
        if reasons:
            found.append((suspect.id, min(course or reasons, key=lambda w: w.decibans)))
    return tuple(found)


def _alone(cause: str, belief: Belief) -> list[Weighed]:
    """What each piece of evidence would say about a cause if it were the only one.

    Two facts that each exclude the cause leave little for the other to do, and both look weak by leaving them out.
    """
    tables = belief.tables
    index, priors = tables.causes.index(cause), tables.priors
    others = [p if i != index else 0.0 for i, p in enumerate(priors)]
    out = []
    for name in belief.counted:
        item = belief.evidence[name]
        reading = likelihood(item, tables.states[name])
        shown = [math.fsum(p * r for p, r in zip(row, reading)) for row in tables.rows[name]]
        rest = math.fsum(p * s for p, s in zip(others, shown)) / math.fsum(others)
        decibans = round(10.0 * math.log10(shown[index] / rest), 1)
        out.append(Weighed(name, item.state, decibans, item.locations, item.note, item.origin))
    return out
