"""The consultation in the terminal. Importing this is cheap; Textual is loaded by `run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from nandoctor.consultation import Consultation
    from nandoctor.ingest import Inputs
    from nandoctor.interview import Interview


def run(
    start: Consultation | Interview,
    lang: str,
    *,
    transcript: Path | None = None,
    inputs: Inputs | None = None,
    theme: Literal["dark", "light", "no-colour"] = "dark",
) -> int:
    """Holds the consultation until the owner leaves; gives the exit code.

    start: a new consultation, or one to continue (`interview.resume`). inputs: files to read first, in the background.
    transcript: where to record it; by default a new file in the user's state folder. `NO_COLOR` wins over `theme`.
    """
    from nandoctor import interview as conversation
    from nandoctor.render.transcript import recording
    from nandoctor.tui.app import NandoctorApp

    now = start if isinstance(start, conversation.Interview) else conversation.begin(start, lang, inputs)
    kept, file = recording(now, transcript)
    app = NandoctorApp(kept, theme=f"nandoctor-{theme}", file_error=file.error)
    try:
        code = app.run()
    finally:
        file.close()
    if not file.error:
        print(kept.words("say.recorded", file=str(file.path)))
    return app.return_code or 0 if code is None else int(code)
