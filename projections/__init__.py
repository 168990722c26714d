"""Everything that is derived from the log and can be computed from it anew."""
