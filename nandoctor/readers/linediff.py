"""Line differences of a file and its edited copy: as changed lines with numbers, and as a unified diff."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from nandoctor.source import printable

_CONTEXT = 3
# Edits change a few lines here and there: so many are laid out at their shortest before going on; keeps it linear.
_LOOKAHEAD = 60
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


class Change(msgspec.Struct, frozen=True):
    """A block of lines that differs: 1-based line in the old text, the old lines, the new lines, without line ends.

    Where nothing is removed, `line` is the line before which the new ones stand.
    """

    line: int
    removed: tuple[str, ...]
    added: tuple[str, ...]


def changed_lines(old: str, new: str) -> list[Change]:
    """What differs, top to bottom. Lines end at \\n, \\r\\n or a lone \\r, as in `nandoctor.source`."""
    before, after = _LINE.findall(old), _LINE.findall(new)
    return [
        Change(
            block.old + 1,
            tuple(line.rstrip("\r\n") for line in before[block.old : block.old_end]),
            tuple(line.rstrip("\r\n") for line in after[block.new : block.new_end]),
        )
        for block in _blocks(before, after)
    ]


def unified_diff(file: str, old: str, new: str) -> str:
    """A unified diff that `patch -p0`, `patch -p1` and `git apply` take in the folder the file's name starts from.

    The leading `./` is what makes all three agree: -p1 strips it. Names that leave the folder are cut to the file's
    name, because `patch` refuses them. Line ends stay as they are, so a \\r\\n file gives \\r\\n in its lines.
    """
    before, after = _split(old), _split(new)
    blocks = _blocks(before, after)
    if not blocks:
        return ""
    name = _header_name(file)
    out = [f"--- {name}\n", f"+++ {name}\n"]
    for group in _groups(blocks):
        first, last = group[0], group[-1]
        start, end = max(0, first.old - _CONTEXT), min(len(before), last.old_end + _CONTEXT)
        new_start = first.new - (first.old - start)
        new_end = last.new_end + (end - last.old_end)
        out.append(f"@@ -{_range(start, end)} +{_range(new_start, new_end)} @@\n")
        at = start
        for block in group:
            out += (_line(" ", line) for line in before[at : block.old])
            out += (_line("-", line) for line in before[block.old : block.old_end])
            out += (_line("+", line) for line in after[block.new : block.new_end])
            at = block.old_end
        out += (_line(" ", line) for line in before[at:end])
    return "".join(out)


class _Block(msgspec.Struct, frozen=True):
    old: int
    old_end: int
    new: int
    new_end: int


def _split(text: str) -> list[str]:
    lines = text.split("\n")
    whole = [line + "\n" for line in lines[:-1]]
    return [*whole, lines[-1]] if lines[-1] else whole


def _line(mark: str, line: str) -> str:
    return f"{mark}{line}" if line.endswith("\n") else f"{mark}{line}\n\\ No newline at end of file\n"


def _range(start: int, end: int) -> str:
    count = end - start
    if count == 1:
        return str(start + 1)
    return f"{start + 1 if count else start},{count}"


def _header_name(file: str) -> str:
    path = Path(file)
    if path.is_absolute():
        here = Path.cwd()
        path = path.relative_to(here) if path.is_relative_to(here) else Path(path.name)
    parts = [part for part in path.parts if part != "."]
    if ".." in parts:
        parts = parts[-1:]
    name = printable("./" + "/".join(parts))
    return name + "\t" if " " in name else name


def _groups(blocks: list[_Block]) -> list[list[_Block]]:
    groups: list[list[_Block]] = []
    for block in blocks:
        if groups and block.old - groups[-1][-1].old_end <= 2 * _CONTEXT:
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def _blocks(old: list[str], new: list[str]) -> list[_Block]:
    """The differing stretches (Myers 1986, between the common head and tail)."""
    head = 0
    while head < len(old) and head < len(new) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    a, b = old[head : len(old) - tail], new[head : len(new) - tail]
    if not a and not b:
        return []
    blocks: list[_Block] = []
    for x, y, is_removal in _script(a, b):
        last = blocks[-1] if blocks else None
        i, j = x + head, y + head
        if last is None or last.old_end != i or last.new_end != j:
            last = _Block(i, i, j, j)
            blocks.append(last)
        end = {"old_end": i + 1} if is_removal else {"new_end": j + 1}
        blocks[-1] = msgspec.structs.replace(last, **end)
    return [_settled(block, old, new) for block in blocks]


def _settled(block: _Block, old: list[str], new: list[str]) -> _Block:
    """A block of only new (or only old) lines, slid to where it begins at the outermost indentation: a whole layer.

    The lines it slides over are equal on both sides, so the difference stays the same.
    """
    if block.old != block.old_end and block.new != block.new_end:
        return block
    lines, start, end = (
        (new, block.new, block.new_end) if block.old == block.old_end else (old, block.old, block.old_end)
    )
    best, best_score = 0, _indentation(lines[start])
    for shift in range(1, min(start, end - start) + 1):
        if lines[start - shift] != lines[end - shift]:
            break
        score = _indentation(lines[start - shift])
        if score < best_score:
            best, best_score = shift, score
    return _Block(block.old - best, block.old_end - best, block.new - best, block.new_end - best)


def _indentation(line: str) -> tuple[int, bool]:
    """How deep a line stands; a closing bracket or an empty line begins nothing."""
    text = line.strip()
    return len(line) - len(line.lstrip(" \t")) if text else 0, text in ("}", ">", "")


def _script(a: list[str], b: list[str]) -> list[tuple[int, int, bool]]:
    """Removals (True) and insertions (False), each at its place in both texts, that turn a into b."""
    script: list[tuple[int, int, bool]] = []
    x = y = 0
    while x < len(a) or y < len(b):
        x, y = _advance(a, b, x, y, script)
    return script


def _advance(a: list[str], b: list[str], x0: int, y0: int, script: list[tuple[int, int, bool]]) -> tuple[int, int]:
    """Appends the shortest script from (x0, y0), or _LOOKAHEAD steps of the one that gets furthest; where it ends."""
    trace: list[dict[int, int]] = []
    furthest = {1: 0}
    for cost in range(_LOOKAHEAD + 1):
        trace.append(dict(furthest))
        for k in range(-cost, cost + 1, 2):
            x = furthest[k + 1] if _downwards(furthest, k, cost) else furthest[k - 1] + 1
            y = x - k
            while x0 + x < len(a) and y0 + y < len(b) and a[x0 + x] == b[y0 + y]:
                x, y = x + 1, y + 1
            furthest[k] = x
            if x0 + x >= len(a) and y0 + y >= len(b):
                script += [(x0 + i, y0 + j, removal) for i, j, removal in _walk_back(trace, cost, x, y)]
                return x0 + x, y0 + y
    inside = [k for k in range(-_LOOKAHEAD, _LOOKAHEAD + 1, 2) if _inside(a, b, x0 + furthest[k], y0 + furthest[k] - k)]
    best = max(inside, key=lambda k: 2 * furthest[k] - k)
    steps = _walk_back(trace, _LOOKAHEAD, furthest[best], furthest[best] - best)
    script += [(x0 + i, y0 + j, removal) for i, j, removal in steps]
    return x0 + furthest[best], y0 + furthest[best] - best


def _inside(a: list[str], b: list[str], x: int, y: int) -> bool:
    return x <= len(a) and y <= len(b)


def _downwards(furthest: dict[int, int], k: int, cost: int) -> bool:
    """Whether diagonal k is best reached by an insertion."""
    return k == -cost or (k != cost and furthest[k - 1] < furthest[k + 1])


def _walk_back(trace: list[dict[int, int]], cost: int, x: int, y: int) -> list[tuple[int, int, bool]]:
    script: list[tuple[int, int, bool]] = []
    for step in range(cost, 0, -1):
        furthest, k = trace[step], x - y
        down = _downwards(furthest, k, step)
        k = k + 1 if down else k - 1
        x = furthest[k]
        y = x - k
        script.append((x, y, not down))
    script.reverse()
    return script
