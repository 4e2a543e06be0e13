"""Owners' words made comparable: normalised text, word stems, sentences, and what is denied, asked or only supposed.

Latin script is compared word by word (stems, synonyms, without filler words), Chinese and Korean by containment.
Nothing here knows the knowledge base.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

NOT = "not"

_FILLER_WORDS = """
    a an the is are was were be been being am i im ive me my we our us you your he she it its they their them this
    that these those there here of to in on at for from with by into as and or so then than just very really quite
    rather pretty have has had having do does did doing done get got gets getting gotten become becomes became
    becoming turn turns turned turning go goes went going gone gives give gave giving show shows showed shown
    showing say says said right will would can could may shall use uses used using make makes made making such which
    who whose if when please hello hi thanks during within about around because since want wanted try
"""
_NOTS = """
    no not never without w/o cannot cant can't dont don't doesnt doesn't didnt didn't isnt isn't arent aren't wasnt
    wasn't werent weren't wont won't wouldnt wouldn't couldnt couldn't havent haven't hasnt hasn't hadnt hadn't nor
    neither shouldnt shouldn't
"""
_FILLER = frozenset(_FILLER_WORDS.split())
_ALIKE = (  # the first word stands for the others
    "lr learningrate",
    "nan nans",
    "inf infs infinity infinite infinit",
    "gradient grad grads gradients",
    "step iteration iterations iter iters itr itrs iterate",
    "data dataset datasets",
    "image img imgs images picture pictures photo photos",
    "own custom customized customised self-made selfmade",
    "lower lowered lowering lowers reduce reduced reducing reduces decrease decreased decreasing decreases smaller low",
    "fall falls fell fallen falling drop drops dropped dropping",
    "grow grows grew growing grown increase increases increased increasing rise rises rose rising raise raised raising",
    "explode explodes exploded exploding explosion explosions blowup diverge diverges diverged diverging divergence",
    "fp16 float16 f16",
    "fp32 float32 f32",
    "bf16 bfloat16",
    "fp64 float64 f64",
    "bn batchnorm batchnorm1d batchnorm2d batchnorm3d",
    "help helps helped helping solve solves solved solving cure cures cured resolved",
    "fix fixes fixed fixing",
    "fine normal normally ok okay good alright properly correctly nicely",
    "huge enormous gigantic giant massive",
    "large big high",
    "larger bigger higher",
    "machine computer server pc workstation laptop",
    "gpu gpus card cards",
    "box boxes bbox bboxes",
    "class classes category categories",
    "val validation eval evaluation",
    "sudden suddenly abruptly",
    "start starts started starting beginning begin begins began outset",
    "first 1st initial initially",
    "0 zero zeros 0.0 0.00 0.000 0.0000",
    "1 one",
    "2 two",
    "3 three",
    "4 four",
    "8 eight",
    "few couple several",
    "always everytime",
    "every each",
    "size sizes",
    "value values",
    "label labels",
    "annotation annotations",
    "initializ init initialization initialisation initialized initialised initialize initialise",
    "clip clipping clipped clips",
    "warmup warmups",
    "overflow overflows overflowed",
    "work works worked working",
    "stay stays stayed remain remains remained keep keeps kept",
    "pretrained pretrain",
    "resume resumed resuming resumes",
    "finetune finetuning finetuned finetunes",
    NOT + " " + _NOTS,
)
_PAIRS = {  # two neighbouring stems that are one thing
    ("learn", "rate"): "lr",
    ("batch", "norm"): "bn",
    ("batch", "normaliz"): "bn",
    ("half", "precision"): "fp16",
    ("full", "precision"): "fp32",
    ("single", "precision"): "fp32",
    ("32", "bit"): "fp32",
    ("mix", "precision"): "amp",
    ("blow", "up"): "explode",
    ("blew", "up"): "explode",
    ("data", "set"): "data",
    ("fine", "tun"): "finetune",
    ("fine", "tune"): "finetune",
    ("warm", "up"): "warmup",
    ("pre", "train"): "pretrained",
    ("every", "time"): "always",
    ("auto", "encod"): "autoencod",
    ("bound", "box"): "box",
    ("self", "attention"): "selfattention",
    ("check", "point"): "checkpoint",
}
PAIRED = frozenset(word for pair in _PAIRS for word in pair)
_AS_THEY_ARE = "pretraining logs loss bias axis focus gas plus less unless process stats pass mps keras"
_KEPT = frozenset(_AS_THEY_ARE.split())
_CANON = {word: group.split()[0] for group in _ALIKE for word in group.split()}

CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"\d+(?:[.,]\d+)*(?:e[-+]?\d+)?[a-z]*|[a-z\u00df-\u00ff]+(?:'[a-z]+|/o\b)?[a-z0-9]*|[{CJK}]+")
_SENTENCE_END = re.compile(r"[!?;\n。！？；]|\.(?=\s|$|[A-Z])|(?<=[\u3400-\u9fff])\.")
_CLAUSE_END = re.compile(r"[,:!?;\n。！？；，、：]|\.(?=\s|$)|\bbut\b|\bhowever\b|\balthough\b|但是?|不过")
# Where one thing said ends and the next begins. Of a denial "and" is no end: "no clipping and warm-up".
_STATEMENT_END = re.compile(rf"{_CLAUSE_END.pattern}|\b(?:and|while|whereas)\b")
_OWNED = re.compile(r" (?:own )?(?:[\w-]+ )?(?:data\w*|images?|pictures?|photos?|annotations?|recordings?)\b")
_SAME_LENGTH: dict[int, str | int] = {
    **{0xFF01 + i: 0x21 + i for i in range(94)},
    **dict.fromkeys(map(ord, "‘’ʼ`´"), "'"),
    **dict.fromkeys(map(ord, "“”„«»"), '"'),
    **dict.fromkeys(map(ord, "‐‑‒–—−"), "-"),
    **dict.fromkeys(map(ord, "\u00a0\u2009\u202f\u3000\t\r"), " "),
}

# A question about a measure or a cause is no statement ("should I clip?", "could it be the learning rate?").
_ASKED = re.compile(
    r"\b(?:should (?:i|we|it|one)|shall (?:i|we)|do (?:i|we|you) (?:need|have|think|recommend)"
    r"|can (?:i|we) (?:use|add|set|try)|would (?:it|a|that|you)|could (?:it|this|that|the)|might (?:it|this)"
    r"|is (?:it|this|that) (?:because|due|caused|related|possible|the)|does (?:it|this) mean|did i"
    r"|is (?:it|this|that|my (?:loss|training|net|model)) (?:diverging|exploding|broken|dead)"
    r"|where (?:do|can|should) i|how (?:do|can|should|to) (?:i |we )?(?:set|use|add|enable|disable|turn|lower|clip"
    r"|make sure|check|verify|know|find out|avoid|prevent|get rid)|does (?:it|this|that) (?:work|help|happen|train)"
    r"|(?:no idea|not sure|don't know|unsure|wondering|wonder) (?:if|whether)"
    r"|what (?:about|if)|(?:does|do) anyone (?:recommend|suggest)|need to (?:tweak|lower|change|reduce|add|use|clip)"
    r"|have to (?:tweak|lower|change|add|use)|(?:was|is) (?:told|recommended|suggested|advised)"
    r"|(?:people|they|someone|others|everyone|forums?) (?:say|said|recommend|suggest|advise)\w*)\b"
)
_OPEN_QUESTION = re.compile(
    r"\s*(?:and |but |so |hi,? |hello,? )?(?:why|what|how|when|where|which|has|have|any|is it normal|is that normal"
    r"|(?:does|do|can|could) (?:anyone|anybody|someone|somebody|you))\b"
    r"|.*(?:为什么|为何|请问|怎么|什么|왜|어떻게|무엇|무슨|어떤)"
)
_SUPPOSED = re.compile(
    r"\b(?:maybe|perhaps|probably|possibly|i guess|i think|i suspect|might|could be|may be|not sure|i believe|i assume"
    r"|i wonder|suspect|afraid|i fear|worr(?:y|ied))\b|可能|也许|或许|大概|估计|怀疑|好像|似乎|应该"
    r"|아마|것 같|듯하|듯합|추측|의심|때문인가|인가 싶|아닌가"
)
_ASKED_CJK = re.compile(
    r"吗|是不是|会不会|能不能|要不要|需不需要|是否|该不该|有没有必要|까요|하나요|되나요|인가요|건가요|한가요|아닐까|혹시"
)
_DENIED_BEFORE = re.compile(
    r"(?:没有?|不是?|無|无|未|并非|从不|别)(?:用|使用|做|加|开|启用|设置?|采用|支持)?[\u4e00-\u9fff]?\s?$|(?:^|\s)안 $"
)
_DENIED_AFTER = re.compile(
    r"[을를은는이가도]?\s?(?:사용|적용|쓰|켜|하|추가|설정)?[하지은을를]{0,2}\s?(?:없|않|안 |아니|아닙|못)"
)
_DENIED_AFTER_ZH = re.compile(r"[:：是]?\s?(?:没有|没开|没用|关闭|关了|未开|无)的?(?=$|[，。,.；;！!\s])")
_DENIED_INSIDE = re.compile(r"[没不无未]|없|않|안 |못|아니")
_BRIDGES = "see any sign singl real obviou notic contain find found enabl appli add own need"
_BETWEEN = frozenset(_BRIDGES.split())
_SWITCHED_OFF = frozenset({"off", "disabl", "none", "absent"})


class Word(NamedTuple):
    """A word of a text: its stem and its place. `sentence`, `clause` and `statement` number those it stands in."""

    stem: str
    start: int
    end: int
    sentence: int
    clause: int
    statement: int


class Scope(NamedTuple):
    """How a stretch of the text is meant."""

    asked: bool
    supposed: bool


def normalised(text: str) -> str:
    """Lower case, ASCII punctuation, no tabs; of the same length, so that places stay those of the original."""
    plain = text.translate(_SAME_LENGTH)
    lower = plain.lower()
    if len(lower) != len(plain):
        lower = "".join(char.lower() if len(char.lower()) == 1 else char for char in plain)
    return lower


def is_value(stem: str) -> bool:
    """Whether a word is what a quantity may be: a number, NaN, Inf."""
    return stem in ("nan", "inf") or stem[0].isdigit()


def has_cjk(text: str) -> bool:
    """Whether Chinese or Korean characters stand in the text."""
    return not text.isascii() and re.search(f"[{CJK}]", text) is not None


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """A rough stem: plural, -ing, -ed, -ize and British spelling, then the word that stands for its synonyms."""
    if word in _CANON:
        return _CANON[word]
    if len(word) < 4 or not word.isascii() or not word.isalpha() or word in _KEPT:
        return word
    for ending in ("isation", "ization"):
        if word.endswith(ending):
            return word[: -len(ending)] + "iz"
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith("sses") or (word.endswith("es") and word[-3] in "xz"):
        word = word[:-2]
    elif word.endswith("s") and word[-2] not in "su":
        word = word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "sl":
                word = word[:-1]
            break
    else:
        if word.endswith("e") and len(word) > 4:
            word = word[:-1]
    if word.endswith("is") and len(word) > 4:
        word = word[:-2] + "iz"
    return _CANON.get(word, word)


def words_of(norm: str, spelled: Callable[[str], str] = str) -> list[Word]:
    """The words of a normalised text that carry meaning, pairs joined, in order. `spelled` corrects a stem."""
    ends = [match.start() for match in _SENTENCE_END.finditer(norm)]
    breaks = [match.start() for match in _CLAUSE_END.finditer(norm)]
    turns = [match.start() for match in _STATEMENT_END.finditer(norm)]
    words: list[Word] = []
    for match in _WORD.finditer(norm):
        raw = match.group()
        if raw in _FILLER:
            if raw not in ("my", "our") or not _OWNED.match(norm, match.end()):
                continue
            raw = "own"
        sentence = bisect_right(ends, match.start())
        own = spelled(stem(raw))
        if words and words[-1].sentence == sentence and (words[-1].stem, own) in _PAIRS:
            last = words.pop()
            words.append(last._replace(stem=_PAIRS[last.stem, own], end=match.end()))
        else:
            clause, statement = bisect_right(breaks, match.start()), bisect_right(turns, match.start())
            words.append(Word(own, match.start(), match.end(), sentence, clause, statement))
    return words


def scope_of(norm: str, start: int, end: int) -> Scope:
    """Whether the stretch from `start` to `end` is asked (no statement at all) or only supposed."""
    sentence_start = max((m.end() for m in _SENTENCE_END.finditer(norm, 0, start)), default=0)
    stop = _SENTENCE_END.search(norm, end)
    sentence_end = stop.end() if stop else len(norm)
    clause_start = max((m.end() for m in _CLAUSE_END.finditer(norm, sentence_start, start)), default=sentence_start)
    clause_stop = _CLAUSE_END.search(norm, end)
    clause_end = clause_stop.end() if clause_stop else len(norm)
    cue = _ASKED.search(norm, sentence_start, sentence_end)
    if cue and cue.start() <= end:
        return Scope(True, True)
    clause = norm[clause_start:clause_end]
    if _ASKED_CJK.search(clause):
        return Scope(True, True)
    supposed = _SUPPOSED.search(clause) is not None
    if clause.endswith(("?", "？")) and not supposed and not _OPEN_QUESTION.match(norm[sentence_start:sentence_end]):
        return Scope(len(_WORD.findall(clause)) <= 4, True)
    return Scope(False, supposed)


def denied_words(words: Sequence[Word], first: int, last: int, own: frozenset[str]) -> bool:
    """Whether the clause has a "not" right before `words[first:last + 1]` or among them, or "off" right after.

    A verb may stand between: "did not add clipping".
    """
    if NOT in own:
        return False
    clauses = (words[first].clause, words[last].clause)
    reach = 2 if first and words[first - 1].stem in _BETWEEN else 1
    if any(word.stem == NOT and word.clause in clauses for word in words[max(0, first - reach) : last + 1]):
        return True
    if any(denied_inside(word.stem) for word in words[first + 1 : last] if not word.stem.isascii()):
        return True
    after = words[last + 1] if last + 1 < len(words) else None
    return bool(after and after.clause == clauses[1] and after.stem in _SWITCHED_OFF)


def denied_text(norm: str, start: int, end: int) -> bool:
    """Whether Chinese or Korean around the stretch denies it: 没有用…, …은 없음."""
    before = norm[max(0, start - 6) : start]
    after = norm[end : end + 8]
    return bool(_DENIED_BEFORE.search(before) or _DENIED_AFTER.match(after) or _DENIED_AFTER_ZH.match(after))


def denied_inside(gap: str) -> bool:
    """Whether a denial stands in the gap between two pieces of a phrase."""
    return _DENIED_INSIDE.search(gap) is not None


def is_letter(char: str) -> bool:
    """Whether a character continues a Latin word or a number."""
    return (char.isascii() and char.isalnum()) or (not char.isascii() and unicodedata.category(char) in ("Ll", "Lu"))
