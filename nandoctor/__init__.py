"""Tells the owner of a broken training run what broke it.

`diagnose` for a result at once, `Consultation` for a dialogue, `load_knowledge` for the knowledge base. The names are
imported on first use, so that `import nandoctor.anything` stays cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nandoctor.api import Result, diagnose
    from nandoctor.consultation import Consultation
    from nandoctor.kb.load import load_knowledge

__all__ = ["Consultation", "Result", "diagnose", "load_knowledge"]

_HOMES = {
    "Consultation": "nandoctor.consultation",
    "Result": "nandoctor.api",
    "diagnose": "nandoctor.api",
    "load_knowledge": "nandoctor.kb.load",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'nandoctor' has no attribute {name!r}")
