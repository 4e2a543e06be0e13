"""What a file is, by its content; which files of a folder belong to a run."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nandoctor.errors import UnreadableError
from nandoctor.readers.lines import Source, aligned, compression, encoding

if TYPE_CHECKING:
    from _typeshed import StrPath

FileKind = Literal["log", "prototxt", "metrics", "compressed log", "directory", "empty", "binary", "unknown"]
ConfigForm = Literal["", "darknet", "json", "yaml"]
_OTHERS = (".py", ".md", ".yaml", ".yml", ".cfg", ".ini", ".toml", ".sh", ".png", ".jpg", ".pt", ".pth")
HEAD = 1 << 16  # bytes looked at
_CONTROL = bytes(c for c in range(32) if c not in b"\t\n\r\x08\x0c\x1b")
_GLOG = re.compile(rb"(?m)^[IWEF]\d{4,8} [\d:.]+ +\d+ [\w./]+:\d+\] |[Ii]nitializ\w+ (?:net|solver) from parameters")
# Fields of a solver or net at the beginning of a line, outside of any logger's prefix.
_SOLVER_FIELD = re.compile(
    rb"(?m)^\s*(?:base_lr|lr_policy|max_iter|solver_mode|train_net|test_iter|snapshot_prefix|stepsize|stepvalue|momentum)"
    rb"\s*:"
)
_NET_FIELD = re.compile(
    rb"(?m)^\s*(?:layers?|input_param|convolution_param|inner_product_param)\s*:?\s*\{|^\s*input_dim\s*:"
)
_FIELD = re.compile(rb"^\s*(?:[A-Za-z_]\w*\s*:?\s*\{.*|[A-Za-z_]\w*\s*:\s*\S.*|[}\]].*|#.*|)$")


def sniff(path: StrPath) -> FileKind:
    """The kind of a file by its content. A folder is `directory`; what cannot be opened is `unknown`."""
    place = Path(path)
    try:
        if place.is_dir():
            return "directory"
        with place.open("rb") as file:
            head = file.read(HEAD)
    except (OSError, ValueError):
        return "unknown"
    return kind_of_bytes(head)


def kind_of_bytes(head: bytes) -> FileKind:
    """The kind of a file that begins with `head`."""
    if not head.strip(b" \t\r\n\0"):
        return "empty" if not head.strip() else "binary"
    if compression(head):
        return "compressed log"
    name, mark = encoding(head)
    if name and name != "utf-8":
        head = head[mark:].decode(name, "replace").encode("utf-8", "replace")
    elif name:
        head = head[mark:]
    if not name and _is_binary(head):
        return "binary"
    if is_prototxt(head):
        return "prototxt"
    from nandoctor.readers.metrics import metrics_kind

    return "metrics" if metrics_kind(head) else "log"


def _is_binary(head: bytes) -> bool:
    """More than a few control bytes; single NUL bytes stand in logs of crashed machines."""
    sample = head[:HEAD]
    control = len(sample) - len(sample.translate(None, _CONTROL))
    zeros = sample.count(0)
    if control - zeros > 0.02 * len(sample):
        return True
    if zeros > 0.3 * len(sample) and b"\n" not in sample.replace(b"\0", b""):
        return True
    return head.startswith((b"\x89PNG", b"PK\x03\x04", b"%PDF", b"\x7fELF", b"\x89HDF", b"\xff\xd8\xff"))


def is_prototxt(head: bytes) -> bool:
    """A net or solver: its fields, and hardly a line that is none."""
    if _GLOG.search(head) or not (_SOLVER_FIELD.search(head) or _NET_FIELD.search(head)):
        return False  # a log holds dumps of solver and net
    lines = head.splitlines()[:400]
    if len(head) >= HEAD:
        lines = lines[:-1]
    fitting = sum(1 for line in lines if _FIELD.match(line) and not line[:1].isdigit())
    return fitting >= 0.9 * len(lines)


# Names of settings that hardly anything but a training configuration has, and names that others have too.
_TELLING = (
    b"per_device_train_batch_size|train_micro_batch_size_per_gpu|zero_optimization|gradient_accumulation_steps|"
    b"lr_scheduler_type|adam_epsilon|adam_eps|adam_betas?1?|max_grad_norm|grad_clip|gradient_clipping|"
    b"gradient_clip_val|clip_norm|mixed_precision|torch_dtype|peft_type|lora_r|lora_alpha|warmup_ratio|lr0|"
    b"transformers_version|resume_from_checkpoint|base_lr|accumulate_grad_batches|micro_batch_size"
)
# nandoctor's own files: what an owner answered is no setting, and must not be read as one.
_OWN = (
    rb"(?m)^(?:answers|experiments|causes?|also_acceptable|onset|observation|shows|samples|states|remedies|messages)"
    rb"[ \t]*:"
)
_USUAL = (
    b"learning_rate|lr|optim|optimizer|batch_size|train_batch_size|epochs|max_epochs|num_train_epochs|max_steps|"
    b"momentum|weight_decay|warmup_steps|warmup_epochs|precision|fp16|bf16|amp|scheduler|devices|betas"
)


def config_form(head: bytes, name: str) -> ConfigForm:
    """Whether a file that begins with `head` is a training configuration, and how it is written.

    Darknet's cfg and JSON are known by content alone. YAML has no shape of its own (many logs are `key: value`), so
    its name must end in .yaml or .yml. A file with a course of losses is a log, whatever settings it holds.
    """
    code, mark = encoding(head)
    if code and code != "utf-8":
        head = head[mark:].decode(code, "replace").encode("utf-8", "replace")
    elif code:
        head = head[mark:]
    start = head.lstrip()
    if start[:1] == b"{":
        key, form = rb'"(%s)"\s*:', "json"
        if re.match(rb"\{[^\n]*\}[ \t\r]*\n\s*\{", start):
            return ""  # one object a line
        if re.search(rb'"(?:train_|eval_|val_|validation_)?loss(?:es)?"\s*:\s*["\[\dnN-]|"(?:log_)?history"\s*:', head):
            return ""
    elif start[:1] in (b"[", b"#", b";") and b"=" in head:
        parts = rb"(?m)^[ \t]*\[[ \t]*(?:net|network|yolo|region|convolutional|connected|detection)[ \t]*\]"
        if re.search(rb"(?m)^[ \t]*\d+: \S+, \S+ avg", head):
            return ""  # a log that begins with a copy of the cfg
        return "darknet" if re.search(parts, head) and re.search(rb"(?m)^[ \t]*\w+[ \t]*=", head) else ""
    elif name.lower().endswith((".yaml", ".yml")):
        key, form = rb"(?m)^[ \t]*(?:- )?['\"]?(%s)['\"]?[ \t]*:", "yaml"
        if len(re.findall(rb"(?m)^[ \t]*(?:train_|val_)?loss[ \t]*:[ \t]*(?:[-\d]|nan|inf)", head)) > 1:
            return ""
        if re.search(_OWN, head):
            return ""
    else:
        return ""
    known = _TELLING if form == "json" else _TELLING.replace(b"gradient_clipping|", b"")  # an observation's id, too
    telling = set(re.findall(key.replace(b"%s", known), head, re.IGNORECASE))
    usual = set(re.findall(key.replace(b"%s", _USUAL), head, re.IGNORECASE))
    if (telling and len(telling) + len(usual) >= 2) or len(usual) >= 3:
        return "json" if form == "json" else "yaml"
    return ""


def config_form_of(path: StrPath) -> ConfigForm:
    """`config_form` of a file; nothing for what cannot be opened."""
    try:
        with Path(path).open("rb") as file:
            return config_form(file.read(HEAD), str(path))
    except (OSError, ValueError):
        return ""


def find_files(directory: StrPath) -> dict[str, list[str]]:
    """The files of a run folder by content: keys `log`, `net`, `solver`, `metrics`, `config`, each a list, likeliest
    first.

    Sub-folders are looked into one level deep where the folder itself holds no log.
    """
    found = _sorted_files(Path(directory))
    if not (found["log"] or found["metrics"]):
        try:
            folders = sorted(p for p in Path(directory).iterdir() if p.is_dir() and not p.name.startswith("."))
        except OSError:
            folders = []
        for folder in folders[:50]:
            deeper = _sorted_files(folder)
            for kind, paths in deeper.items():
                if not found[kind]:
                    found[kind] = paths
    return found


def _holds_something(entry: os.DirEntry[str]) -> bool:
    """Whether it is a regular file with content. Files like /proc/kmsg say they are empty, and reading them waits."""
    try:
        return entry.is_file() and entry.stat().st_size > 0
    except OSError:
        return False


def _sorted_files(directory: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"log": [], "net": [], "solver": [], "metrics": [], "config": []}
    try:
        entries = sorted((e for e in os.scandir(directory) if _holds_something(e)), key=_likely)
    except OSError:
        return found
    for entry in entries[:500]:
        name = entry.name.lower()
        if name.endswith((".cfg", ".yaml", ".yml")) and not name.startswith("."):
            if config_form_of(entry.path):
                found["config"].append(entry.path)
            continue
        if name.startswith(".") or name.endswith(
            (".py", ".md", ".yaml", ".yml", ".cfg", ".ini", ".toml", ".sh", ".png")
        ):
            continue
        kind = sniff(entry.path)
        if kind == "prototxt":
            found[_net_or_solver(entry.path)].append(entry.path)
        elif kind == "metrics":
            if is_history(entry.path):
                found["metrics"].append(entry.path)
            elif name.endswith(".json") and config_form_of(entry.path):
                found["config"].append(entry.path)
        elif kind in ("log", "compressed log") and _looks_like_log(entry.path):
            found["log"].append(entry.path)
    return found


def _likely(entry: os.DirEntry[str]) -> tuple[int, str]:
    """Order of a folder's files: what is named like a training first, deploy nets last."""
    name = entry.name.lower()
    rank = 0 if re.match(r"train(_val)?\b|solver\b", name) else 1 if "train" in name or "solver" in name else 2
    if "deploy" in name or "test" in name:
        rank = 3
    return rank, name


def _net_or_solver(path: str) -> str:
    with Path(path).open("rb") as file:
        head = file.read(HEAD)
    return "net" if _NET_FIELD.search(head) else "solver"


def is_history(path: StrPath) -> bool:
    """Whether a table or JSON file holds a course of training, not a configuration or vocabulary."""
    try:
        head = next(Source(path).chunks(), b"")
    except UnreadableError:
        return False
    lowered = head[:HEAD].lower()
    if head.lstrip()[:1] in (b"{", b"["):
        return b"loss" in lowered and any(
            word in lowered for word in (b'"step"', b'"epoch"', b'"iter"', b"log_history")
        )
    first = lowered.split(b"\n")[0]
    return b"loss" in first or first.startswith(b"wall time,step,value")


def _looks_like_log(path: str) -> bool:
    """A text file with a log's name, or with a loss in it."""
    if re.search(r"\.(log|out|err|txt|jsonl?|stdout|stderr)(\.\d+)?(\.(gz|xz|zst|bz2))?$|^log|INFO", Path(path).name):
        try:
            head = b"".join(chunk for _, chunk in zip(range(8), Source(path).chunks()))
        except UnreadableError:
            return False
        return bool(re.search(rb"(?i)loss|iteration|epoch|step|cost|traceback|nan", head))
    return False


def pieces(data: bytes) -> list[bytes]:
    """Chunks of bytes in memory, as a `Source` gives them."""
    return list(aligned(iter([data])))
