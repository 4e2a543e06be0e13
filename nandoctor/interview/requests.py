"""Requests of the owner: `/why`, `undo`, `tried 2 helped`, in three languages; with or without the slash.

Without a slash a line is a request only if it cannot be meant as an answer or a description: the bare word, or the
word with an argument of the right form.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Request(NamedTuple):
    """A request and its argument as typed."""

    name: str
    argument: str = ""


# name -> words. The first is what the help shows; a trailing question mark never matters.
WORDS: dict[str, tuple[str, ...]] = {
    "why": ("why", "w", "为什么", "为何", "왜", "이유"),
    "find": ("find", "h", "how do i find out", "how can i find out", "怎么查", "如何查", "怎么知道", "알아보기",
             "어떻게 알아요"),
    "how": ("how", "依据", "근거"),
    "whatif": ("whatif", "what if", "如果", "만약"),
    "undo": ("undo", "u", "back", "撤销", "취소", "되돌리기"),
    "wrong": ("wrong", "x", "不对", "错了", "틀림", "아니에요"),
    "evidence": ("evidence", "e", "证据", "증거"),
    "plan": ("plan", "p", "方案", "계획"),
    "step": ("step", "步骤", "단계"),
    "tried": ("tried", "试过", "해봤어요"),
    "more": ("more", "ask", "继续问", "더"),
    "later": ("later", "以后再说", "나중에"),
    "skip": ("skip", "unknown", "i don't know", "i dont know", "don't know", "dont know", "no idea", "not sure",
             "不知道", "不清楚", "跳过", "모름", "몰라요", "모르겠어요", "모르겠습니다", "건너뛰기"),
    "save": ("save", "保存", "저장"),
    "lang": ("lang", "language", "语言", "언어"),
    "read": ("read", "open", "log", "net", "solver", "读取", "읽기"),
    "repeat": ("repeat", "again", "再说一遍", "다시"),
    "help": ("help", "帮助", "도움말"),
    "quit": ("quit", "q", "exit", "bye", "退出", "종료"),
}  # fmt: skip
VARIANTS = {
    "fastest": "fastest", "fast": "fastest", "最快": "fastest", "빠른": "fastest",
    "diagnostic": "diagnostic", "which": "diagnostic", "查明": "diagnostic", "진단": "diagnostic",
}  # fmt: skip
HELPED = frozenset({"helped", "helps", "help", "yes", "y", "ok", "worked", "works", "fixed", "solved"})
NO_HELP = frozenset({"no", "n", "not", "failed", "nothing", "never", "didnt", "still"})
HELPED_PIECES = ("有用", "有效", "好了", "解决了", "도움", "해결", "됐", "되었")
NO_HELP_PIECES = ("没", "无效", "不行", "안 됐", "안됨", "안 되", "소용없", "아니", "않")
_NAME = {word: name for name, words in WORDS.items() for word in words}
_SLASH = re.compile(r"/([^\s/]+)(?:\s+(.*))?$", re.DOTALL)


def request(line: str) -> Request | None:
    """The request in a line, or None if the line is an answer, a description or a path."""
    text = line.strip()
    slashed = _SLASH.match(text)
    if slashed:
        name = _NAME.get(slashed[1].casefold())
        return Request(name, (slashed[2] or "").strip()) if name else None
    bare = text.casefold().rstrip("?？!.。 ")
    if bare in _NAME:
        return Request(_NAME[bare])
    word, _, argument = text.partition(" ")
    name = _NAME.get(word.casefold())
    argument = argument.strip()
    if name and argument and _fits(name, argument):
        return Request(name, argument)
    return None


def unknown_request(line: str) -> tuple[str, str] | None:
    """(what was typed, the command probably meant) of a slash command that nobody knows; None if it is none."""
    from nandoctor.dialogue import parse_command

    command = parse_command(line)
    if command is None or request(line) is not None:
        return None
    return line.split(maxsplit=1)[0], command.near


def _fits(name: str, argument: str) -> bool:
    words = argument.split()
    match name:
        case "tried":
            known = words[0].isdecimal() or "-" in words[0]
            return known and len(words) <= 5 and (len(words) == 1 or outcome(" ".join(words[1:])) is not None)
        case "step":
            return argument.isdecimal()
        case "how" | "undo" | "wrong":
            return len(words) == 1 and (argument.isdecimal() or "-" in argument or "_" in argument)
        case "plan":
            return argument.casefold() in VARIANTS
        case "lang":
            return argument.casefold() in ("en", "zh", "ko")
        case "save":
            return bool(re.search(r"\.(md|markdown|json|txt|html)\b", argument))
    return False


def outcome(text: str) -> bool | None:
    """Whether a step helped, in the owner's words; None if they say neither."""
    words = set(re.findall(r"[a-z']+", text.casefold()))
    if words & NO_HELP or any(word.endswith("n't") for word in words) or any(piece in text for piece in NO_HELP_PIECES):
        return False
    return True if words & HELPED or any(piece in text for piece in HELPED_PIECES) else None
