"""What a knowledge file must hold to be of use: backgrounds, languages, reasons, cases, samples, ways to reach it."""

from __future__ import annotations

import math
import string
from collections.abc import Iterator

from nandoctor.kb import model, patterns
from nandoctor.kb.load import Loaded, Problem
from nandoctor.kb.shelf import Shelf, problem, texts

BACKGROUND_TOLERANCE = 0.005  # hand-written numbers with two decimals
MIN_SHOWS = 3  # links; with fewer, a cause is its prior and little else
MAX_STATED = 1.005  # sum of stated frequencies of one observation: its states exclude each other
MODIFIERS = frozenset(
    {"exists", "missing", "eq", "ne", "gt", "ge", "lt", "le", "in", "gt_field", "lt_field", "re"}
)  # of `when`


def reviews(shelf: Shelf) -> Iterator[Problem]:
    """Every problem of the files' contents."""
    for item in shelf.files["causes"].values():
        yield from _cause(item)
    for item in shelf.files["observations"].values():
        yield from _observation(item)
    for item in shelf.files["checks"].values():
        yield from _check(item)
    for item in shelf.files["dialects"].values():
        yield from _quantities(item)
    for item in shelf.everything():
        yield from _languages(item)
        yield from _placeholders(item)
    yield from _messages(shelf)
    yield from _reachable(shelf)
    yield from _circles(shelf)


def _cause(item: Loaded) -> Iterator[Problem]:
    cause: model.Cause = item.entity
    seen: dict[str, dict[str, float]] = {}
    for number, link in enumerate(cause.shows):
        states = seen.setdefault(link.observation, {})
        if link.state in states:
            yield problem(item, ("shows", number), "KB024", f"`{link.observation}: {link.state}` is stated twice")
        states[link.state] = link.probability
        if link.how_often == "never" and not link.because.strip():
            yield problem(item, ("shows", number), "KB023", "`never` needs a reason: add `because`")
    for observation, states in seen.items():
        if (total := math.fsum(states.values())) > MAX_STATED:
            number = next(i for i, link in enumerate(cause.shows) if link.observation == observation)
            text = f"the states of `{observation}` add up to {total:.2f}; they exclude each other"
            yield problem(item, ("shows", number), "KB025", text)
    if len(seen) < MIN_SHOWS:
        text = f"shows {len(seen)} observations; with fewer than {MIN_SHOWS} it can hardly be told from others"
        yield problem(item, (), "KB031", text, key="shows")
    if cause.fault and not cause.remedies:
        yield problem(item, (), "KB030", "no remedies", key="id")
    expected = [case.expect for case in cause.cases]
    if not {"first", "top3"} & set(expected):
        yield problem(item, (), "KB032", "no case in which it must be found (expect: first or top3)", key="cases")
    if not {"not first", "below 5 %"} & set(expected):
        yield problem(item, (), "KB033", "no look-alike (a case with expect: not first, or below 5 %)", key="cases")
    if not cause.sources:
        yield problem(item, (), "KB034", "no sources", key="id")


def _observation(item: Loaded) -> Iterator[Problem]:
    observation: model.Observation = item.entity
    total = math.fsum(state.background for state in observation.states)
    if abs(total - 1.0) > BACKGROUND_TOLERANCE:
        yield problem(item, (), "KB020", f"the backgrounds add up to {total:.3g}, not to 1", key="states")
    ids = [state.id for state in observation.states]
    for number, name in enumerate(ids):
        if name in ids[:number]:
            yield problem(item, ("states", number, "id"), "KB024", f"the state `{name}` stands twice")
        if name == "unknown":
            yield problem(item, ("states", number, "id"), "KB024", "`unknown` is the answer that every question has")
    if observation.id in observation.applies_when:
        yield problem(item, ("applies_when",), "KB044", "it applies only when it is already known", key=observation.id)


def _check(item: Loaded) -> Iterator[Problem]:
    check: model.Check = item.entity
    if bool(check.when) == bool(check.detector):
        yield problem(item, (), "KB062", "a check has either `when` or `detector`", key="id")
    for key, wanted in check.when.items():
        modifier = key.partition("|")[2]
        if modifier and modifier not in MODIFIERS:
            known = ", ".join(sorted(MODIFIERS))
            yield problem(item, ("when",), "KB063", f"unknown modifier `{modifier}`; there are {known}", key=key)
        if modifier == "re" and (wrong := regex_fault(str(wanted))):
            yield problem(item, ("when",), wrong[0], wrong[1], key=key)
    if check.clear and not check.observation:
        yield problem(item, ("clear",), "KB010", f"the state `{check.clear}` of which observation?")
    fires = {sample.fires for sample in check.samples}
    for wanted, words in ((True, "on which it fires"), (False, "on which it does not")):
        if wanted not in fires:
            yield problem(item, (), "KB061", f"no sample {words}", key="samples" if check.samples else "id")


def _quantities(item: Loaded) -> Iterator[Problem]:
    if isinstance(item.entity, model.Quantities):
        rows = [("quantities", number, row.names) for number, row in enumerate(item.entity.quantities)]
        rows += [("tells", number, row.names) for number, row in enumerate(item.entity.tells)]
        for field, number, names in rows:
            for place, name in enumerate(names):
                if wrong := regex_fault(name):
                    yield problem(item, (field, number, "names", place), *wrong)


def regex_fault(regex: str) -> tuple[str, str] | None:
    """(code, text) of a regular expression that does not compile or may take for ever."""
    if wrong := patterns.fault(regex):
        return "KB050", wrong
    if patterns.backtracking(regex):
        return "KB051", "a repeat inside a repeat without a separator: exponential on a hostile line"
    return None


# --- languages


def _languages(item: Loaded) -> Iterator[Problem]:
    """Which languages are missing in how many texts of the file, at the first of them; and what is still to be written.

    Words of owners are no texts for people: an error message is the same in every language.
    """
    missing: list[tuple[tuple[str | int, ...], set[str]]] = []
    for path, text in texts(item.entity):
        if isinstance(text, model.Phrases):
            continue
        if "TODO" in text.en:
            yield problem(item, path, "KB035", f"`TODO` in `{'.'.join(map(str, path))}`")
        lacking = {lang for lang in model.LANGUAGES if not getattr(text, lang)}
        if lacking and not (isinstance(text, model.Message) and _is_name(text.en)):
            missing.append((path, lacking))
    if missing:
        path = missing[0][0]
        languages = ", ".join(lang for lang in model.LANGUAGES if any(lang in lacking for _, lacking in missing))
        where = ".".join(map(str, path))
        count = f"{len(missing)} texts, the first is" if len(missing) > 1 else "the text"
        yield problem(item, path, "KB021", f"{languages} missing in {count} `{where}`")


def _is_name(text: str) -> bool:
    """Whether a text is a proper name or only placeholders: nothing in it would be translated."""
    words = "".join(part[0] for part in string.Formatter().parse(text)).split()
    return all(not word[0].islower() for word in words) and len(words) <= 2


def _placeholders(item: Loaded) -> Iterator[Problem]:
    for path, text in _templates(item.entity):
        fields = {}
        for lang in model.LANGUAGES:
            if words := getattr(text, lang):
                try:
                    fields[lang] = {name for _, name, _, _ in string.Formatter().parse(words) if name is not None}
                except ValueError as exc:
                    yield problem(item, (*path, lang), "KB022", f"no valid text with placeholders: {exc}")
        if "en" not in fields:
            continue
        for lang, named in fields.items():
            if named != fields["en"]:
                odd = ", ".join(f"{{{name}}}" for name in sorted(named ^ fields["en"]))
                yield problem(item, (*path, lang), "KB022", f"`{lang}` and `en` differ in {odd}")


def _templates(entity: object) -> Iterator[tuple[tuple[str | int, ...], model.Text | model.Message]]:
    """The texts that the program fills in."""
    if isinstance(entity, model.Messages):
        yield from (((("messages", i), message)) for i, message in enumerate(entity.messages))
    elif isinstance(entity, model.Check):
        yield ("message",), entity.message
    elif isinstance(entity, model.Dialect):
        for number, event in enumerate(entity.events):
            if event.message:
                yield ("events", number, "message"), event.message


# --- the whole


def _messages(shelf: Shelf) -> Iterator[Problem]:
    """The same message in two files: which of them counts would be chance."""
    seen: dict[str, Loaded] = {}
    for item in shelf.files["texts"].values():
        for number, message in enumerate(item.entity.messages):
            first = seen.setdefault(message.id, item)
            own = [m.id for m in item.entity.messages[:number]]
            if (first is not item and first.path.parent == item.path.parent) or message.id in own:
                yield problem(
                    item, ("messages", number), "KB003", f"`{message.id}` stands in {first.path.name} already"
                )


def _reachable(shelf: Shelf) -> Iterator[Problem]:
    for item in shelf.files["remedies"].values():
        if item.entity.kind == "experiment" and not item.entity.asks:
            yield problem(item, (), "KB042", "an experiment must say which observation it answers: `asks`", key="kind")
    if shelf.unreadable["causes"]:
        return  # a cause that cannot be read may use and mention what the others do not
    causes: dict[str, model.Cause] = shelf.entities("causes")
    used = {use.use for cause in causes.values() for use in cause.remedies}
    mentioned = {link.observation for cause in causes.values() for link in cause.shows}
    for item in shelf.files["remedies"].values():
        if item.entity.kind == "fix" and item.entity.id not in used:
            yield problem(item, (), "KB040", "no cause uses this remedy", key="id")
    for item in shelf.files["observations"].values():
        if item.entity.id not in mentioned:
            yield problem(item, (), "KB041", "no cause mentions this observation: it tells nothing", key="id")


def _circles(shelf: Shelf) -> Iterator[Problem]:
    """States that imply each other: where both are held, neither would count."""
    implied = {
        (name, state.id): {(other, s) for other, states in state.implied_by.items() for s in states}
        for name, observation in shelf.entities("observations").items()
        for state in observation.states
    }
    for (name, state), direct in implied.items():
        reached, pending = set(), list(direct)
        while pending:
            step = pending.pop()
            if step not in reached:
                reached.add(step)
                pending += implied.get(step, ())
        if (name, state) in reached:
            item = shelf.files["observations"][name]
            number = [s.id for s in item.entity.states].index(state)
            text = f"`{state}` is implied by what it implies itself: where both are held, neither counts"
            yield problem(item, ("states", number), "KB045", text, key="implied_by")
