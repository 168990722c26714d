"""Workflows written as functions: what drives them by their history, and what their code calls."""
