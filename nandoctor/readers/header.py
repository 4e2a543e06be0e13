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


def settings(text: str) -> list[tuple[str, str]]:
    """The names and values in a line that no dialect knows."""
    text = _PREFIX.sub("", text)
    found: list[tuple[str, ...]] = _ARGUMENT.findall(text) if _DUMP.match(text) else []
    if not found and not text.startswith("  ") and (match := _HEADER.match(text)):
        found = [match.groups()]
    return [(printable(key).strip(), printable(value).strip("'\" ,")) for key, value in found]
