"""The conversation: one line of the owner's input in, replies out.

Terminal interface, plain mode and transcripts share it, so that the same lines give the same replies everywhere.
Reading and writing files is left to the host: a turn may end with an effect (`ReadFiles`, `SaveReport`, `Leave`), whose
result comes back as `after_reading` or `after_saving`.
"""

from __future__ import annotations

from nandoctor.consultation import Consultation
from nandoctor.ingest import Inputs
from nandoctor.interview import hearing, reading, reasons
from nandoctor.interview import privileges as ask_for
from nandoctor.interview.answering import pick, words
from nandoctor.interview.pending import UNKNOWN_KEY, Ask, AtPlan, Choice, Free
from nandoctor.interview.reading import after_reading
from nandoctor.interview.replies import Guide, Held, Reply, Sentence
from nandoctor.interview.requests import Request, request, unknown_request
from nandoctor.interview.resuming import resume
from nandoctor.interview.returning import go_back
from nandoctor.interview.state import Earlier, Effect, Interview, Leave, ReadFiles, SaveReport, Turn, ask, repeat, stay


def begin(consultation: Consultation, lang: str = "en", inputs: Inputs | None = None) -> Interview:
    """A conversation over a consultation; `inputs` are files that the host is to read first."""
    return Interview(consultation, lang, wanted=inputs or None, opens=bool(inputs))


def opening(now: Interview) -> Turn:
    """The first words of a visit; files that wait to be read are asked for first."""
    if now.earlier:
        return _returned(now, now.earlier)
    if now.wanted:
        return Turn(now, (), ReadFiles(now.wanted))
    if not now.consultation.events:
        return stay(now, Sentence("say.welcome"))
    return reading.opened(now)


def turn(now: Interview, line: str) -> Turn:
    """One line (or one pasted text) of the owner. Never raises for anything that can be typed."""
    line = line.replace("\r\n", "\n").replace("\r", "\n")  # terminals paste line ends as returns
    text = line.strip()
    if hearing.is_binary(text):
        return stay(now, Sentence("say.binary-paste", level="warning"))
    if "\n" in text:
        kind = hearing.kind_of(text)
        if kind != "words":
            return reading.pasted(now, line.strip("\r\n"), kind)
        text = " ".join(text.split())[: hearing.WORDS_LIMIT]
    if not text:
        return repeat(now)
    asked = request(text)
    if asked:
        return _requested(now, asked)
    choice = next((c for c in now.choices if c.key == text), None)
    if choice is not None:
        return pick(now, choice)
    unknown = unknown_request(text)
    if unknown and not any(map(hearing.exists, hearing.paths(text))):
        typed, near = unknown
        form = "say.did-you-mean" if near else "say.no-such-request"
        return stay(now, Sentence(form, {"text": typed[:40], "near": near}, "warning"))
    if text in ("?", "？"):
        return ask_for.find_out(now) if isinstance(now.pending, Ask) else stay(now, Guide())
    if text.isdecimal() and now.choices:
        return stay(now, Sentence("say.no-such-choice", {"text": text[:40]}, "warning"))
    return words(now, text)


def stopped_reading(now: Interview) -> Turn:
    """The owner stopped the reading: as if the files had not been given."""
    if now.joined and now.before is not None:
        now = now.before.having(lang=now.lang)
    return repeat(now.having(wanted=None, joined=False, opens=False), Sentence("say.reading-stopped"))


def after_saving(now: Interview, path: str, error: str = "") -> Turn:
    """The report of a `SaveReport` effect was written, or could not be."""
    if error:
        return stay(now, Sentence("say.not-saved", {"file": path, "detail": error}, "warning"))
    return stay(now, Sentence("say.saved", {"file": path}))


def _requested(now: Interview, asked: Request) -> Turn:
    name, argument = asked
    match name:
        case "why":
            return ask_for.why(now)
        case "find":
            return ask_for.find_out(now)
        case "how":
            return ask_for.how(now, argument)
        case "whatif":
            return stay(now, reasons.flips(now.consultation))
        case "undo":
            return ask_for.undo(now, argument)
        case "wrong":
            return ask_for.wrong(now, argument)
        case "evidence":
            return stay(now, Held(reasons.telling(now.consultation, now.consultation.evidence)))
        case "plan":
            return ask_for.plan(now, argument)
        case "step":
            return ask_for.step_number(now, argument)
        case "tried":
            return ask_for.tried(now, argument)
        case "more":
            return ask_for.more(now)
        case "later":
            return ask_for.later(now)
        case "skip":
            zero = next((c for c in now.choices if c.key == UNKNOWN_KEY), None)
            return pick(now, zero) if zero else stay(now, Sentence("say.nothing-asked", level="hint"))
        case "save":
            return ask_for.save(now, argument)
        case "lang":
            return ask_for.language(now, argument)
        case "read":
            return _read_path(now, argument)
        case "repeat":
            return repeat(now)
        case "quit":
            return Turn(now, (Sentence("say.goodbye"),), Leave())
    return stay(now, Guide())


def _read_path(now: Interview, argument: str) -> Turn:
    found = hearing.paths(argument) or ((argument,) if argument else ())
    if not found:
        return stay(now, Sentence("say.read-how", level="hint"))
    missing = [path for path in found if not hearing.exists(path)]
    if missing:
        return stay(now, *(Sentence("say.no-such-file", {"file": path}, "warning") for path in missing))
    return reading.read(now, hearing.inputs_of(found))


def _greeting(earlier: Earlier) -> Sentence:
    cause, probability = earlier.ranking[0] if earlier.ranking else ("", 0.0)
    if earlier.verdict == "fault":
        return Sentence("say.welcome-back", {"cause": cause, "probability": probability})
    return Sentence("say.welcome-back-open")


def _returned(now: Interview, earlier: Earlier) -> Turn:
    """A later visit. With nothing new it goes on where it stood, but experiments that were put off come first."""
    told: list[Reply] = [_greeting(earlier)]
    told += [Sentence("say.no-such-file", {"file": name}, "warning") for name in earlier.missing]
    if now.wanted:
        return reading.read(now.having(wanted=None), now.wanted, told)
    if now.later:
        return ask(now, now.later[0], told)
    return go_back(now, told)


__all__ = [
    "Ask",
    "AtPlan",
    "Choice",
    "Effect",
    "Free",
    "Interview",
    "Leave",
    "ReadFiles",
    "SaveReport",
    "Turn",
    "after_reading",
    "after_saving",
    "begin",
    "opening",
    "resume",
    "stopped_reading",
    "turn",
]
