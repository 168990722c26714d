"""The codes that the skills and workflows of the tests fail with, beside Refold's."""

from __future__ import annotations

from refold import FailureCatalog

OWN_CODES = FailureCatalog()
"""What `failures=` of a test's skill names."""

_CODES = "BROKEN B_FAILED C_FAILED DOOMED FLAKY MADE_FATAL MADE_UP OUT_OF_STOCK TEAPOT UNLUCKY"

for _code in _CODES.split():
    OWN_CODES.register(_code, "TRANSIENT", "A test wants it so.")
