"""`refold doctor`: what may be wrong with an installation, looked at side by side, each fault with what to type.

The modules hold the looks, small functions from a `Patient` to checks, which know nothing of who shows them; `looks`
lists them, and `examining` has them done.
"""
