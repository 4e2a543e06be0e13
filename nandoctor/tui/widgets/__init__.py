"""The widgets of the consultation; they show what they are given and compute nothing."""
