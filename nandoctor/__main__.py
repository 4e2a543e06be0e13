"""`python -m nandoctor`."""

from nandoctor.cli import main

main()
