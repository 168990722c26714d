"""What operators run: the command line and its settings."""
