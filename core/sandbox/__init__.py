"""The planner sandbox: whether a plan that an untrusted planner wrote may run. `planner` is the way in."""

from __future__ import annotations
