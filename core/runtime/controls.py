"""What operators decide, and where it is recorded: one attribute for each control stream."""

from __future__ import annotations

from ..ports import Clock, DataKeyring, Journal, RunLog
from .access_control import AccessControl
from .budget_control import BudgetControl
from .emergency import EmergencyControl
from .erasures import Erasures
from .golden_control import GoldenControl
from .job_control import JobControl
from .policy_control import PolicyControl
from .refusals import Refusals
from .request_keys import RequestKeys
from .specs import SpecRegistry
from .webhook_control import WebhookControl


class Controls:
    """The part of an engine that reads and writes control streams."""

    def __init__(self, log: RunLog, journal: Journal, clock: Clock, keys: DataKeyring | None = None):
        self.access = AccessControl(log, journal, clock)
        self.budgets = BudgetControl(log, journal, clock)
        self.refusals = Refusals(log, journal, clock)
        self.specs = SpecRegistry(log, journal, clock)
        self.goldens = GoldenControl(log, journal, clock)
        self.policies = PolicyControl(log, journal, clock)
        self.erasures = Erasures(log, journal, clock, keys)
        self.emergency = EmergencyControl(log, journal, clock)
        self.request_keys = RequestKeys(log, journal, clock)
        self.jobs = JobControl(log, journal, clock)
        self.webhooks = WebhookControl(log, journal, clock)
