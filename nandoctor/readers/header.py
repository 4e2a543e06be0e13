"""Settings printed before the training: `name: value`, dumps of arguments. Imported when there is such a line."""

from __future__ import annotations

import re

from nandoctor.source import printable

_HEADER = re.compile(r"^[\s\"'{\[*-]*([A-Za-z_][\w.\- /]{0,60}?)[\"']?\s*(?::|=|\.{3,})\s*(\S.{0,200}?)\s*,?$")
_ARGUMENT = re.compile(
    r"[\"']?([A-Za-z_]\w{0,60})[\"']?\s*(?:=|:\s)\s*('[^']{0,200}'|\"[^\"]{0,200}\"|[^\s,(){}\[\]]{1,200})"
)
# A dump of arguments or of a configuration on one line
_DUMP = re.compile(r"\W{0,4}(?:[\w.]+[\s:=]{1,3}){0,4}\w{0,60}[({]|\w{1,60}=\S+,? +\w{1,60}=")
# What loggers put in front: glog and absl, dates and times, levels, ranks. For the header; patterns search past it.
_PREFIX = re.compile(
    r"^(?:[IWEF]\d{4,8} [\d:.]+ +\d+ \S+:\d+\]|\[?\d{2,4}[-/]\d\d(?:[-/]\d\d)?[ T][\d:.,]+[^\s\]]*\]?"
    r"|\[?rank\s?\d+\]?:?|[-|:\s]+|\[?(?:DEBUG|INFO|WARNING|ERROR)\]?|\[[\w.: -]{1,60}\]"
    r"|[\w.]+ - (?=INFO|DEBUG|WARN))+\s*"
)


# A few settings whose names are the same everywhere, wherever they stand in a line
_KNOWN = re.compile(
    r"(?<![\w./-])(lr|learning[ _]rate|momentum|weight[ _]decay|wd|eps|betas|batch[ _]size"
    r"|clip(?:_?grad\w*|norm|_?value)?|max_grad_norm|grad_clip|warmup\w*|maximize|dtype|optimizer|precision|amp|fp16|bf16)(?:\s?[=:]\s?|\s)"
    r"(\([^)\n]{1,60}\)|[-+]?\d[\w.+-]{0,40}|[Tt]rue|[Ff]alse|[A-Za-z][\w-]{1,40}(?=[\s,;|)]|$))"
)


def settings(text: str) -> list[tuple[str, str]]:
    """The names and values in a line that no dialect knows."""
    text = _PREFIX.sub("", text)
    found: list[tuple[str, ...]] = _ARGUMENT.findall(text) if _DUMP.match(text) else []
    if not found and not text.startswith("  ") and (match := _HEADER.match(text)):
        found = [match.groups()]
    named = {key for key, _ in found}
    found += [pair for pair in _KNOWN.findall(text) if pair[0] not in named]
    return [(printable(key).strip(), printable(value).strip("'\" ,")) for key, value in found]
