"""Free words to observation states, in English, Chinese, Korean and any mixture; answers to the present question.

The phrases stand in `knowledge/observations/` (their forms: `phrases`). What is denied, asked or only supposed is told
apart (`wording`): a denied phrase means the other state of an observation that has two, else nothing; a question about
a measure or a cause is no statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from nandoctor.kb.model import KnowledgeBase, Observation
from nandoctor.phrases import Index, Match, compiled
from nandoctor.typed import COMMANDS, Command, looks_like_log, looks_like_prototxt, parse_command, paths_in
from nandoctor.wording import NOT, has_cjk, normalised, scope_of, stem

__all__ = [
    "COMMANDS",
    "Command",
    "Understood",
    "answer_in_words",
    "looks_like_log",
    "looks_like_prototxt",
    "parse_command",
    "paths_in",
    "understand",
]

# By kind of reading: phrases, single words, weak hints, suppositions ("maybe"), turned round by a denial. Judged, and
# set below the agreement measured on 95 descriptions of public reports (99 %), because wording not seen yet does worse.
TRUST = {"phrase": 0.9, "word": 0.85, "weak": 0.65, "supposed": 0.62, "denied": 0.75}
FAINT_SCORE, FAINT_COST = 90.0, 0.05  # below that likeness, that much less trust
RIVAL_COST = 0.12  # trust lost where the words also tell another state, nearly as clearly
RIVAL_NEAR = 6.0  # points
LEAST_TRUST = 0.6
WEAK_SCORE = 70.0  # points of a weak hint at most
SUPPOSED_SHARE = 0.8  # of the points
WORD_POINTS, MOST_WORDS = 3.0, 5  # a longer phrase is more specific
REMARKABLE = 4.0  # points for a state that is not the normal one: people mention both sides of a comparison
COVERING = 40  # characters; a longer stretch may well say two things
LABEL_LIKENESS = 86.0  # of an answer and a choice
MAX_TEXT = 20_000  # characters of free words that are read; more is a file

_UNKNOWN = re.compile(
    r"\W*(?:i |we )?(?:do ?n[o']?t know|dunno|no idea|not sure|unsure|no clue|unknown|can ?not (?:say|tell)"
    r"|can'?t (?:say|tell)|idk|pass|skip|\?+)\W*"
    r"|.*(?:不知道|不清楚|不确定|不太清楚|没法确定|说不准|모르|잘 모|글쎄|확실하지 않|확실치 않).*",
    re.DOTALL,
)
_YES = re.compile(
    r"\W*(?:yes|y|yep|yeah|yup|sure|true|correct|of course|it does|it is|i do|是的?|对的?|有的?|嗯|会的?|能|用了|开了"
    r"|네|예|응|맞아요?|맞습니다|그렇습니다|그래요|있습니다|있어요)(?![a-z])"
)
_NO = re.compile(
    r"\W*(?:no|n|nope|nah|never|not|none|false|without|否|不是?|没有?|无|不会|不能|不用|没用|没开"
    r"|아니요?|아뇨|아닙니다|없습니다|없어요?|안 |않)(?![a-z'])"
)
_SPOKEN = {"yes": ("yes", "是", "예"), "no": ("no", "否", "아니요")}  # as the knowledge base writes them


class Understood(NamedTuple):
    """A state that words tell.

    score: likeness, 0 to 100. span: place in the text. trust: how far to believe it, 0.6 to 0.95. size: telling words.
    """

    observation: str
    state: str
    score: float
    phrase: str
    span: tuple[int, int]
    negated: bool = False
    trust: float = 0.85
    size: int = 1


_held: tuple[KnowledgeBase, Index] | None = None


def _index(kb: KnowledgeBase) -> Index:
    global _held  # noqa: PLW0603 - one knowledge base is in use at a time; building takes tens of milliseconds
    if _held is None or _held[0] is not kb:
        _held = (kb, Index(kb))
    return _held[1]


def understand(text: str, kb: KnowledgeBase, *, limit: int = 40) -> tuple[Understood, ...]:
    """What free words tell: at most one state an observation, best first, at most `limit`.

    Only the first `MAX_TEXT` characters are read. Never raises on bad input.
    """
    found = _readings(normalised(text[:MAX_TEXT]), _index(kb), kb)
    return _coherent(_best(found, kb), kb)[:limit]


def _readings(norm: str, index: Index, kb: KnowledgeBase) -> Iterator[Understood]:
    for match in index.matches(norm):
        reading = _judge(match, norm, kb)
        if reading:
            yield reading


def _judge(match: Match, norm: str, kb: KnowledgeBase) -> Understood | None:
    """The reading of one match: dropped if it is asked, turned round or dropped if it is denied."""
    phrase, score = match.phrase, match.score
    scope = scope_of(norm, *match.span)
    if scope.asked:
        return None
    state: str | None = phrase.state
    if match.denied:
        state = _opposite(kb.observations[phrase.observation], phrase.state)
    if state is None:
        return None
    trust = TRUST["phrase"] if match.size > 1 else TRUST["word"]
    if score < FAINT_SCORE:
        trust -= FAINT_COST
    if phrase.weak:
        score, trust = min(score, WEAK_SCORE), TRUST["weak"]
    if match.denied:
        trust = min(trust, TRUST["denied"])
    if scope.supposed:
        score, trust = score * SUPPOSED_SHARE, min(trust, TRUST["supposed"])
    return Understood(
        phrase.observation, state, round(score, 1), phrase.text, match.span, match.denied, round(trust, 3), match.size
    )


def _opposite(observation: Observation, state: str) -> str | None:
    """The other state of an observation that has two."""
    if len(observation.states) != 2:
        return None
    return next(s.id for s in observation.states if s.id != state)


def _weight(item: Understood, kb: KnowledgeBase) -> tuple[float, int, int]:
    """Of two readings the likelier and more telling one, then the longer, then the earlier."""
    remarkable = REMARKABLE if item.state != kb.observations[item.observation].normal else 0.0
    points = item.score + WORD_POINTS * min(item.size, MOST_WORDS) + remarkable
    return points, item.span[1] - item.span[0], -item.span[0]


def _best(found: Iterable[Understood], kb: KnowledgeBase) -> list[Understood]:
    """One state an observation; a rival that is nearly as likely lowers the trust."""
    by_observation: dict[str, list[Understood]] = {}
    for item in found:
        by_observation.setdefault(item.observation, []).append(item)
    kept = []
    for told in by_observation.values():
        items = [item for item in told if not any(_covers(other, item) for other in told)]
        items.sort(key=lambda item: _weight(item, kb), reverse=True)
        first = items[0]
        rival = next((other for other in items[1:] if other.state != first.state), None)
        if rival and _weight(rival, kb)[0] > _weight(first, kb)[0] - RIVAL_NEAR:
            first = first._replace(trust=max(LEAST_TRUST, round(first.trust - RIVAL_COST, 3)))
        kept.append(first)
    return sorted(kept, key=lambda item: (-item.score, item.span, item.observation))


def _covers(long: Understood, short: Understood) -> bool:
    """Whether a reading says more than another one within it ("no warm-up" and "warm-up")."""
    length = long.span[1] - long.span[0]
    inside = long.span[0] <= short.span[0] and short.span[1] <= long.span[1]
    return (
        inside
        and long.state != short.state
        and short.span[1] - short.span[0] < length <= COVERING
        and long.size > short.size
    )


def _coherent(items: Sequence[Understood], kb: KnowledgeBase) -> tuple[Understood, ...]:
    """Without readings that cannot be true together: what does not apply under another reading, the weaker one goes."""
    held = {item.observation: item for item in items}
    for item in sorted(items, key=lambda item: _weight(item, kb)):
        observation = kb.observations[item.observation]
        if observation.kind == "setup" or item.observation not in held:
            continue
        for name, allowed in observation.applies_when.items():
            other = held.get(name)
            if other is None or other.state in allowed:
                continue
            if observation.kind != "clue" and other.state != kb.observations[name].normal:
                continue  # not worth asking then, but it may well be told
            clue = observation.kind == "clue"
            weaker = item if clue else min(item, other, key=lambda reading: _weight(reading, kb))
            held.pop(weaker.observation, None)
            if weaker is item:
                break
    return tuple(item for item in items if item.observation in held)


# --- an answer to the present question


def answer_in_words(text: str, observation: Observation | str, lang: str, kb: KnowledgeBase) -> str | None:
    """The state that an answer to this question names, `unknown`, or None if it cannot be told.

    Takes the number of a choice (one more than there are states: unknown), a state's id or label, yes and no, numbers
    and phrases. `lang` is the language of the screen; words of the other two are understood as well.
    """
    if isinstance(observation, str):
        observation = kb.observations[observation]
    norm = normalised(text[:MAX_TEXT]).strip()
    if not norm:
        return None
    ids = [state.id for state in observation.states]
    if norm.isascii() and norm.isdecimal() and len(norm) < 3 and 1 <= int(norm) <= len(ids) + 1:
        return [*ids, "unknown"][int(norm) - 1]
    if _UNKNOWN.fullmatch(norm):
        return "unknown"
    index = _index(kb)
    bare = norm.rstrip(" .!。！")
    languages = dict.fromkeys((lang, "en", "zh", "ko"))
    for option in observation.states:
        labels = {normalised(option.label.get(language)).rstrip(".") for language in languages}
        if bare in labels or bare in (option.id, option.id.replace("_", " ")):
            return option.id
    for state in ids:
        if any(compiled(pattern).fullmatch(bare) for pattern in index.whole.get((observation.id, state), ())):
            return state
    named = _named(bare, observation, tuple(languages))
    if named:
        return named
    told = [item for item in _readings(norm, index, kb) if item.observation == observation.id]
    if told:
        return _best(told, kb)[0].state
    for word, expression in (("yes", _YES), ("no", _NO)):
        if expression.match(norm):
            return _plain(word, observation, index)
    return None


def _named(norm: str, observation: Observation, languages: Sequence[str]) -> str | None:
    """The state whose label the answer nearly is, or the only one that has its words."""
    from rapidfuzz import fuzz

    likest = max(
        (fuzz.ratio(norm, normalised(state.label.get(language))), -number)
        for number, state in enumerate(observation.states)
        for language in languages
    )
    if likest[0] >= LABEL_LIKENESS:
        return observation.states[-likest[1]].id
    if has_cjk(norm):
        labels = {
            state.id: [normalised(state.label.get(language)) for language in languages] for state in observation.states
        }
        near = [
            own
            for own, texts in labels.items()
            if len(norm) > 1 and any(norm in text or text in norm for text in texts)
        ]
        return near[0] if len(near) == 1 else None
    words = re.findall(r"[a-z0-9]+", norm)
    if not norm.isascii() or not 1 <= len(words) <= 2:
        return None
    own = {stem(word) for word in words}
    if own & {NOT, "yes"}:
        return None
    holders = [state.id for state in observation.states if own <= _label_words(f"{state.label.en} {state.id}")]
    return holders[0] if len(holders) == 1 else None


def _label_words(text: str) -> set[str]:
    return {stem(word) for word in re.findall(r"[a-z0-9]+", normalised(text).replace("_", " "))}


def _plain(word: str, observation: Observation, index: Index) -> str | None:
    """The state that a plain yes or no means, as the knowledge base says it (`re:^yes$`), or as the ids do."""
    ids = [state.id for state in observation.states]
    if word in ids:
        return word
    for state in ids:
        for pattern in index.whole.get((observation.id, state), ()):
            if any(compiled(pattern).fullmatch(spoken) for spoken in _SPOKEN[word]):
                return state
    return "none" if word == "no" and "none" in ids else None
