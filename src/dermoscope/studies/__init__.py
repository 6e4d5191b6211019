"""One file per study: what is claimed, and what is measured here."""
