"""What a reader says about an input: English, and able to be said in another language."""

from __future__ import annotations

from nandoctor.source import printable


class Remark(str):
    """A sentence that knows the template it was made of; by that template the texts hold its translations.

    `Remark("{file} is empty", file=path)` is the string "train.log is empty", safe to print; `render.words` looks the
    template up among the English texts and fills the one of the reader's language. A value may be a remark itself.
    """

    __slots__ = ("args", "template")
    template: str
    args: dict[str, str]

    def __new__(cls, template: str, /, **args: object) -> Remark:
        """Fills the template; foreign text in it is made printable."""
        safe = {name: value if isinstance(value, Remark) else printable(str(value)) for name, value in args.items()}
        made = super().__new__(cls, template.format(**safe))
        made.template = template
        made.args = safe
        return made

    @classmethod
    def of(cls, text: str) -> Remark:
        """A text without anything to fill in, braces and all."""
        return cls(text.replace("{", "{{").replace("}", "}}"))
