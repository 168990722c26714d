"""`python -m refold`: the command line, also where the console script is not on the path."""

from __future__ import annotations

from .ops.cli import main

if __name__ == "__main__":
    main()
