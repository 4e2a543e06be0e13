"""Tells the owner of a broken training run what broke it."""
