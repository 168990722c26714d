"""What every entry must say, and how codes of one's own are added."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Any

import pytest
from typer.core import TyperArgument, TyperGroup
from typer.main import get_command

from refold import CallError, CatalogEntry, Failure, FailureCatalog, SkillRegistry, WorkflowEngine, skill, workflow
from refold.core.errors import RefoldError
from refold.core.events import StepFailed
from refold.core.failures import FAILURES, THEMES, Category, Recovery
from refold.core.ports import EMPTY, Append, Unit
from refold.core.retry import Retry
from refold.eventstore.sealing import Sealer
from refold.ops.cli.main import app
from refold.tests.support.catalog_watch import CatalogWatch
from refold.tests.support.workflows import spec, step


def test_there_are_over_fifty_codes_in_all_categories_with_every_cure() -> None:
    assert len(FAILURES) == sum(map(len, THEMES.values())) >= 50
    assert {entry.category for entry in FAILURES.values()} == set(Category)
    assert {entry.recovery for entry in FAILURES.values()} == set(Recovery)


@pytest.mark.parametrize("entry", FAILURES.values(), ids=lambda entry: entry.code)
def test_an_entry_says_in_a_sentence_what_it_means_and_what_to_do(entry: CatalogEntry) -> None:
    assert re.fullmatch(r"[A-Z][^\n]{10,110}\.", entry.meaning)
    assert re.fullmatch(r"[A-Z][^\n]{20,230}[^.\n]", entry.suggestion) or entry.suggestion.startswith("refold ")
    assert entry.retryable == (entry.retry.max_attempts > 1)
    assert entry.retryable or entry.recovery not in (Recovery.RETRY,)
    assert entry.documentation == f"docs/failures.md#{entry.anchor}"


_MENTIONED = {"refold signal"}
"""Commands that a suggestion names without saying all that must be given."""

_COMMANDS = get_command(app)
_END = re.compile(r"[;,:.()](?:\s|$)")


def _wrong(typed: str) -> str | None:
    """What is wrong with a command in a suggestion, which begins with these words; None if nothing is."""
    words, at, path = _END.split(typed)[0].rstrip(";,:.)").split(), _COMMANDS, "refold"
    while isinstance(at, TyperGroup) and words and words[0] in at.commands:
        at, path = at.commands[words[0]], f"{path} {words.pop(0)}"
    if isinstance(at, TyperGroup) and not at.invoke_without_command:
        return f"{path!r} alone does nothing, and has no {words[:1]}"
    options = {name for parameter in at.params for name in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in words if word.startswith("-") and word not in options]
    arguments = [parameter for parameter in at.params if isinstance(parameter, TyperArgument)]
    given = list(takewhile(lambda word: word.isupper() and not word.startswith("-"), words))
    few = len(given) < sum(each.required for each in arguments) and (given or path not in _MENTIONED)
    many = len(given) > len(arguments)
    return f"{path!r} has no {unknown}" if unknown else f"{path!r} takes other arguments" if few or many else None


@pytest.mark.parametrize("entry", FAILURES.values(), ids=lambda entry: entry.code)
def test_the_commands_that_an_entry_names_exist_with_their_options_and_arguments(entry: CatalogEntry) -> None:
    typed = re.split(r"\brefold (?=[a-z-])", entry.suggestion)[1:]
    assert [wrong for each in typed if (wrong := _wrong(each))] == []


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("retry RUN_ID; else", None),
        ("retry RUN_ID --skills MODULE", None),
        ("webhooks list", None),
        ("skills lists", None),
        ("webhooks", "'refold webhooks' alone does nothing, and has no []"),
        ("webhooks lost", "'refold webhooks' alone does nothing, and has no ['lost']"),
        ("nothing RUN_ID", "'refold' alone does nothing, and has no ['nothing']"),
        ("list --state failed", "'refold list' has no ['--state']"),
        ("retry, then look", "'refold retry' takes other arguments"),
        ("approvals list RUN_ID", "'refold approvals list' takes other arguments"),
    ],
)
def test_a_command_that_is_none_would_be_found(typed: str, why: str | None) -> None:
    assert _wrong(typed) == why


def _all(kind: type[RefoldError]) -> list[type[RefoldError]]:
    return [kind, *(each for below in kind.__subclasses__() for each in _all(below))]


def test_every_error_of_ours_is_reported_under_a_code_of_the_catalog() -> None:
    assert {kind.code for kind in _all(RefoldError) if kind.__module__.startswith("refold.")} <= FAILURES.keys()


def test_what_is_not_said_of_a_registered_code_follows_from_its_category() -> None:
    catalog = FailureCatalog()
    assert catalog.register("BUSY", "RESOURCE", "It is busy.")[:6] == (
        "BUSY", Category.RESOURCE, True, "It is busy.", Recovery.RETRY_LATER, "Look at the run: refold show RUN_ID",
    )  # fmt: skip
    closed = catalog.register("CLOSED", "PERMISSION", "It is closed.", suggestion="Ask Ada", http_status=403)
    assert (closed.retryable, closed.retry, closed.recovery) == (False, Retry(), Recovery.ASK_PERSON)
    assert catalog.own() == [catalog.entry("BUSY"), closed]
    assert "BUSY" in catalog and "STEP_TIMEOUT" in catalog and len(catalog) == len(FAILURES) + 2
    assert [entry.code for entry in catalog] == sorted([*FAILURES, "BUSY", "CLOSED"])


def test_a_code_can_be_registered_twice_but_not_with_two_meanings() -> None:
    catalog = FailureCatalog([CatalogEntry("BUSY", Category.RESOURCE, False, "It is busy.")])
    catalog.register("BUSY", "RESOURCE", "It is busy.", retryable=False, recovery="ask_person")
    with pytest.raises(CallError, match="another meaning"):
        catalog.register("BUSY", "RESOURCE", "It is too busy.")
    assert len(catalog.own()) == 1


@pytest.mark.parametrize(
    ("given", "reasons"),
    [
        ({"code": "STEP_TIMEOUT"}, ["Refold's own"]),
        ({"code": "lower"}, ["is no name"]),
        ({"code": "X" * 65}, ["is no name"]),
        ({"code": ""}, ["is no name"]),
        ({"code": "1A"}, ["is no name"]),
        ({"code": 7}, ["is no name"]),
        ({"category": "WRONG", "recovery": "hope"}, ["category 'WRONG' is unknown", "recovery 'hope' is unknown"]),
        ({"meaning": ""}, ["its meaning is no line"]),
        ({"meaning": "two\nlines"}, ["its meaning is no line"]),
        ({"suggestion": "\x1b[2J"}, ["its suggestion is no line"]),
        ({"http_status": 200}, ["200 is no HTTP error"]),
        ({"http_status": True}, ["True is no HTTP error"]),
        ({"retryable": "yes"}, ["neither True nor False"]),
        ({"retry": 3}, ["retry is no Retry"]),
        ({"retryable": False, "retry": Retry(max_attempts=2)}, ["not retryable"]),
        ({"documentation": 1}, ["no address"]),
    ],
)
def test_what_cannot_be_a_code_is_refused_with_every_reason(given: dict[str, Any], reasons: list[str]) -> None:
    fields: dict[str, Any] = {"code": "BUSY", "category": "RESOURCE", "meaning": "It is busy.", **given}
    with pytest.raises(CallError) as refused:
        FailureCatalog().register(**fields)
    told = [problem.reason for problem in refused.value.problems]
    assert len(told) == len(reasons) and all(map(str.__contains__, told, reasons)), told


def test_an_unknown_code_is_told_with_the_one_that_was_meant() -> None:
    with pytest.raises(CallError, match=r"'step_timout'\. Fix: did you mean STEP_TIMEOUT\?"):
        FailureCatalog().entry("step_timout")
    with pytest.raises(CallError, match="see them all"):
        FailureCatalog().entry("%")


def test_a_code_has_one_meaning_in_a_registry() -> None:
    one, other = FailureCatalog(), FailureCatalog()
    one.register("BUSY", "RESOURCE", "It is busy.")
    other.register("BUSY", "PERMANENT", "It will always be busy.")

    def work() -> None: ...

    registry = SkillRegistry()
    registry.register(skill("first", failures=one)(work))
    with pytest.raises(CallError, match="BUSY is registered with another meaning"):
        registry.register(skill("second", failures=other)(work))
    assert "second" not in registry and registry.failures().entry("BUSY").category == Category.RESOURCE


def test_a_declaration_names_a_catalog_and_nothing_else() -> None:
    def work() -> None: ...

    with pytest.raises(CallError, match="register the codes with a FailureCatalog"):
        skill("work", failures=["BUSY"])(work)  # pyright: ignore[reportArgumentType]


async def _codes(catalog: FailureCatalog | None, **told: Any) -> tuple[list[Any], list[Any]]:
    """The code, message and attempts of a step and of a function that fail with BUSY."""

    @skill("busy", inline=True, failures=catalog)
    def busy() -> None:
        raise Failure("BUSY", "come back", **told)

    @workflow("hasty", failures=catalog)
    async def hasty() -> None:
        raise Failure("BUSY", "come back", **told)

    registry = SkillRegistry()
    registry.register(busy)
    registry.add_workflow(hasty)
    async with WorkflowEngine("memory:", registry) as engine:
        of_step = await engine.run(spec(step("a", "busy", max_retries=1, retry={"initial_seconds": 0})), "s")
        of_run = await engine.run(hasty, "r")
    return [of_step.error_code, of_step.message, of_step.steps[0].attempts], [of_run.error_code, of_run.message]


async def test_a_declared_code_is_recorded_and_tried_again_as_its_entry_says() -> None:
    for category, attempts in (("RESOURCE", 2), ("PERMANENT", 1)):
        catalog = FailureCatalog()
        catalog.register("BUSY", category, "It is busy.")
        of_step, of_run = await _codes(catalog)
        assert of_step == ["BUSY", "come back", attempts] and of_run == ["BUSY", "come back"]
        assert (await _codes(catalog, retryable=attempts == 1))[0] == ["BUSY", "come back", 3 - attempts]


async def test_a_code_that_is_not_declared_stands_in_the_message() -> None:
    for catalog in (None, FailureCatalog()):
        of_step, of_run = await _codes(catalog)
        assert of_step == ["SKILL_ERROR", "BUSY: come back", 2]
        assert of_run == ["WORKFLOW_ERROR", "BUSY: come back"]
    assert (await _codes(None, retryable=False))[0] == ["SKILL_ERROR", "BUSY: come back", 1]


def test_the_suite_sees_a_code_that_no_catalog_has(catalog_watch: CatalogWatch) -> None:
    event = StepFailed(0, 0, "a", "b", "1", 1, None, None, "NOBODY_HAS_IT", "", "", 0)
    Sealer("test").seal(Unit((Append("default/r", EMPTY, (event,)),)))
    assert catalog_watch.take() == ["step.failed NOBODY_HAS_IT"]
