"""Hypothesis without a deadline: a busy machine is no counterexample."""

from hypothesis import settings

settings.register_profile("refine", deadline=None)
settings.load_profile("refine")
