"""Proofs over the log: is it intact, and does folding it again give the same hashes."""
