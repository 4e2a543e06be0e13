"""`python -m nandoctor`."""

from nandoctor.cli import run

run()
