"""The HTTP face of Refold."""
