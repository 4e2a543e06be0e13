"""The Python interface for one result: `diagnose(log=..., net=..., solver=..., answers={...}, describe=...)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nandoctor.consultation import Consultation
from nandoctor.diagnosis import Diagnosis, RankedCause, Step


class Result:
    """A diagnosis with its knowledge base: `.verdict`, `.causes` (best first), `.plans`, `.to_json()`, `.to_text()`."""

    def __init__(self, consultation: Consultation) -> None:
        self.consultation = consultation

    @property
    def diagnosis(self) -> Diagnosis:
        """Everything a view shows."""
        return self.consultation.diagnosis

    @property
    def verdict(self) -> str:
        """fault, healthy, benign or undetermined."""
        return self.diagnosis.verdict

    @property
    def causes(self) -> tuple[RankedCause, ...]:
        """Every cause and `none-of-these`, best first."""
        return self.diagnosis.causes

    @property
    def plans(self) -> dict[str, tuple[Step, ...]]:
        """`fastest` and `diagnostic`."""
        return {"fastest": self.diagnosis.fastest, "diagnostic": self.diagnosis.diagnostic}

    def to_json(self, lang: str = "en") -> str:
        """The report of the contract as JSON text."""
        from nandoctor.render import json

        return json.render(self.diagnosis, self.consultation.kb, lang=lang)

    def to_text(self, lang: str = "en", width: int = 96) -> str:
        """The report for people."""
        from nandoctor.render import text

        return text.render(self.diagnosis, self.consultation.kb, lang=lang, width=width)


def diagnose(
    *,
    log: str | Sequence[str] = (),
    net: str = "",
    solver: str = "",
    answers: Mapping[str, str] | None = None,
    describe: str = "",
    **more: Any,
) -> Result:
    """The diagnosis of what is given; all of it is optional. `more` goes to `Consultation.open`.

    Raises:
        UsageError: unknown ids in `answers`.
        UnreadableError: no input at all could be read.
    """
    consultation = Consultation.open(log=log, net=net, solver=solver, answers=answers, describe=describe, **more)
    errors = consultation.ingested.errors
    if errors and not consultation.evidence:
        raise errors[0]
    return Result(consultation)
