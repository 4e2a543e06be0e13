"""What happens in a consultation: files read, words said, questions answered, remedies tried, disputes settled."""

from __future__ import annotations

from typing import Literal

import msgspec

from nandoctor.diagnosis import Evidence
from nandoctor.ingest import Inputs


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """The owner chose a state; `unknown` means asked, and no evidence."""

    observation: str
    state: str
    asked: bool = True  # by the program, rather than given at once


class Said(msgspec.Struct, frozen=True, tag="said"):
    """Free words, and what was understood from them (after corrections)."""

    text: str
    understood: tuple[Evidence, ...] = ()


class Tried(msgspec.Struct, frozen=True, tag="tried"):
    """A remedy was tried: it helped, or it did not."""

    remedy: str
    helped: bool


class Read(msgspec.Struct, frozen=True, tag="read"):
    """Files were handed over; replaces what was read before."""

    inputs: Inputs


class Chose(msgspec.Struct, frozen=True, tag="chose"):
    """Files and owner disagreed about an observation, and the owner said who is right."""

    observation: str
    keep: Literal["file", "owner"]


Event = Answered | Said | Tried | Read | Chose
