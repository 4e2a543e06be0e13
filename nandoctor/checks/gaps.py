"""What the files leave open whatever they say, and how the owner could settle it."""

from __future__ import annotations

from collections.abc import Iterator

from nandoctor.checks.look import could_not, shown
from nandoctor.checks.material import Material
from nandoctor.diagnosis import CouldNotCheck
from nandoctor.kb.model import KnowledgeBase


def gaps(kb: KnowledgeBase, material: Material) -> list[CouldNotCheck]:
    """Observations that no check can settle with the files at hand, each with the reason and a way."""
    return [*_missing_files(kb, material), *_python_layers(material), *_first_bad_layer(material)]


def _missing_files(kb: KnowledgeBase, material: Material) -> Iterator[CouldNotCheck]:
    """The questions that a net or solver would answer, where a Caffe run comes without it."""
    run = material.run
    if run is not None and run.framework != "caffe":
        return
    lacking = {"net": material.net is None, "solver": material.solver is None}
    if not any(lacking.values()):
        return
    files: dict[str, set[str]] = {}
    for check in kb.checks.values():
        for told in (check.observation, *_also(check.params)):
            files.setdefault(told, set()).add(check.on)
    for observation in kb.observations.values():
        if observation.kind != "setup":
            continue
        single = files.get(observation.id, set()) - {"both"}
        name = next(iter(single), "")
        if len(single) == 1 and lacking.get(name, False):
            because, how = could_not(f"no-{name}", f"give-{name}")
            yield CouldNotCheck(observation.id, because, how)


def _also(params: dict[str, float | str | bool]) -> list[str]:
    return [pair.partition("=")[0] for pair in str(params.get("also", "")).split()]


def _python_layers(material: Material) -> Iterator[CouldNotCheck]:
    """What a Python layer computes is in its code."""
    own = [layer for layer in material.layers if layer.type == "Python" and layer.bottoms]
    if own:
        because, how = could_not("python-layer", "show-python-layer", layer=shown(own[0].name))
        yield CouldNotCheck("loss_arithmetic", because, how)


def _first_bad_layer(material: Material) -> Iterator[CouldNotCheck]:
    """Without debug_info nobody sees which layer goes first."""
    run, solver = material.run, material.solver
    if (run is not None and (run.layers or run.framework != "caffe")) or (run is None and solver is None):
        return
    if solver is None or not solver.flag("debug_info"):
        because, how = could_not("debug-info-off", "debug-info")
        yield CouldNotCheck("first_nonfinite_stage", because, how)
