"""Messages between widgets, worker and screen."""

from __future__ import annotations

from textual.message import Message

from nandoctor.consultation import Consultation


class LineGiven(Message):
    """The owner gave a line, by any way: typed, a key, a click, a paste."""

    def __init__(self, line: str) -> None:
        super().__init__()
        self.line = line


class ReadingAt(Message):
    """The worker has read so much; only the newest of these counts."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__()
        self.done = done
        self.total = total

    def can_replace(self, message: Message) -> bool:
        """Whether this makes an older message superfluous."""
        return isinstance(message, ReadingAt)


class ReadingDone(Message):
    """The worker is through; None if it was stopped."""

    def __init__(self, consultation: Consultation | None) -> None:
        super().__init__()
        self.consultation = consultation


class StepWanted(Message):
    """Something is to be done with a step of the plan: copy it, or tell what it brought."""

    def __init__(self, action: str, remedy: str, text: str = "") -> None:
        super().__init__()
        self.action = action
        self.remedy = remedy
        self.text = text
