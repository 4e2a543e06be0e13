"""What can go wrong, and the exit codes that say so.

Every exception derives from `NandoctorError` and may carry a `Location`; its text says what happened and what to do.
Only `cli` turns them into messages and exit codes.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from nandoctor.remark import Remark

if TYPE_CHECKING:
    from nandoctor.source import Location


class ExitCode(enum.IntEnum):
    """Process exit codes; part of the contract, never changed."""

    FINE = 0
    FAULT = 1
    USAGE = 2
    UNREADABLE = 3
    UNDETERMINED = 4
    INTERRUPTED = 130


class NandoctorError(Exception):
    """Base of all errors that are the input's fault, not the program's.

    Attributes:
        location: where, if known; printed in front of the message as `file:line:column`.
        excerpt: the line it is about with a caret below, or "".
    """

    exit_code: ExitCode = ExitCode.UNREADABLE

    def __init__(self, message: str, location: Location | None = None, excerpt: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        self.excerpt = excerpt

    @property
    def remark(self) -> str:
        """The message with its place in front, in one line."""
        return Remark("{place}: {what}", place=self.location, what=self.message) if self.location else self.message

    def __str__(self) -> str:
        said = f"{self.location}: {self.message}" if self.location else self.message
        return f"{said}\n{self.excerpt}" if self.excerpt else said


class UnreadableError(NandoctorError):
    """A file that is missing, a directory, binary, empty or of no known kind."""


class TextFormatError(NandoctorError):
    """A syntax error in a prototxt file."""


class KnowledgeError(NandoctorError):
    """A knowledge file that cannot be used.

    Attributes:
        problems: every problem found, each with its own location (`kb.problems.Problem`).
    """

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, location: Location | None = None, problems: tuple[object, ...] = ()) -> None:
        super().__init__(message, location)
        self.problems = problems


def reason(error: OSError | ValueError) -> Remark:
    """What the operating system says, as a part of a message."""
    return Remark.of(getattr(error, "strerror", None) or str(error))


class UsageError(NandoctorError):
    """Wrong arguments: unknown ids in answers, options that exclude each other."""

    exit_code = ExitCode.USAGE
