"""Belief, inquiry, planning, explanation: pure functions over the knowledge model."""
