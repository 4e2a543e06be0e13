"""What was typed or dropped into the input line: commands, paths, pasted logs and prototxt."""

from __future__ import annotations

import re
from typing import NamedTuple


class Command(NamedTuple):
    """A slash command. `near`: the command probably meant, if `name` is none (then empty)."""

    name: str
    argument: str = ""
    near: str = ""


# name -> what it takes ("": nothing; in brackets: may be left out)
COMMANDS: dict[str, str] = {
    "help": "",
    "why": "[ID]",
    "how": "[ID]",
    "undo": "[ID]",
    "skip": "",
    "log": "FILE",
    "net": "FILE",
    "solver": "FILE",
    "save": "FILE",
    "plan": "",
    "lang": "LANG",
    "quit": "",
}
_SHORT = {
    "h": "help",
    "?": "help",
    "w": "why",
    "u": "undo",
    "s": "skip",
    "q": "quit",
    "exit": "quit",
    "bye": "quit",
    "p": "plan",
}

_ENDINGS = (
    "log|txt|out|err|prototxt|pbtxt|cfg|csv|tsv|json|jsonl|ndjson|yaml|yml|md|html|gz|bz2|xz|zst|caffemodel|solverstate"
)
_PATH = re.compile(
    r"""file://(?P<url>[^\s"'<>]+)
    | "(?P<double>[^"\n]+)" | '(?P<single>[^'\n]+)' | `(?P<tick>[^`\n]+)`
    | (?P<bare>(?:\\.|[^\s"'`<>|;，。；、（）()])+)""",
    re.VERBOSE,
)
_ROOTED = re.compile(r"(?:/|\.{1,2}[/\\]|~[/\\]|[A-Za-z]:[\\/]|\\\\)")
_ENDED = re.compile(rf"[\w\-./\\~ :+@%=,\[\]\u3040-\ud7af]*[\w\-\])\u3040-\ud7af]\.(?:{_ENDINGS})", re.IGNORECASE)
_LONG_ENDING = re.compile(r"[\w\-./~]*[\w\-]\.([a-z]{5,})", re.IGNORECASE)
_PLACE = re.compile(r"(?::\d+){1,2}$")

_GLOG = re.compile(r"^[ \t>]{0,8}[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w.]+:\d+\]", re.MULTILINE)
_DICT_LINE = re.compile(r"""^[ \t]{0,8}\{['"](?:\w*loss|step|epoch|iter)['"]: ?[-\w.'"]+,.*\}[ \t]*$""", re.MULTILINE)
_LOG_WORD = re.compile(
    r"\b(?:loss|lr|learning[_ ]rate|iter(?:ation)?|epoch|step|acc(?:uracy)?|grad_?norm|eta)\b|loss", re.IGNORECASE
)
_NUMBER = re.compile(r"(?:^|[\s=:(\[,])[-+]?(?:\d[\d.,]*(?:e[-+]?\d+)?|nan|inf)\b", re.IGNORECASE)
_FIELD = re.compile(
    r"""^\s*(?:[a-z_]\w*\s*:\s*(?:"[^"\n]*"|'[^'\n]*'|[-+]?[\d.][\w.+-]*|true|false|[A-Z][A-Z_0-9]*)\s*(?:\#.*)?|[a-z_]\w*\s*:?\s*\{.*|\}\s*|\#.*)$""",
    re.VERBOSE,
)
_PROTO_KEY = re.compile(
    r"^[ \t]*(?:layers?\s*\{|(?:base_lr|lr_policy|max_iter|train_net)\s*:|(?:net|bottom|top)\s*:\s*\"|\w+_param\s*\{)",
    re.MULTILINE,
)


def parse_command(text: str) -> Command | None:
    """The slash command of a line, or None if it is none (words, an answer, a path such as /home/x/train.log).

    An unknown command gives an empty name and, in `near`, the one probably meant.
    """
    line = text.strip()
    match = re.match(r"/([a-z?]+)(?:\s+(.*))?$", line, re.IGNORECASE | re.DOTALL)
    if not match:
        return None
    name = match[1].lower()
    argument = (match[2] or "").strip()
    name = _SHORT.get(name, name)
    if name in COMMANDS:
        if COMMANDS[name] == "FILE":
            argument = (paths_in(argument) or [argument.strip("\"'")])[0] if argument else ""
        return Command(name, argument)
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, 1)
    return Command("", argument, near[0] if near else "")


def paths_in(text: str) -> list[str]:
    """Paths in a line, typed, quoted or dropped by a terminal (`a\\ b.log`, `file:///a%20b.log`), in order, each once.

    Bare words count if they start like a path or end like a file that can be read; nothing is looked up on the disk.
    """
    found: list[str] = []
    for match in _PATH.finditer(text):
        kind, word = next((k, v) for k, v in match.groupdict().items() if v is not None)
        if kind == "url":
            from urllib.parse import unquote

            word = unquote(re.sub(r"^localhost(?=/)", "", word))
            word = word[1:] if re.match(r"/[A-Za-z]:/", word) else word
        elif kind == "bare":
            word = _bare(word)
            if "://" in word or not _is_path(word):
                continue
        elif not _is_path(word):
            if kind == "single" or " " not in word:
                found += [path for path in paths_in(word.replace("'", " ")) if path not in found]
            continue
        word = _PLACE.sub("", word)
        if word and word not in found:
            found.append(word)
    return found


def _bare(word: str) -> str:
    """Without the punctuation of the sentence around it; a backslash before a space or sign is the terminal's."""
    word = word.rstrip(".,:!?，。：！？").lstrip(",:")
    word = _PLACE.sub("", re.sub(r"^\w+=", "", word))
    if re.match(r"[A-Za-z]:\\|\\\\", word):
        return word
    return re.sub(r"\\(.)", r"\1", word)


def _is_path(word: str) -> bool:
    if _ROOTED.match(word):
        rest = re.sub(r"^[~.]*[/\\]+", "", word)
        known = rest.lower() in COMMANDS or rest.lower() in _SHORT
        return bool(re.search(r"\w", rest)) and not (known and word.startswith("/"))
    return _ENDED.fullmatch(word) is not None or _misspelt(word)


def _misspelt(word: str) -> bool:
    """Whether a long ending of a file has a letter wrong: who types `net.prototx` means a file, not Caffe."""
    ending = _LONG_ENDING.fullmatch(word)
    if ending is None:
        return False
    import difflib

    return bool(difflib.get_close_matches(ending[1].lower(), _ENDINGS.split("|"), 1, 0.8))


def looks_like_log(text: str) -> bool:
    """Whether the text is a piece of a training log not words about one: glog or record lines, rows of numbers."""
    if _GLOG.search(text) or _DICT_LINE.search(text):
        return True
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return False
    rows = sum(
        1 for line in lines if _LOG_WORD.search(line) and len(_NUMBER.findall(line)) >= 1 and len(line.split()) <= 40
    )
    dense = sum(1 for line in lines if _LOG_WORD.search(line) and len(_NUMBER.findall(line)) >= 2)
    return rows >= 2 and rows >= 0.6 * len(lines) and dense >= 0.4 * len(lines)


def looks_like_prototxt(text: str) -> bool:
    """Whether the text is a piece of a net or a solver in protobuf's text format."""
    if not _PROTO_KEY.search(text):
        return False
    lines = [line for line in re.sub(r"([{}])", r"\1\n", text).splitlines() if line.strip()]
    if len(lines) == 1:
        return re.match(r"\s*(?:layers?\s*\{|(?:base_lr|lr_policy|max_iter)\s*:\s*\S+\s*$)", text) is not None
    return sum(1 for line in lines if _FIELD.match(line)) >= 0.6 * len(lines)
