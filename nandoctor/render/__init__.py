"""Views of a diagnosis."""
