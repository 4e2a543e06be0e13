"""Readers turn files into facts, with file and line, and hold no opinion."""
