"""Hypothesis without a deadline: a busy machine is no counterexample."""

from hypothesis import settings

settings.register_profile("evaluate", deadline=None, max_examples=40)
settings.load_profile("evaluate")
