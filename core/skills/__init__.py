"""The ready-made skills that come with Refold."""
