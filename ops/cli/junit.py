"""A report of a job in the XML that CI servers read: a suite for each workflow type, a case for each run that is not
equal, and one for all that are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from ...replay.fleet import ChunkProof
from ...replay.jobs import JobEnd
from .divergences import lines_of
from .output import plain

MOST_CASES = 1_000
"""Of one workflow type, so many runs have a case of their own; the others are counted."""

_ELEMENTS = {"diverged": "failure", "broken": "error", "not_verifiable": "skipped", "not_comparable": "skipped"}


class JUnitReport:
    """Gathers the cases while a job goes on."""

    def __init__(self) -> None:
        self._suites: dict[str, ElementTree.Element] = {}
        self._left: Counter[tuple[str, str]] = Counter()

    def take(self, proof: ChunkProof) -> None:
        """Add the runs of a chunk that are not equal."""
        for run in proof.told:
            if run["verdict"] == "equal":
                continue
            suite = self._suite(run["workflow_type"] or "?")
            if len(suite) < MOST_CASES:
                self._case(suite, run["run_id"], run["verdict"], _why(run), "\n".join(str(x) for x in lines_of(run)))
            else:
                self._left[run["workflow_type"] or "?", run["verdict"]] += 1

    def written(self, end: JobEnd) -> bytes:
        """The report as XML in UTF-8."""
        for (name, verdict), number in sorted(self._left.items()):
            self._case(self._suite(name), f"{number} more runs", verdict, f"{number} more runs are {verdict}", "")
        for name, counts in end.tally.types.items():
            if equal := counts.get("equal"):
                self._case(self._suite(name), f"{equal} runs are equal", "equal", "", "")
        for control in end.control:
            verdict = "equal" if control.ok else "broken"
            told = "\n".join(str(finding) for finding in (*control.chain, *control.fold))
            self._case(self._suite("control"), control.about, verdict, told.partition("\n")[0], told)
        root = ElementTree.Element("testsuites", name="refold")
        for name in sorted(self._suites):
            suite = self._suites[name]
            counted = Counter(case[0].tag for case in suite if len(case))
            suite.set("tests", str(len(suite)))
            for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
                suite.set(attribute, str(counted[tag]))
            root.append(suite)
        return ElementTree.tostring(root, "utf-8", xml_declaration=True) + b"\n"

    def _suite(self, name: str) -> ElementTree.Element:
        if name not in self._suites:
            self._suites[name] = ElementTree.Element("testsuite", name=plain(name))
        return self._suites[name]

    def _case(self, suite: ElementTree.Element, name: str, verdict: str, why: str, text: str) -> None:
        case = ElementTree.SubElement(suite, "testcase", classname=suite.get("name", ""), name=plain(name))
        if verdict in _ELEMENTS:
            told = ElementTree.SubElement(case, _ELEMENTS[verdict], type=verdict, message=plain(why))
            told.text = "\n".join(map(plain, text.split("\n")))


def _why(run: Mapping[str, Any]) -> str:
    for result in run["proofs"].values():
        if result["verdict"] == run["verdict"]:
            found: dict[str, Any] = result.get("divergence") or {}
            return f"{found['kind']}: {found['message']}" if found else result.get("reason") or run["verdict"]
    return run["verdict"]
