"""The consultation in the terminal."""
