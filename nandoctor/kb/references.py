"""Links between knowledge files: every id that is named must exist."""

from __future__ import annotations

from collections.abc import Iterator

from nandoctor.kb.frameworks import FRAMEWORKS
from nandoctor.kb.load import Loaded, Problem
from nandoctor.kb.schema import did_you_mean
from nandoctor.kb.shelf import NodePath, Shelf, problem

_CODES = {"observations": "KB010", "remedies": "KB012", "causes": "KB013"}
_NAMES = {"observations": "observation", "remedies": "remedy", "causes": "cause"}


def references(shelf: Shelf) -> Iterator[Problem]:
    """Every unknown observation, state, remedy, cause and framework."""
    return _Links(shelf).problems()


class _Links:
    """One walk over all files."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.states = {
            name: [state.id for state in observation.states]
            for name, observation in shelf.entities("observations").items()
        }
        self.frameworks = FRAMEWORKS | set(self.states.get("framework", ()))

    def problems(self) -> Iterator[Problem]:
        for item in self.shelf.files["causes"].values():
            yield from self._cause(item)
        for item in self.shelf.files["observations"].values():
            yield from self._observation(item)
        for item in self.shelf.files["remedies"].values():
            if item.entity.asks:
                yield from self._id(item, ("asks",), "observations", item.entity.asks)
            for field in ("steps_in", "snippets"):
                yield from self._frameworks(item, (field,), getattr(item.entity, field))
        for item in self.shelf.files["dialects"].values():
            for number, event in enumerate(getattr(item.entity, "events", ())):
                yield from self._said(item, ("events", number), event.observation, event.state)
            for number, tell in enumerate(getattr(item.entity, "tells", ())):
                yield from self._said(item, ("tells", number), tell.observation, tell.state)
        for item in self.shelf.files["checks"].values():
            yield from self._check(item)

    def _cause(self, item: Loaded) -> Iterator[Problem]:
        cause = item.entity
        for number, link in enumerate(cause.shows):
            yield from self._said(item, ("shows", number), link.observation, link.state)
        for number, use in enumerate(cause.remedies):
            yield from self._id(item, ("remedies", number, "use"), "remedies", use.use)
        for number, case in enumerate(cause.cases):
            for name, state in case.observations.items():
                path: NodePath = ("cases", number, "observations")
                if name not in self.shelf.known("observations"):
                    yield from self._id(item, path, "observations", name, key=name)
                elif state != "unknown":
                    yield from self._state(item, (*path, name), name, state)

    def _observation(self, item: Loaded) -> Iterator[Problem]:
        observation = item.entity
        yield from self._state(item, ("normal",), observation.id, observation.normal)
        for name, states in observation.applies_when.items():
            if name not in self.shelf.known("observations"):
                yield from self._id(item, ("applies_when",), "observations", name, key=name)
                continue
            for number, state in enumerate(states):
                yield from self._state(item, ("applies_when", name, number), name, state)
        for number, state in enumerate(observation.states):
            for field, conditions in (("implied_by", state.implied_by), ("excluded_by", state.excluded_by)):
                path: NodePath = ("states", number, field)
                for name, states in conditions.items():
                    if name not in self.shelf.known("observations"):
                        yield from self._id(item, path, "observations", name, key=name)
                    for place, other in enumerate(states):
                        yield from self._state(item, (*path, name, place), name, other)
        yield from self._frameworks(item, ("find_out_in",), observation.find_out_in)

    def _check(self, item: Loaded) -> Iterator[Problem]:
        check = item.entity
        yield from self._said(item, (), check.observation, check.state)
        if check.clear:
            yield from self._state(item, ("clear",), check.observation, check.clear)
        for number, cause in enumerate(check.causes):
            yield from self._id(item, ("causes", number), "causes", cause)
        for number, remedy in enumerate(check.remedies):
            yield from self._id(item, ("remedies", number), "remedies", remedy)

    def _said(self, item: Loaded, path: NodePath, observation: str, state: str) -> Iterator[Problem]:
        """An observation with a state of it; both may be empty."""
        if observation:
            yield from self._id(item, (*path, "observation"), "observations", observation)
            if state:
                yield from self._state(item, (*path, "state"), observation, state)
            elif item.kind != "checks" or not item.entity.detector:
                yield problem(item, path, "KB011", f"`{observation}` without a state", key="observation")
        elif state:
            yield problem(item, (*path, "state"), "KB010", f"the state `{state}` of which observation?")

    def _id(self, item: Loaded, path: NodePath, kind: str, name: str, key: str = "") -> Iterator[Problem]:
        known = self.shelf.known(kind)
        if name not in known:
            text = f"unknown {_NAMES[kind]} `{name}`{did_you_mean(name, known)}"
            yield problem(item, path, _CODES[kind], text, key=key)

    def _state(self, item: Loaded, path: NodePath, observation: str, state: str) -> Iterator[Problem]:
        states = self.states.get(observation)
        if states is not None and state not in states:
            near = did_you_mean(state, states) or f"; it has {', '.join(states)}"
            yield problem(item, path, "KB011", f"`{observation}` has no state `{state}`{near}")

    def _frameworks(self, item: Loaded, path: NodePath, named: dict[str, object]) -> Iterator[Problem]:
        for name in named:
            if name not in self.frameworks:
                text = f"unknown framework `{name}`{did_you_mean(name, self.frameworks)}"
                yield problem(item, path, "KB014", text, key=name)
