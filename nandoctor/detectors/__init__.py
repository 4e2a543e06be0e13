"""Facts of a log into observations, each with the lines that say so; or why it could not be checked.

Detectors hold mathematics and named thresholds, never causes. A detector that is unsure reports likelihoods.
"""

from __future__ import annotations

from nandoctor.detectors import course, debug, hints, messages, onset, quantities
from nandoctor.detectors.view import View
from nandoctor.diagnosis import CouldNotCheck, Evidence
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.caffe import Net, Solver
from nandoctor.readers.facts import Run


def observe(
    kb: KnowledgeBase, run: Run | None, net: Net | None, solver: Solver | None
) -> tuple[list[Evidence], list[CouldNotCheck]]:
    """Everything the log answers by itself; `net` and `solver` only sharpen expectations (classes, CPU)."""
    if run is None:
        return [], []
    view = View(run, net, solver)
    evidence: list[Evidence] = []
    unchecked: list[CouldNotCheck] = []
    for detect in (*onset.DETECTORS, *course.DETECTORS, *quantities.DETECTORS, *debug.DETECTORS):
        for item in detect(view):
            if isinstance(item, CouldNotCheck):
                unchecked.append(item)
            elif item.observation in kb.observations:
                evidence.append(item)
    evidence += messages.observe(kb, run)
    evidence += hints.observe(kb, view)
    return evidence, unchecked
