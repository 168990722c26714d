"""Everything that is derived from the log and can be rebuilt from it."""
