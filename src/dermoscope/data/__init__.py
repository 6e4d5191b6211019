"""Files to cases, bytes to pixels."""
