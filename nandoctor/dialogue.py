"""Free words to observation states, in English, Chinese, Korean and any mixture; answers to the present question.

The phrases stand in `knowledge/observations/`. A phrase in Latin script matches word by word (stems, any nearby order,
one typing error a word), scored by rapidfuzz; one in Chinese or Korean matches piece by piece, pieces parted by spaces;
`re:` starts a regular expression, `re:^` one for whole answers only; `~` marks a weak hint. Denied, asked and supposed
words are told apart (`wording`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from nandoctor.kb.model import KnowledgeBase, Observation
from nandoctor.typed import COMMANDS, Command, looks_like_log, looks_like_prototxt, parse_command, paths_in
from nandoctor.wording import (
    CJK,
    NOT,
    Word,
    denied_inside,
    denied_text,
    denied_words,
    has_cjk,
    is_letter,
    normalised,
    scope_of,
    stem,
    words_of,
)

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

# Chosen on 95 descriptions of resolved public reports: below, wrong readings outnumber right ones.
ENOUGH = {1: 92.0, 2: 84.0, 3: 83.0}  # least likeness by number of words of the phrase; one wrong word among two is another phrase
ENOUGH_LONG = 76.0
WEAK_SCORE = 70.0
TRUST = {"phrase": 0.9, "words": 0.85, "weak": 0.65, "supposed": 0.62, "denied": 0.75}
TYPO_LIKENESS = 88.0  # of two words of six letters and more: one letter wrong, missing, doubled or swapped
REMARKABLE = 4.0  # points for a state that is not the normal one: people mention both sides of a comparison
PIECE_GAP = 12  # characters between two pieces of a Chinese or Korean phrase
JOINT_GAP = 3  # characters between parts that the phrase writes together (room for a particle)
MAX_TEXT = 20_000  # characters of free words that are read; more is a file

_SAME_PIECES = (  # one thing in the three languages
    ("loss", "损失", "손실"),
    ("nan", "非数"),
    ("lr", "learning rate", "学习率", "学习速率", "학습률", "학습율", "러닝레이트"),
    ("grad", "梯度", "기울기", "그래디언트", "그라디언트", "그라데이션"),
    ("label", "标签", "라벨", "레이블"),
    ("epoch", "에폭", "에포크"),
    ("batch size", "batch_size", "批大小", "배치 크기", "배치 사이즈"),
    ("突然", "忽然", "一下子"),
)
_PIECES = {piece: group for group in _SAME_PIECES for piece in group}
_JOINT = re.compile(
    "(" + "|".join(sorted((re.escape(p) for p in _PIECES if not p.isascii() or p in ("loss", "nan", "lr")), key=len, reverse=True))
    + rf"|[a-z0-9_.%=<>\-]+(?: [a-z0-9_.=<>\-]+)*|[{CJK}]+)"
)
_UNKNOWN = re.compile(
    r"\W*(?:i |we )?(?:do ?n[o']?t know|dunno|no idea|not sure|unsure|no clue|unknown|can ?not (?:say|tell)|can'?t (?:say|tell)|idk|pass|skip|\?+)\W*"
    r"|.*(?:不知道|不清楚|不确定|不太清楚|没法确定|说不准|모르|잘 모|글쎄|확실하지 않|확실치 않).*",
    re.DOTALL,
)
_YES = re.compile(r"\W*(?:yes|y|yep|yeah|yup|sure|true|right|correct|of course|it does|it is|i do|是的?|对的?|有的?|嗯|会的?|能|用了|开了|네|예|응|맞아요?|맞습니다|그렇습니다|그래요|있습니다|있어요)(?![a-z])")
_NO = re.compile(r"\W*(?:no|n|nope|nah|never|not|none|false|without|否|不是?|没有?|无|不会|不能|不用|没用|没开|아니요?|아뇨|아닙니다|없습니다|없어요?|안 |않)(?![a-z'])")


class Understood(NamedTuple):
    """A state that words tell. `score`: likeness 0 to 100. `span`: place in the text. `trust`: how far to believe it (0.6 to 0.95)."""

    observation: str
    state: str
    score: float
    phrase: str
    span: tuple[int, int]
    negated: bool = False
    trust: float = 0.85
    size: int = 1  # telling words


class _Phrase(NamedTuple):
    observation: str
    state: str
    text: str
    weak: bool
    words: tuple[str, ...] = ()
    joined: str = ""
    own: frozenset[str] = frozenset()
    pieces: tuple[tuple[tuple[str, ...], int], ...] = ()  # alternatives of each piece, greatest gap before it


class _Index:
    """The phrases of a knowledge base, by their rarest word, their first piece, or as expressions."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self.by_word: dict[str, list[_Phrase]] = {}
        self.in_pieces: list[_Phrase] = []
        self.patterns: list[tuple[_Phrase, bool]] = []  # the expression in `text`; whether it is Chinese or Korean
        self.whole: dict[tuple[str, str], list[str]] = {}
        phrases: list[_Phrase] = []
        seen: set[tuple[str, str, str]] = set()
        for observation in kb.observations.values():
            for state in observation.states:
                own = state.phrases
                for text, asian in (*((t, False) for t in own.en), *((t, True) for t in (*own.zh, *own.ko))):
                    for phrase in self._take(observation.id, state.id, text, asian):
                        key = (phrase.observation, phrase.state, phrase.joined)
                        if key not in seen:
                            seen.add(key)
                            phrases.append(phrase)
        self.vocabulary: dict[str, int] = {}
        for phrase in phrases:
            for word in phrase.own:
                self.vocabulary[word] = self.vocabulary.get(word, 0) + 1
        for phrase in phrases:
            rarest = min(phrase.words, key=lambda word: (word == NOT, self.vocabulary[word]))
            self.by_word.setdefault(rarest, []).append(phrase)
        self.by_initial: dict[str, list[str]] = {}
        for word in self.vocabulary:
            if len(word) >= 5 and word.isalpha():
                self.by_initial.setdefault(word[0], []).append(word)
        self.spelling: dict[str, str] = {}

    def _take(self, observation: str, state: str, text: str, asian: bool) -> Iterator[_Phrase]:
        weak = text.startswith("~")
        text = text.removeprefix("~")
        if text.startswith("re:"):
            if text.startswith("re:^"):
                self.whole.setdefault((observation, state), []).append(text[3:])
            else:
                self.patterns.append((_Phrase(observation, state, text, weak), asian))
            return
        norm = normalised(text)
        if has_cjk(norm):
            self.in_pieces.append(_Phrase(observation, state, text, weak, pieces=_pieces(norm)))
            return
        words = tuple(word.stem for word in words_of(norm))
        if words:
            yield _Phrase(observation, state, text, weak, words, " ".join(words), frozenset(words))

    def spelled(self, word: str) -> str:
        """The word of the phrases that `word` is, a typing error allowed."""
        if word in self.vocabulary or len(word) < 6 or not word.isalpha():
            return word
        if word not in self.spelling:
            from rapidfuzz import fuzz, process

            near = process.extractOne(word, self.by_initial.get(word[0], ()), scorer=fuzz.ratio, score_cutoff=TYPO_LIKENESS)
            if len(self.spelling) > 20_000:
                self.spelling.clear()
            self.spelling[word] = near[0] if near else word
        return self.spelling[word]


_held: tuple[KnowledgeBase, _Index] | None = None


def _index(kb: KnowledgeBase) -> _Index:
    global _held  # noqa: PLW0603 - one knowledge base is in use at a time; building takes tens of milliseconds
    if _held is None or _held[0] is not kb:
        _held = (kb, _Index(kb))
    return _held[1]


def understand(text: str, kb: KnowledgeBase, *, limit: int = 40) -> tuple[Understood, ...]:
    """What free words tell: at most one state an observation, best first, at most `limit`.

    Only the first `MAX_TEXT` characters are read. Never raises on bad input.
    """
    index = _index(kb)
    norm = normalised(text[:MAX_TEXT])
    found = [item for item in _readings(norm, index, kb) if item is not None]
    return _coherent(_best(found, kb), kb)[:limit]


def _readings(norm: str, index: _Index, kb: KnowledgeBase) -> Iterator[Understood | None]:
    words = [word._replace(stem=index.spelled(word.stem)) for word in words_of(norm)]
    for phrase, score, first, last in _word_matches(words, index):
        span = (words[first].start, words[last].end)
        yield _judge(phrase, score, span, norm, kb, denied_words(words, first, last, phrase.own), len(phrase.words))
    asian = has_cjk(norm)
    if asian:
        for phrase in index.in_pieces:
            place = _piece_match(norm, phrase.pieces)
            if place:
                start, end, gaps = place
                yield _judge(phrase, 100.0 - min(gaps, 10), (start, end), norm, kb, denied_text(norm, start, end), len(phrase.pieces))
    for phrase, of_asia in index.patterns:
        for match in re.finditer(phrase.text[3:], norm) if asian or not of_asia else ():
            inside = [i for i, word in enumerate(words) if word.start < match.end() and word.end > match.start()]
            before = words[inside[0] - 1] if inside and inside[0] else None
            denied = before is not None and before.stem == NOT and before.clause == words[inside[0]].clause
            yield _judge(phrase, 97.0, match.span(), norm, kb, denied, min(len(inside), 4))


def _word_matches(words: Sequence[Word], index: _Index) -> Iterator[tuple[_Phrase, float, int, int]]:
    """(phrase, likeness, first word, last word) for every phrase all of whose words stand close together."""
    from rapidfuzz import fuzz

    places: dict[str, list[int]] = {}
    for number, word in enumerate(words):
        places.setdefault(word.stem, []).append(number)
        if word.stem == "inf":  # what owners say of NaN holds for Inf as well
            places.setdefault("nan", []).append(number)
    present = places.keys()
    for stem_, numbers in places.items():
        for phrase in index.by_word.get(stem_, ()):
            if not phrase.own <= present:
                continue
            size = len(phrase.words)
            room = size + min(size - 1, 3)
            best: tuple[float, int, int] | None = None
            for at in numbers:
                window = _window(words, places, phrase.own, at, room)
                if window is None:
                    continue
                first, last = window
                heard = " ".join(word.stem for word in words[first : last + 1])
                if "inf" not in phrase.own:
                    heard = heard.replace("inf", "nan")
                score = 100.0 if heard == phrase.joined else fuzz.ratio(heard, phrase.joined)
                if size > 1 and score < 100.0:
                    score = max(score, fuzz.token_sort_ratio(heard, phrase.joined) - (8.0 if size > 2 else 18.0))
                if best is None or score > best[0]:
                    best = (score, first, last)
            if best and best[0] >= ENOUGH.get(size, ENOUGH_LONG):
                yield (phrase, *best)


def _window(words: Sequence[Word], places: dict[str, list[int]], own: frozenset[str], at: int, room: int) -> tuple[int, int] | None:
    """The shortest stretch with `words[at]` that holds all of `own`, in one sentence and at most `room` words long."""
    sentence = words[at].sentence
    near = sorted(
        place for word in own for place in places[word] if abs(place - at) < room and words[place].sentence == sentence
    )
    best: tuple[int, int] | None = None
    for start in near:
        if start > at:
            break
        missing = set(own)
        for place in near:
            if place >= start:
                missing.discard(words[place].stem)
                if words[place].stem == "inf" and "inf" not in own:
                    missing.discard("nan")
                if not missing and place >= at:
                    if place - start < room and (best is None or place - start < best[1] - best[0]):
                        best = (start, place)
                    break
    return best


def _pieces(norm: str) -> tuple[tuple[tuple[str, ...], int], ...]:
    """A Chinese or Korean phrase as pieces: what a space parts may stand apart, what joins must stand close."""
    pieces: list[tuple[tuple[str, ...], int]] = []
    for chunk in _chunks(norm):
        gap = PIECE_GAP
        for part in _JOINT.findall(chunk):
            bare = re.sub(r"(?<=[\uac00-\ud7af]{2})[을를은는이가]$", "", part)
            pieces.append((_PIECES.get(bare, (bare,)), gap))
            gap = JOINT_GAP
    return tuple(pieces)


def _chunks(norm: str) -> list[str]:
    """Split at spaces, but words that have synonyms as a whole (batch size, 배치 크기) stay together."""
    for whole in ("batch size", "배치 크기", "배치 사이즈", "learning rate"):
        norm = norm.replace(whole, whole.replace(" ", "\0"))
    return [chunk.replace("\0", " ") for chunk in norm.split()]


def _piece_match(norm: str, pieces: Sequence[tuple[tuple[str, ...], int]]) -> tuple[int, int, int] | None:
    """(start, end, characters in the gaps) of the first place where the pieces follow one another."""
    if not all(any(word in norm for word in alternatives) for alternatives, _ in pieces):
        return None
    for alternatives, _ in pieces[:1]:
        for word in alternatives:
            start = _find(norm, word, 0, len(norm))
            while start >= 0:
                end, gaps = start + len(word), 0
                for others, gap in pieces[1:]:
                    nearest = min(
                        ((place, place + len(o)) for o in others if (place := _find(norm, o, end, end + gap + len(o))) >= 0), default=None
                    )
                    if nearest is None or denied_inside(norm[end : nearest[0]]) or re.search(r"[。！？\n;；]|\. ", norm[end : nearest[0]]):
                        break
                    gaps += nearest[0] - end
                    end = nearest[1]
                else:
                    return start, end, gaps
                start = _find(norm, word, start + 1, len(norm))
    return None


def _find(norm: str, word: str, start: int, stop: int) -> int:
    """Where `word` stands; Latin words and numbers only whole."""
    at = norm.find(word, start, stop)
    while at >= 0:
        end = at + len(word)
        cut = (is_letter(word[0]) and at > 0 and is_letter(norm[at - 1])) or (is_letter(word[-1]) and end < len(norm) and is_letter(norm[end]))
        if not cut:
            return at
        at = norm.find(word, at + 1, stop)
    return -1


def _judge(phrase: _Phrase, score: float, span: tuple[int, int], norm: str, kb: KnowledgeBase, denied: bool, size: int) -> Understood | None:
    """The reading of one match: dropped if it is asked, turned round or dropped if it is denied."""
    scope = scope_of(norm, *span)
    if scope.asked:
        return None
    state = phrase.state
    if denied:
        opposite = _opposite(kb.observations[phrase.observation], state)
        if opposite is None:
            return None
        state = opposite
    trust = TRUST["phrase"] if size > 1 else TRUST["words"]
    if score < 90:
        trust -= 0.05
    if phrase.weak:
        score, trust = min(score, WEAK_SCORE), TRUST["weak"]
    if denied:
        trust = min(trust, TRUST["denied"])
    if scope.supposed:
        score, trust = score * 0.8, min(trust, TRUST["supposed"])
    return Understood(phrase.observation, state, round(score, 1), phrase.text, span, denied, round(trust, 3), size)


def _opposite(observation: Observation, state: str) -> str | None:
    """The other state of an observation that has two."""
    if len(observation.states) != 2:
        return None
    return next(s.id for s in observation.states if s.id != state)


def _weight(item: Understood, kb: KnowledgeBase) -> tuple[float, int, int]:
    """Of two readings the likelier and more telling (more words, not the normal state), then the longer, the earlier one."""
    remarkable = REMARKABLE if item.state != kb.observations[item.observation].normal else 0.0
    return (item.score + 3.0 * min(item.size, 5) + remarkable, item.span[1] - item.span[0], -item.span[0])


def _best(found: Iterable[Understood], kb: KnowledgeBase) -> list[Understood]:
    """One state an observation; a rival that is nearly as likely lowers the trust."""
    by_observation: dict[str, list[Understood]] = {}
    for item in found:
        by_observation.setdefault(item.observation, []).append(item)
    kept = []
    for items in by_observation.values():
        items.sort(key=lambda item: _weight(item, kb), reverse=True)
        first = items[0]
        rivals = (other for other in items[1:] if other.state != first.state)
        rival = next(rivals, None)
        if rival and _weight(rival, kb)[0] > _weight(first, kb)[0] - 6.0:
            first = first._replace(trust=max(0.6, round(first.trust - 0.12, 3)))
        kept.append(first)
    return sorted(kept, key=lambda item: (-item.score, item.span, item.observation))


def _coherent(items: Sequence[Understood], kb: KnowledgeBase) -> tuple[Understood, ...]:
    """Without readings that cannot be true together: what does not apply under another reading, the weaker one goes."""
    states = {item.observation: item for item in items}
    for item in sorted(items, key=lambda item: _weight(item, kb)):
        observation = kb.observations[item.observation]
        if observation.kind == "setup" or item.observation not in states:
            continue
        for name, allowed in observation.applies_when.items():
            other = states.get(name)
            if other is None or other.state in allowed:
                continue
            if observation.kind != "clue" and other.state != kb.observations[name].normal:
                continue  # not worth asking then, but it may well be told
            weaker = item if observation.kind == "clue" else min(item, other, key=lambda reading: _weight(reading, kb))
            states.pop(weaker.observation, None)
            if weaker is item:
                break
    return tuple(item for item in items if item.observation in states)


# --- an answer to the present question


def answer_in_words(text: str, observation: Observation | str, lang: str, kb: KnowledgeBase) -> str | None:
    """The state that an answer to this question names, `unknown`, or None if it cannot be told.

    Takes the number of a choice (one more than there are states: unknown), a state's id or label, yes and no, numbers
    and phrases. `lang` is the language of the screen; words of the other two are understood as well.
    """
    if isinstance(observation, str):
        observation = kb.observations[observation]
    norm = normalised(text).strip()
    if not norm:
        return None
    ids = [state.id for state in observation.states]
    if norm.isascii() and norm.isdecimal() and 1 <= int(norm) <= len(ids) + 1:
        return [*ids, "unknown"][int(norm) - 1]
    if _UNKNOWN.fullmatch(norm):
        return "unknown"
    named = _named(norm, observation, lang)
    if named:
        return named
    index = _index(kb)
    for state in ids:
        if any(re.fullmatch(pattern.strip("^$"), norm) for pattern in index.whole.get((observation.id, state), ())):
            return state
    told = [item for item in _readings(norm, index, kb) if item and item.observation == observation.id]
    if told:
        return _best(told, kb)[0].state
    for word, expression in (("yes", _YES), ("no", _NO)):
        if expression.match(norm):
            return _plain(word, observation, index)
    return None


def _named(norm: str, observation: Observation, lang: str) -> str | None:
    """The state whose id, label or a word of them the answer is."""
    from rapidfuzz import fuzz

    for state in observation.states:
        if norm in (state.id, state.id.replace("_", " ")):
            return state.id
    languages = dict.fromkeys((lang, "en", "zh", "ko"))
    scored: list[tuple[float, str]] = []
    for state in observation.states:
        for language in languages:
            label = normalised(state.label.get(language))
            scored.append((fuzz.ratio(norm, label), state.id))
    scored.sort(key=lambda item: -item[0])
    if scored[0][0] >= 86.0:
        return scored[0][1]
    own = {stem(word) for word in re.findall(r"[a-z0-9]+", norm)} if norm.isascii() and len(norm.split()) <= 2 else set()
    holders = []
    for state in observation.states:
        label = {stem(w) for w in re.findall(r"[a-z0-9]+", normalised(state.label.en) + " " + state.id.replace("_", " "))}
        if own and own <= label:
            holders.append(state.id)
    return holders[0] if len(holders) == 1 and not own & {NOT, "yes"} else None


def _plain(word: str, observation: Observation, index: _Index) -> str | None:
    """The state that a plain yes or no means, as the knowledge says it (`re:^yes$`), or as the ids do."""
    ids = [state.id for state in observation.states]
    if word in ids:
        return word
    spoken = {"yes": ("yes", "是", "예"), "no": ("no", "否", "아니요")}[word]
    for state in ids:
        for pattern in index.whole.get((observation.id, state), ()):
            if any(re.fullmatch(pattern, one) for one in spoken):
                return state
    return "none" if word == "no" and "none" in ids else None
