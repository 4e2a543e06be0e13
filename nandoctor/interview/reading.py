"""Files and pasted texts: asking the host to read them, and telling what they answered."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nandoctor.consultation import Consultation
from nandoctor.errors import NandoctorError
from nandoctor.events import Read, Said
from nandoctor.ingest import Ingested, Inputs
from nandoctor.interview import hearing, reasons, visits
from nandoctor.interview.pending import AtPlan, Carried, Free, SameRun
from nandoctor.interview.replies import FilesRead, Heard, Picking, Reply, Sentence, Understood, Unusable
from nandoctor.interview.returning import go_back, welcome_back
from nandoctor.interview.state import Earlier, Interview, ReadFiles, Turn, go_on, plan_steps


def pasted(now: Interview, text: str, kind: str) -> Turn:
    """A pasted log, net or solver of any length."""
    count = sum(len(e.inputs.texts) for e in now.consultation.events[-1:] if isinstance(e, Read))
    count = max((len(e.inputs.texts) for e in now.consultation.events if isinstance(e, Read)), default=count)
    return read(now, Inputs(texts=((hearing.paste_name(count), text),)), is_log=kind == "log")


def read(
    now: Interview,
    inputs: Inputs,
    told: Sequence[Reply] = (),
    *,
    sure: bool = False,
    joined: bool = False,
    is_log: bool | None = None,
) -> Turn:
    """Asks the host to read. After a verdict, a log may be of another run: then the owner is asked first (`sure`: was).

    joined: words of the same line were taken already, and are undone with the files.
    """
    log = bool(inputs.logs or inputs.run_dir) if is_log is None else is_log
    if log and not sure:
        held = now.consultation.ingested.run is not None
        if now.earlier is not None and now.returning and (held or now.earlier.lines):
            return new_run(now, inputs, told, joined=joined)
        if isinstance(now.pending, AtPlan | Carried) and (held or now.returning):
            return Turn(now.having(pending=SameRun(inputs)), (*told, Picking("ask.same-run")))
    return Turn(now.having(wanted=inputs, joined=joined, rerun=""), tuple(told), ReadFiles(inputs))


def new_run(
    now: Interview, inputs: Inputs, told: Sequence[Reply] = (), *, joined: bool = False, sure: bool = False
) -> Turn:
    """A later run: what was believed becomes `earlier`; what the old log showed is dropped.

    Unless the owner said that it is one (`sure`), reading it may show that it is the run of last time.
    """
    then = now.before if joined and now.before else now  # words of the same line are about the new run
    earlier = now.earlier
    if not now.returning or (then.before is not None and then.consultation.ingested.run is not None):
        earlier = visits.summary(then.consultation, plan_steps(then), then.later)
    fresh, wanted = visits.afresh(now.consultation, inputs)
    reading = now.step(
        fresh, earlier=earlier, wanted=wanted, pending=Free(), joined=True, rerun="surely" if sure else "perhaps"
    )
    return Turn(reading, tuple(told), ReadFiles(wanted))


def after_reading(now: Interview, read_into: Consultation) -> Turn:
    """The files of a `ReadFiles` effect were read into this consultation. Files of no use change nothing."""
    names = hearing.names(now.wanted) if now.wanted else ()
    old, new = now.consultation.ingested, read_into.ingested
    resting = now.having(wanted=None, joined=False)
    if now.rerun and now.before is not None and now.earlier is not None:
        return _later_run(now, now.before, now.earlier, read_into)
    if now.opens:
        return opened(resting.having(consultation=read_into, opens=False))
    if _useless(old, new):
        told: list[Reply] = [Unusable(error) for error in _new_errors(old, new)]
        known = set(names) <= set(hearing.names(visits.last_inputs(now.consultation)))
        if not told:
            told = [
                Sentence("say.nothing-new" if known else "say.nothing-in-it", {"file": ", ".join(names)}, "warning")
            ]
        return _unread(now, resting, told)
    fuller = resting.having(consultation=read_into, before=now.before if now.joined else now.having(wanted=None))
    replies: list[Reply] = [files_read(fuller, old, names)]
    since = now.before if now.joined and now.before else now
    return go_on(fuller, replies, since)


def _later_run(now: Interview, before: Interview, earlier: Earlier, read_into: Consultation) -> Turn:
    """Files of a later run were read: it is compared with the run before, unless it is that run."""
    wanted = now.wanted or Inputs()
    given, old, new = hearing.names(wanted), before.consultation.ingested, read_into.ingested
    back = before.having(wanted=None, lang=now.lang)
    if new.run is None:
        brought = Inputs(net=new.net.file if new.net else "", solver=new.solver.file if new.solver else "")
        if wanted.run_dir and brought:  # a folder without a log is no run
            return read(back, brought)
        told: list[Reply] = [Unusable(error) for error in _new_errors(old, new)]
        told = told or [Sentence("say.nothing-in-it", {"file": ", ".join(given)}, "warning")]
        return go_back(back, [*told, Sentence("say.nothing-lost")])
    known = "other"
    if now.rerun == "perhaps" and now.returning:
        known = visits.same_run(earlier, new.run, [name for name, _ in wanted.texts])
    if known == "longer":
        return Turn(back.having(pending=SameRun(wanted)), (Picking("ask.same-run"),))
    if known == "same" and _useless(old, new):
        return go_back(back, [Sentence("say.nothing-new", {"file": ", ".join(given)}, "warning")])
    if known == "same":
        held = Consultation(read_into.kb, (*before.consultation.events, Read(wanted)), new)
        fuller = before.having(consultation=held, wanted=None, lang=now.lang, before=before)
        return go_on(fuller, [files_read(fuller, old, given)], before)
    after = now.having(consultation=read_into, wanted=None, joined=False, rerun="", earlier=earlier)
    return welcome_back(after, [files_read(after, now.consultation.ingested, given)])


def _unread(now: Interview, resting: Interview, told: list[Reply]) -> Turn:
    """Nothing could be used: the words said with it stay, everything else is as before."""
    if not resting.consultation.events:
        return Turn(resting, (*told, Sentence("say.go-on-without")))
    if now.joined and now.before:
        return go_on(resting, told, now.before)
    return go_on(resting, [*told, Sentence("say.nothing-lost")])


def _useless(old: Ingested, new: Ingested) -> bool:
    """Whether reading brought nothing that was not held before."""
    if (new.net is None) != (old.net is None) or (new.solver is None) != (old.solver is None):
        return False
    return _numbers(old) == _numbers(new) and new.evidence == old.evidence and new.findings == old.findings


def _numbers(held: Ingested) -> bytes:
    """What a log told, whatever it may mean; encoded, since a NaN is not equal to itself."""
    run = held.run
    return msgspec.msgpack.encode((run.series, run.events, run.layers) if run is not None else ((), (), ()))


def files_read(now: Interview, old: Ingested, names: tuple[str, ...]) -> FilesRead:
    """What the files told that was not known from files before."""
    new, kb = now.consultation.ingested, now.consultation.kb
    held = {(item.observation, item.state) for item in old.evidence}
    fresh = tuple(item for item in new.evidence if (item.observation, item.state) not in held)
    asked = {item.observation for item in fresh if item.observation in kb.observations}
    run = new.run
    return FilesRead(
        names=names,
        evidence=reasons.telling(now.consultation, fresh),
        questions=sum(kb.observations[name].question is not None for name in asked),
        framework=now.consultation.framework,
        lines=run.lines if run else 0,
        first=run.first_step if run else None,
        last=run.last_step if run else None,
        has_run=run is not None and run != old.run,
        has_net=new.net is not None and old.net is None,
        has_solver=new.solver is not None and old.solver is None,
        in_log=new.net_in_log or new.solver_in_log,
        errors=_new_errors(old, new),
        notes=tuple(note for note in new.notes if note not in old.notes),
    )


def _new_errors(old: Ingested, new: Ingested) -> tuple[NandoctorError, ...]:
    """What could not be used now and was not told before."""
    told = {str(error) for error in old.errors}
    return tuple(error for error in new.errors if str(error) not in told)


def opened(now: Interview) -> Turn:
    """A visit that begins with files read, words said or answers given already."""
    held = now.consultation
    replies: list[Reply] = [Sentence("say.welcome-given")]
    words = [item for event in held.events if isinstance(event, Said) for item in event.understood]
    heard = tuple(Heard(item.observation, item.state, "", item.trust) for item in words)
    if heard:
        replies.append(Understood(heard))
    inputs = visits.last_inputs(held)
    if inputs and not _useless(Ingested(), held.ingested):
        replies.append(files_read(now, Ingested(), hearing.names(inputs)))
    elif inputs:
        replies += [Unusable(error) for error in held.ingested.errors]
    if not held.evidence:
        return Turn(now, (*replies, Sentence("say.go-on-without")))
    return go_on(now.having(heard=heard), replies, now.having(consultation=Consultation(held.kb)))
