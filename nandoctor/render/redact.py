"""Takes paths, users, hosts and addresses out of a text that is to be shared, and leaves what a diagnosis needs.

Placeholders are stable within one text: the same folder is always PATH-1. They are bare words, because the text may be
Markdown, HTML, JSON or a URI. File names stay (`PATH-1/train.log:412`), and so do the packages below `site-packages`:
they name the library, not the owner.
"""

from __future__ import annotations

import re
from collections.abc import Callable

KEPT_BELOW = ("site-packages/", "dist-packages/")
# Names of accounts and hosts that everybody has; replacing them would only hide words of the log.
COMMON_NAMES = frozenset(
    {
        "admin",
        "anaconda",
        "caffe",
        "conda",
        "data",
        "default",
        "home",
        "host",
        "jovyan",
        "local",
        "localhost",
        "master",
        "model",
        "nobody",
        "node",
        "public",
        "python",
        "root",
        "runner",
        "shared",
        "test",
        "torch",
        "train",
        "training",
        "ubuntu",
        "user",
        "users",
        "worker",
    }
)
_PART = r"[^\s/\\:*?\"'<>|,;()\[\]{}=`…┊]"
_POSIX = rf"(?:~|/{_PART}+)(?:/{_PART}+)+/?"
_WINDOWS = rf"[A-Za-z]:\\{{1,2}}(?:{_PART}+\\{{1,2}})*{_PART}+"  # doubled inside JSON
_UNC = rf"\\\\{_PART}+(?:\\{_PART}+)+"
_SECRET = r"\b(?:hf_|gh[pousr]_|sk-|xox[bp]-|AKIA)[A-Za-z0-9_-]{16,}"
_PLACEHOLDER = re.compile(r"(?:PATH|USER|HOST|URL|IP|SECRET)-\d+")
_DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.){2,}"  # `s.net` is an attribute in Python, not a host
# Endings that make a dotted word a host; a file name or a Python module must not become one.
_HOST_END = (
    r"(?:com|org|net|edu|gov|io|ai|dev|cn|kr|jp|de|fr|uk|ru|tw|hk|local|lan|internal|intranet|corp|cluster|example)"
)


def redact(text: str, *, paths: bool = True, hosts: bool = True) -> str:
    """`text` without paths and users (`paths`) and without hosts, addresses and mail addresses (`hosts`).

    A user name found in a path or in `user@host`, and a host named by the log itself, is replaced wherever it stands.
    """
    return Redactor(paths=paths, hosts=hosts).redact(text)


class Redactor:
    """Remembers its placeholders, so that several texts of one report agree."""

    def __init__(self, *, paths: bool = True, hosts: bool = True) -> None:
        self.paths = paths
        self.hosts = hosts
        self._numbers: dict[str, dict[str, str]] = {}

    def redact(self, text: str) -> str:
        """See `nandoctor.render.redact.redact`."""
        text = re.sub(_SECRET, self._whole("secret"), text)
        if self.hosts:
            text = self._hosts(text)
        if self.paths:
            text = self._paths(text)
        return self._names(text)

    def _placeholder(self, kind: str, value: str) -> str:
        if _PLACEHOLDER.fullmatch(value.rpartition("/")[2]):
            return value
        known = self._numbers.setdefault(kind, {})
        return known.setdefault(value, f"{kind.upper()}-{len(known) + 1}")

    def _hosts(self, text: str) -> str:
        text = re.sub(r"\b(https?|ftp|ssh|s3|gs|hdfs)://[^\s\"'<>)\]]+", self._url, text)
        text = re.sub(r"\b([A-Za-z0-9_.+-]{1,64})@([A-Za-z0-9][A-Za-z0-9.-]{0,250})", self._account, text)
        text = re.sub(r"(?i)(\brunning on machine: |\bhost(?:name)?[:=] ?)([A-Za-z0-9][\w.-]+)", self._named_host, text)
        text = re.sub(r"(?<![\w.:-])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\.\d|\w)", self._ip4, text)
        text = re.sub(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])", self._ip6, text)
        return re.sub(rf"(?<![\w./\\@-]){_DOMAIN}{_HOST_END}(?![\w.-]*\w)", self._whole("host"), text)

    def _whole(self, kind: str) -> Callable[[re.Match[str]], str]:
        def replaced(match: re.Match[str]) -> str:
            return self._placeholder(kind, match[0])

        return replaced

    def _url(self, match: re.Match[str]) -> str:
        if _PLACEHOLDER.fullmatch(match[0].rpartition("/")[2]):
            return match[0]
        return f"{match[1]}://{self._placeholder('url', match[0])}"

    def _account(self, match: re.Match[str]) -> str:
        """`user@host`; the name left of it is a user, the name right of it a host. `layer@2` is neither."""
        if match[2].replace(".", "").isdigit() and match[2].count(".") != 3:
            return match[0]
        return f"{self._placeholder('user', match[1])}@{self._placeholder('host', match[2].rstrip('.'))}"

    def _named_host(self, match: re.Match[str]) -> str:
        return match[1] + self._placeholder("host", match[2].rstrip("."))

    def _ip4(self, match: re.Match[str]) -> str:
        before = match.string[max(0, match.start() - 16) : match.start()].lower()
        if any(int(part) > 255 for part in match[0].split(".")) or re.search(r"version|cudnn|cuda|driver", before):
            return match[0]
        return self._placeholder("ip", match[0])

    def _ip6(self, match: re.Match[str]) -> str:
        """Only what really is an address: `15:34:13` is a time and `std::vector` a name."""
        import ipaddress

        if sum(char.isalnum() for char in match[0]) < 2 or ("::" not in match[0] and match[0].count(":") != 7):
            return match[0]
        try:
            ipaddress.IPv6Address(match[0])
        except ValueError:
            return match[0]
        return self._placeholder("ip", match[0])

    def _paths(self, text: str) -> str:
        text = re.sub(rf"\bfile://(?={_POSIX})", "", text)  # what stays behind is a path like any other
        return re.sub(rf"(?<![\w.~/<-])(?:{_POSIX}|{_WINDOWS}|{_UNC})", self._path, text)

    def _path(self, match: re.Match[str]) -> str:
        path = match[0]
        parts = [part for part in re.split(r"[/\\]", path) if part]
        for before, name in zip(parts, parts[1:]):
            if before.lower() in ("home", "users") and name.lower() not in COMMON_NAMES:
                self._placeholder("user", name)
        for marker in KEPT_BELOW:
            at = path.find("/" + marker)
            if at >= 0:
                return self._placeholder("path", path[:at]) + path[at:]
        folder, separator, name = path.rpartition("\\" if "\\" in path else "/")
        bare = folder.rstrip("\\")
        folder, separator = bare, folder[len(bare) :] + separator
        tail = name.rstrip(".")
        if re.search(r"\.\w{1,12}$", tail) and folder:
            return self._placeholder("path", folder) + separator + name
        dots = path[len(path.rstrip(".")) :]
        return self._placeholder("path", path.rstrip("./\\")) + dots

    def _names(self, text: str) -> str:
        """Users and hosts learnt above, wherever they stand alone."""
        for kind in ("user", "host"):
            for name, placeholder in list(self._numbers.get(kind, {}).items()):
                if len(name) >= 3 and name.lower() not in COMMON_NAMES and not name.isdigit():
                    text = re.sub(rf"(?<![\w-]){re.escape(name)}(?!\w)", placeholder, text)
        return text
