"""Why: the weight of each piece of evidence for each cause, in decibans (Good 1950), by leaving it out."""

from __future__ import annotations

import math

from nandoctor.diagnosis import Evidence, Weighed
from nandoctor.inference.belief import Belief

SMALL = 0.5  # decibans below this are not worth a line


def _log_odds(probability: float) -> float:
    clipped = min(max(probability, 1e-9), 1.0 - 1e-9)
    return math.log10(clipped / (1.0 - clipped))


def weights(belief: Belief) -> dict[str, list[Weighed]]:
    """For every cause its evidence, strongest first: 10 log10 [ odds(c | e) / odds(c | e without it) ]."""
    out: dict[str, list[Weighed]] = {cause: [] for cause in belief.tables.causes}
    now = {cause: _log_odds(probability) for cause, probability in belief.marginals.items()}
    names = [*belief.counted, *belief._tried]
    for name in names:
        before = belief.without(name)
        item = belief.evidence.get(name) or Evidence(name, "tried", "tried")
        for cause, held in now.items():
            decibans = 10.0 * (held - _log_odds(before[cause]))
            if abs(decibans) >= SMALL:
                out[cause].append(Weighed(name, item.state, round(decibans, 1), item.locations, item.note, item.origin))
    for items in out.values():
        items.sort(key=lambda w: (-abs(w.decibans), w.observation))
    return out
