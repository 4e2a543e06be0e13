"""The phrases of the knowledge base, found in a text.

A phrase in Latin script is found word by word: stems, a typing error a word, any order nearby, scored by rapidfuzz. One
in Chinese or Korean is found piece by piece, pieces parted by spaces. `re:` starts a regular expression over the
normalised text, in which `{name}` is a term (`terms`); `re:^` one for whole answers, used by `dialogue.answer_in_words`
only; `~` in front marks a weak hint.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from nandoctor.kb.model import KnowledgeBase
from nandoctor.terms import expanded
from nandoctor.wording import (
    CJK,
    NOT,
    PAIRED,
    Word,
    denied_inside,
    denied_text,
    denied_words,
    has_cjk,
    is_letter,
    is_value,
    normalised,
    words_of,
)

# Set on 95 descriptions of public reports so that what they contradict disappears and little else does.
ENOUGH = {1: 92.0, 2: 84.0, 3: 83.0}  # least likeness by number of words; one wrong word among two is another phrase
ENOUGH_LONG = 76.0
OUT_OF_ORDER = {2: 18.0}  # points lost where the words stand in another order
OUT_OF_ORDER_LONG = 8.0
EXPRESSION_SCORE = 97.0
TYPO_LIKENESS = 87.0  # of two words of six letters and more: one letter wrong, missing, doubled or swapped
PIECE_GAP = 12  # characters between two pieces of a Chinese or Korean phrase
JOINT_GAP = 3  # characters between parts that the phrase writes together (room for a particle)
MOST_PLACES = 12  # at which one phrase is looked at: a text that repeats itself says nothing new
MAX_SPELLINGS = 20_000  # words remembered with what they were taken for

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
_WITH_SPACES = ("batch size", "배치 크기", "배치 사이즈", "learning rate")
_NAMED_PIECE = sorted(
    (re.escape(piece) for piece in _PIECES if not piece.isascii() or piece in ("loss", "nan", "lr")),
    key=len,
    reverse=True,
)
_JOINT = re.compile(
    "(" + "|".join(_NAMED_PIECE) + rf"|[a-z0-9_.%=<>\-]+(?: [a-z0-9_.=<>\-]+)*|[{CJK}]+)"  # a name, Latin, the rest
)
_PARTICLE = re.compile("(?<=[\uac00-\ud7af]{2})[을를은는이가]$")
_NANS = re.compile(r"\bnans\b")  # "no NaNs", "it nans out"; of the same length
_DENYING = re.compile(  # an expression, without its escapes, that denies something by itself
    r"\b(?:no|not|never|nothing|without|neither|forgot|remov|un|non|less)\b|n't|\b(?:does|did|do|was|is|has|have|ca|wo)nt\b|\{(?:fine|useless|not|full)\}"
)
_NONE_IS = re.compile(r"\b(?:no|none of the) \w+ (?:is|are|was|were|has|have|can be) (?:\w+ )?$")
_ESCAPE = re.compile(r"\\.")
_STOP = re.compile(r"[。！？\n;；]|\. ")


@lru_cache(maxsize=4096)
def compiled(expression: str) -> re.Pattern[str]:
    """The expression, compiled when it is first needed; there are more than `re` itself keeps."""
    return re.compile(expanded(expression), re.ASCII)


class Phrase(NamedTuple):
    """A phrase as written in the knowledge base, and in the form in which it is looked for."""

    observation: str
    state: str
    text: str
    weak: bool = False
    words: tuple[str, ...] = ()
    joined: str = ""
    own: frozenset[str] = frozenset()
    pieces: tuple[tuple[tuple[str, ...], int], ...] = ()  # alternatives of each piece, greatest gap before it


class Match(NamedTuple):
    """A phrase found in a text. `score`: likeness, 0 to 100. `size`: its telling words."""

    phrase: Phrase
    score: float
    span: tuple[int, int]
    denied: bool
    size: int


class Index:
    """The phrases of a knowledge base, by their rarest word, in pieces, or as expressions."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self.by_word: dict[str, list[Phrase]] = {}
        self.in_pieces: list[Phrase] = []
        self.patterns: list[tuple[Phrase, bool, bool]] = []  # expression in `text`; whether of Asia; whether it denies
        self.whole: dict[tuple[str, str], list[str]] = {}
        self.vocabulary: dict[str, int] = {}
        self._spelling: dict[str, str] = {}
        in_words: dict[tuple[str, str, str], Phrase] = {}
        for observation in kb.observations.values():
            for state in observation.states:
                own = state.phrases
                for text, asian in (*((t, False) for t in own.en), *((t, True) for t in (*own.zh, *own.ko))):
                    phrase = self._take(observation.id, state.id, text, asian)
                    if phrase:
                        in_words[phrase.observation, phrase.state, phrase.joined] = phrase
        for phrase in in_words.values():
            for word in phrase.own:
                self.vocabulary[word] = self.vocabulary.get(word, 0) + 1
        for phrase in in_words.values():
            rarest = min(phrase.words, key=lambda word: (word == NOT, self.vocabulary[word]))
            self.by_word.setdefault(rarest, []).append(phrase)
        self._by_initial: dict[str, list[str]] = {}
        for word in self.vocabulary.keys() | PAIRED:
            if len(word) >= 5 and word.isalpha():
                self._by_initial.setdefault(word[0], []).append(word)

    def _take(self, observation: str, state: str, text: str, asian: bool) -> Phrase | None:
        """Files a phrase that is not in words; gives one that is."""
        weak = text.startswith("~")
        text = text.removeprefix("~")
        if text.startswith("re:^"):
            self.whole.setdefault((observation, state), []).append(text[3:])
            return None
        if text.startswith("re:"):
            denies = asian or _DENYING.search(_ESCAPE.sub(" ", text)) is not None
            self.patterns.append((Phrase(observation, state, text, weak), asian, denies))
            return None
        norm = normalised(text)
        if has_cjk(norm):
            self.in_pieces.append(Phrase(observation, state, text, weak, pieces=_pieces(norm)))
            return None
        words = tuple(dict.fromkeys(word.stem for word in words_of(norm)))
        return Phrase(observation, state, text, weak, words, " ".join(words), frozenset(words)) if words else None

    def matches(self, norm: str) -> Iterator[Match]:
        """Every phrase found in a normalised text, with its best place."""
        norm = _NANS.sub("nan ", norm)
        words = words_of(norm, self._spelled)
        asian = has_cjk(norm)
        for match in self._in_words(words):
            yield match._replace(denied=match.denied or denied_text(norm, *match.span)) if asian else match
        if asian:
            for phrase in self.in_pieces:
                place = _piece_match(norm, phrase.pieces)
                if place:
                    start, end, gaps = place
                    denied = denied_text(norm, start, end)
                    yield Match(phrase, 100.0 - min(gaps, 10), (start, end), denied, len(phrase.pieces))
        for phrase, of_asia, denies in self.patterns:
            if of_asia and not asian:
                continue
            for found in islice(compiled(phrase.text[3:]).finditer(norm), MOST_PLACES):
                inside = [i for i, word in enumerate(words) if word.start < found.end() and word.end > found.start()]
                before = words[inside[0] - 1] if inside and inside[0] else None
                denied = before is not None and before.stem == NOT and before.clause == words[inside[0]].clause
                denied = denied or (not denies and any(words[i].stem == NOT for i in inside))
                denied = denied or (
                    not denies and _NONE_IS.search(norm[max(0, found.start() - 40) : found.start()]) is not None
                )
                denied = denied or (asian and denied_text(norm, *found.span()))
                yield Match(phrase, EXPRESSION_SCORE, found.span(), denied, min(len(inside), 4))

    def _spelled(self, word: str) -> str:
        """The word of the phrases that `word` is, a typing error allowed."""
        if word in self.vocabulary or word in PAIRED or len(word) < 6 or not word.isalpha():
            return word
        if word not in self._spelling:
            from rapidfuzz import fuzz, process

            near = process.extractOne(
                word, self._by_initial.get(word[0], ()), scorer=fuzz.ratio, score_cutoff=TYPO_LIKENESS
            )
            if len(self._spelling) > MAX_SPELLINGS:
                self._spelling.clear()
            self._spelling[word] = near[0] if near else word
        return self._spelling[word]

    def _in_words(self, words: Sequence[Word]) -> Iterator[Match]:
        places: dict[str, list[int]] = {}
        for number, word in enumerate(words):
            places.setdefault(word.stem, []).append(number)
            if word.stem == "inf":  # what owners say of NaN holds for Inf as well
                places.setdefault("nan", []).append(number)
        present = places.keys()
        for own, numbers in places.items():
            for phrase in self.by_word.get(own, ()):
                if phrase.own <= present:
                    best = _best_window(words, places, phrase, numbers)
                    if best:
                        score, first, last = best
                        span = (words[first].start, words[last].end)
                        denied = denied_words(words, first, last, phrase.own)
                        yield Match(phrase, score, span, denied, len(phrase.words))


def _best_window(
    words: Sequence[Word], places: dict[str, list[int]], phrase: Phrase, numbers: Sequence[int]
) -> tuple[float, int, int] | None:
    """(likeness, first word, last word) of the likest stretch, if it is like enough."""
    from rapidfuzz import fuzz

    size = len(phrase.words)
    best: tuple[float, int, int] | None = None
    for at in numbers[:MOST_PLACES]:
        window = _window(words, places, phrase, at, size + min(size - 1, 3))
        if window is None:
            continue
        first, last = window
        stems = dict.fromkeys(word.stem for word in words[first : last + 1])
        if "inf" in stems and "inf" not in phrase.own:
            stems = dict.fromkeys("nan" if own == "inf" else own for own in stems)
        heard = " ".join(stems)
        score = 100.0 if heard == phrase.joined else fuzz.ratio(heard, phrase.joined)
        if size > 1 and score < 100.0:
            turned = fuzz.token_sort_ratio(heard, phrase.joined) - OUT_OF_ORDER.get(size, OUT_OF_ORDER_LONG)
            score = max(score, turned)
        if best is None or score > best[0]:
            best = (score, first, last)
    return best if best and best[0] >= ENOUGH.get(size, ENOUGH_LONG) else None


def _window(
    words: Sequence[Word], places: dict[str, list[int]], phrase: Phrase, at: int, room: int
) -> tuple[int, int] | None:
    """The shortest stretch with `words[at]` that holds all of the phrase, in one sentence and at most `room` words."""
    own = phrase.own
    sentence = words[at].sentence
    near: list[int] = []
    for word in own:
        held = places[word]
        reach = slice(bisect_left(held, at - room + 1), bisect_left(held, at + room))
        near += [place for place in held[reach] if words[place].sentence == sentence]
    near.sort()
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
                    shorter = place - start < (room if best is None else best[1] - best[0])
                    if shorter and not _mixed_up(words[start : place + 1], phrase):
                        best = (start, place)
                    break
    return best


def _mixed_up(words: Sequence[Word], phrase: Phrase) -> bool:
    """Whether a value of the phrase is said of something else: before what it should follow, in another statement.

    In "loss 0 and gradient norm nan" the 0 is not the norm's; "0 is the gradient norm" tells what "norm 0" does.
    """
    places: dict[str, Word] = {}
    for word in words:
        places.setdefault("nan" if word.stem == "inf" and "inf" not in phrase.own else word.stem, word)
    return any(
        places[owner].start > places[value].start and places[owner].statement != places[value].statement
        for number, value in enumerate(phrase.words)
        if is_value(value)
        for owner in phrase.words[:number]
    )


def _pieces(norm: str) -> tuple[tuple[tuple[str, ...], int], ...]:
    """A Chinese or Korean phrase as pieces: what a space parts may stand apart, what joins must stand close."""
    for whole in _WITH_SPACES:
        norm = norm.replace(whole, whole.replace(" ", "\0"))
    pieces: list[tuple[tuple[str, ...], int]] = []
    for chunk in norm.split():
        gap = PIECE_GAP
        for part in _JOINT.findall(chunk.replace("\0", " ")):
            bare = _PARTICLE.sub("", part)
            pieces.append((_PIECES.get(bare, (bare,)), gap))
            gap = JOINT_GAP
    return tuple(pieces)


def _piece_match(norm: str, pieces: Sequence[tuple[tuple[str, ...], int]]) -> tuple[int, int, int] | None:
    """(start, end, characters in the gaps) of the first place where the pieces follow one another."""
    if not all(any(word in norm for word in alternatives) for alternatives, _ in pieces):
        return None
    for word in pieces[0][0]:
        start = _find(norm, word, 0, len(norm))
        while start >= 0:
            place = _follow(norm, start + len(word), pieces[1:])
            if place:
                return start, *place
            start = _find(norm, word, start + 1, len(norm))
    return None


def _follow(norm: str, end: int, pieces: Sequence[tuple[tuple[str, ...], int]]) -> tuple[int, int] | None:
    """(end, characters in the gaps) if the pieces follow `end` in order; no denial and no end of sentence between."""
    gaps = 0
    for alternatives, gap in pieces:
        found = [
            (at, at + len(word)) for word in alternatives if (at := _find(norm, word, end, end + gap + len(word))) >= 0
        ]
        if not found:
            return None
        start, stop = min(found)
        between = norm[end:start]
        if denied_inside(between) or _STOP.search(between):
            return None
        gaps += start - end
        end = stop
    return end, gaps


def _find(norm: str, word: str, start: int, stop: int) -> int:
    """Where `word` stands; Latin words and numbers only whole."""
    at = norm.find(word, start, stop)
    while at >= 0:
        end = at + len(word)
        cut_left = is_letter(word[0]) and at > 0 and is_letter(norm[at - 1])
        cut_right = is_letter(word[-1]) and end < len(norm) and is_letter(norm[end])
        if not cut_left and not cut_right:
            return at
        at = norm.find(word, at + 1, stop)
    return -1
