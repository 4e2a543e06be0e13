"""The state of a consultation: what was read, said, answered and tried, as events; everything else is derived.

Immutable: every step returns a new `Consultation`, so undo is free and any order of answers gives the same result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Literal

from nandoctor.diagnosis import Contradiction, Diagnosis, Evidence, Question, RankedCause
from nandoctor.errors import UsageError
from nandoctor.events import Answered, Chose, Event, Read, Said, Tried
from nandoctor.inference import inquiry, planning
from nandoctor.inference.belief import Belief, settled
from nandoctor.inference.tables import NONE_OF_THESE, Tables, build_tables
from nandoctor.ingest import Ingested, Inputs, Progress, ingest
from nandoctor.kb.model import KnowledgeBase
from nandoctor.suspects import ranked, ruled_out

ANSWER_TRUST = 0.97  # an owner's answer is right this often


@lru_cache(maxsize=4)
def _tables(key: int, kb_box: _Box) -> Tables:
    return build_tables(kb_box.kb)


class _Box:
    """Lets an unhashable knowledge base be a cache key by identity."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self.kb = kb

    def __hash__(self) -> int:
        return id(self.kb)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Box) and other.kb is self.kb


class Consultation:
    """One consultation: `open`, `read`, `say`, `answer`, `skip`, `tried`, `undo`; `next_question`, `diagnosis`."""

    def __init__(self, kb: KnowledgeBase, events: tuple[Event, ...] = (), ingested: Ingested | None = None) -> None:
        self.kb = kb
        self.events = events
        self.ingested = ingested or Ingested()

    # --- transitions

    @classmethod
    def open(
        cls,
        *,
        log: str | Sequence[str] = (),
        net: str = "",
        solver: str = "",
        run_dir: str = "",
        answers: Mapping[str, str] | None = None,
        describe: str = "",
        tried: Mapping[str, bool] | None = None,
        kb: KnowledgeBase | None = None,
        knowledge: Sequence[str] = (),
        dialect: str = "",
        input_shapes: Mapping[str, tuple[int, ...]] | None = None,
        progress: Progress | None = None,
    ) -> Consultation:
        """A consultation on what is given; all of it is optional.

        Raises:
            UsageError: an unknown observation, state or remedy id (with the nearest known one).
            KnowledgeError: a knowledge overlay that cannot be used.
        """
        if kb is None:
            from nandoctor.kb.load import load_knowledge

            kb = load_knowledge(knowledge)
        logs = (log,) if isinstance(log, str) else tuple(str(item) for item in log)
        inputs = Inputs(
            run_dir=str(run_dir),
            logs=tuple(item for item in logs if item),
            net=str(net),
            solver=str(solver),
            dialect=dialect,
            input_shapes=dict(input_shapes or {}),
        )
        consultation = cls(kb)
        if inputs:
            consultation = consultation.read(inputs, progress)
        if describe:
            consultation = consultation.say(describe)
        for observation, state in (answers or {}).items():
            consultation = consultation.answer(observation, state, asked=False)
        for remedy, helped in (tried or {}).items():
            consultation = consultation.tried(remedy, helped)
        return consultation

    def read(self, inputs: Inputs, progress: Progress | None = None) -> Consultation:
        """Files (or pasted texts) handed over now, added to those read before; a newer net or solver replaces."""
        merged = self._merged(inputs)
        return Consultation(self.kb, (*self.events, Read(merged)), ingest(self.kb, merged, progress))

    def _merged(self, new: Inputs) -> Inputs:
        old = next((e.inputs for e in reversed(self.events) if isinstance(e, Read)), Inputs())
        return Inputs(
            run_dir=new.run_dir or old.run_dir,
            logs=tuple(dict.fromkeys((*old.logs, *new.logs))),
            net=new.net or old.net,
            solver=new.solver or old.solver,
            dialect=new.dialect or old.dialect,
            input_shapes=old.input_shapes | new.input_shapes,
            texts=(*old.texts, *(t for t in new.texts if t not in old.texts)),
        )

    def answer(self, observation: str, state: str, *, asked: bool = True) -> Consultation:
        """The owner's answer to a question; `unknown` is no evidence. A later answer replaces an earlier one.

        Raises:
            UsageError: an unknown id, with the nearest known one.
        """
        self._require(observation, state)
        kept = tuple(e for e in self.events if not (isinstance(e, Answered) and e.observation == observation))
        return Consultation(self.kb, (*kept, Answered(observation, state, asked)), self.ingested)

    def skip(self, observation: str = "") -> Consultation:
        """ "I don't know" to the given question, or to the one asked now."""
        question = self.next_question()
        name = observation or (question.observation if question else "")
        return self.answer(name, "unknown") if name else self

    def say(self, text: str, understood: Sequence[Evidence] | None = None) -> Consultation:
        """Free words. `understood` overrides what the program makes of them (the owner corrected it)."""
        if understood is None:
            from nandoctor.dialogue import understand

            understood = [
                Evidence(u.observation, u.state, "description", trust=u.trust) for u in understand(text, self.kb)
            ]
        return Consultation(self.kb, (*self.events, Said(text, tuple(understood))), self.ingested)

    def tried(self, remedy: str, helped: bool) -> Consultation:
        """A remedy was tried, and it helped or did not.

        Raises:
            UsageError: an unknown remedy id.
        """
        if remedy not in self.kb.remedies:
            raise UsageError(f"unknown remedy `{remedy}`{_near(remedy, self.kb.remedies)}")
        kept = tuple(e for e in self.events if not (isinstance(e, Tried) and e.remedy == remedy))
        return Consultation(self.kb, (*kept, Tried(remedy, helped)), self.ingested)

    def choose(self, observation: str, keep: Literal["file", "owner"]) -> Consultation:
        """Settles a contradiction between the files and the owner."""
        return Consultation(self.kb, (*self.events, Chose(observation, keep)), self.ingested)

    def undo(self, observation: str = "") -> Consultation:
        """Takes back the answer to `observation`, or the last event of the owner; everything is derived anew."""
        events = list(self.events)
        for place in range(len(events) - 1, -1, -1):
            event = events[place]
            if observation and not (isinstance(event, Answered | Chose) and event.observation == observation):
                continue
            if isinstance(event, Answered) and not event.asked and not observation:
                continue
            del events[place]
            if isinstance(event, Read):
                inputs = next((e.inputs for e in reversed(events) if isinstance(e, Read)), None)
                again = ingest(self.kb, inputs) if inputs else Ingested()
                return Consultation(self.kb, tuple(events), again)
            return Consultation(self.kb, tuple(events), self.ingested)
        return self

    def _require(self, observation: str, state: str) -> None:
        known = self.kb.observations.get(observation)
        if known is None:
            raise UsageError(f"unknown observation `{observation}`{_near(observation, self.kb.observations)}")
        states = [s.id for s in known.states]
        if state != "unknown" and state not in states:
            near = _near(state, states) or f"; it has {', '.join(states)} and unknown"
            raise UsageError(f"`{observation}` has no state `{state}`{near}")

    # --- what is held

    @property
    def tables(self) -> Tables:
        """The numbers of the knowledge base, shared by all consultations over it."""
        return _tables(id(self.kb), _Box(self.kb))

    @cached_property
    def answers(self) -> dict[str, str]:
        """Observation -> state as answered, `unknown` included."""
        return {e.observation: e.state for e in self.events if isinstance(e, Answered)}

    @cached_property
    def asked(self) -> tuple[str, ...]:
        """The observations the program has asked about."""
        return tuple(e.observation for e in self.events if isinstance(e, Answered) and e.asked)

    @cached_property
    def remedies_tried(self) -> dict[str, bool]:
        """Remedy -> whether it helped."""
        return {e.remedy: e.helped for e in self.events if isinstance(e, Tried)}

    @cached_property
    def evidence(self) -> tuple[Evidence, ...]:
        """Everything held, in a fixed order: files, then answers, then descriptions."""
        given = [
            Evidence(e.observation, e.state, "answer", trust=ANSWER_TRUST)
            for e in self.events
            if isinstance(e, Answered) and e.state != "unknown"
        ]
        words = [item for e in self.events if isinstance(e, Said) for item in e.understood]
        owner = {e.observation for e in self.events if isinstance(e, Chose) and e.keep == "owner"}
        files = [item for item in self.ingested.evidence if item.observation not in owner]
        return (*files, *given, *words)

    @cached_property
    def contradictions(self) -> tuple[Contradiction, ...]:
        """Where a file and the owner say different things, and nobody settled it yet."""
        settled_by = {e.observation for e in self.events if isinstance(e, Chose)}
        kept = settled(self.evidence)
        found = []
        for item in self.evidence:
            best = kept[item.observation]
            if (
                item.origin in ("answer", "description")
                and best.origin in ("log", "net", "solver")
                and item.state != best.state
                and not best.likelihoods
                and best.trust >= 0.85
                and item.observation not in settled_by
            ):
                found.append(Contradiction(item.observation, best, item))
        return tuple(found)

    @cached_property
    def belief(self) -> Belief:
        """The posterior over fault sets."""
        outcomes = {
            remedy: planning.outcome_likelihood(self.kb, self.tables.causes, remedy, helped)
            for remedy, helped in self.remedies_tried.items()
        }
        return Belief(self.tables, self.evidence, outcomes)

    def next_question(self) -> Question | None:
        """The question most worth asking now; None when no question is worth asking."""
        return inquiry.next_question(self.belief, self.kb, self.asked)

    def why(self, observation: str = "") -> dict[str, dict[str, float]]:
        """For each state of the question, the causes it would lift or lower: state -> cause -> probability then."""
        question = self.next_question()
        name = observation or (question.observation if question else "")
        if not name or name not in self.tables.rows:
            return {}
        out: dict[str, dict[str, float]] = {}
        for state in self.tables.states[name]:
            marginals = self.belief.marginals_of(self.belief.answered(name, state, ANSWER_TRUST))
            best = sorted(marginals.items(), key=lambda item: (-item[1], item[0]))
            out[state] = dict(best[:3])
        return out

    def how(self, cause: str) -> RankedCause:
        """The evidence for and against one cause.

        Raises:
            UsageError: an unknown cause id.
        """
        for suspect in self.diagnosis.causes:
            if suspect.id == cause:
                return suspect
        raise UsageError(f"unknown cause `{cause}`{_near(cause, self.kb.causes)}")

    # --- the result

    @cached_property
    def causes(self) -> tuple[RankedCause, ...]:
        """Every cause with its evidence, best first."""
        return ranked(self.belief, self.remedies_tried)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """Everything a view shows."""
        from nandoctor.remedying import at_hand, steps

        belief = self.belief
        here = at_hand(self.kb, self.ingested)
        fastest, diagnostic = planning.plans(belief, self.kb, self.remedies_tried, here)
        verdict = belief.verdict()
        framework = self.framework
        question = self.next_question()
        return Diagnosis(
            verdict=verdict,
            causes=self.causes,
            fastest=steps(self.kb, self.ingested, fastest, framework, here) if verdict != "healthy" else (),
            diagnostic=steps(self.kb, self.ingested, diagnostic, framework, here) if verdict != "healthy" else (),
            observations=self.evidence,
            findings=self.ingested.findings,
            runs=(self.ingested.run,) if self.ingested.run else (),
            could_not_check=tuple(c for c in self.ingested.could_not_check if c.observation not in self.answers),
            contradictions=self.contradictions,
            next_question=question,
            what_if=tuple(inquiry.what_if(belief, self.kb, self.asked, trust=ANSWER_TRUST)) if question else (),
            ruled_out=ruled_out(self.causes, belief),
            framework=framework,
            notes=self.ingested.notes,
        )

    @property
    def framework(self) -> str:
        """The program that wrote the log, as the owner would call it; empty if unknown."""
        if self.ingested.run and self.ingested.run.framework:
            return self.ingested.run.framework
        if self.ingested.net or self.ingested.solver:
            return "caffe"
        held = self.belief.evidence.get("framework")
        return held.state if held and not held.hint else ""


def _near(name: str, known: Sequence[str] | Mapping[str, object]) -> str:
    import difflib

    near = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean `{near[0]}`?)" if near else ""


__all__ = ["NONE_OF_THESE", "Consultation", "Inputs"]
