"""Queries: answered by driving a run's function through its history, here or by a worker that has the code.

Whoever lacks the code puts a question into the store. Workers look for those that they can answer whenever a hint comes
and every quarter of a second. The history is read for each answer, so it never matters who works on the run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from ..canonical import Payload, canonical_json, decode
from ..code_state import CodeState
from ..errors import CallError, InvalidError, NotCanonicalError, Problem, QueryUnansweredError, RefoldError, StoreError
from ..events import Event
from ..ids import check_signal
from ..ports import Question
from ..state import start
from .functions.code_decider import CodeDecider, decider_of
from .history import History
from .services import Services

ANSWER_SECONDS = 10.0
"""How long an answer is waited for unless told otherwise."""

LOOK_SECONDS = 0.25
"""How often workers look for questions without a hint."""

REST_SECONDS = 0.02
"""The least time between two looks: hints of other things come often."""

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.005, 0.1

_log = logging.getLogger(__name__)


def answer(services: Services, events: Sequence[Event], name: str, arguments: Mapping[str, Any]) -> Payload:
    """What the function of the run with this history answers. Raises CallError."""
    decider = decider_of(events, services.skills, services.limits)
    try:
        if not isinstance(decider, CodeDecider):
            raise no_function(decider.state.started.run_id)
        said = decider.query(name, arguments)
    finally:
        decider.close()
    if len(said) > services.limits.payload_bytes:
        raise CallError(Problem("", f"the answer to {name!r} takes {len(said)} bytes", "answer less"))
    return said


async def query(
    services: Services, history: History, stream: str, name: str, arguments: Mapping[str, Any], seconds: float
) -> Any:
    """The answer, given here where the function is registered, else by a worker. See `Engine.query`."""
    events = await history.events(stream)
    state = start(events[0])
    if not isinstance(state, CodeState):
        raise no_function(state.started.run_id)
    if services.skills.workflow(state.started.workflow_type) is not None:
        return answer(services, events, name, arguments).fresh()
    return await ask(history, stream, state.needs, name, arguments, seconds)


def no_function(run_id: str) -> CallError:
    """The refusal to query a spec's run."""
    return CallError(Problem("", f"run {run_id} is a spec's, and answers no queries", "look at its steps"))


async def ask(
    history: History, stream: str, needs: str, name: str, arguments: Mapping[str, Any], seconds: float
) -> Any:
    """Ask the workers, and wait for at most `seconds`. Raises QueryUnansweredError, and CallError as `answer` does."""
    try:
        text = canonical_json(dict(arguments)).decode()
    except NotCanonicalError as error:
        raise CallError([p._replace(pointer=f"/arguments{p.pointer}") for p in error.problems]) from error
    question = Question(uuid4().hex, stream, needs, check_signal(name), text)
    queries = history.queries
    await asyncio.to_thread(queries.ask, question)
    try:
        await history.hint()
        async with asyncio.timeout(seconds):
            pause = _SHORTEST_PAUSE
            while (said := await asyncio.to_thread(queries.answered, question.id)) is None:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
    except TimeoutError:
        raise QueryUnansweredError(f"no worker answered the query {name!r} within {seconds:g} s") from None
    finally:
        with suppress(StoreError):
            await asyncio.shield(asyncio.to_thread(queries.withdraw, question.id))
    return _read(said)


def _read(said: str) -> Any:
    told: dict[str, Any] = decode(said.encode())
    if "problems" in told:
        raise CallError([Problem(*map(str, problem)) for problem in told["problems"]])
    return told["value"]


class Answering:
    """A worker's part: answers the questions of runs that it `serves`, by their needs."""

    def __init__(self, services: Services, history: History, serves: Callable[[str], bool]):
        self._services = services
        self._history = history
        self._serves = serves
        self._stirred = asyncio.Event()

    def stir(self) -> None:
        """There may be questions."""
        self._stirred.set()

    async def run(self) -> None:
        """Answer until cancelled. Survives an absent store."""
        while True:
            self._stirred.clear()
            try:
                await self._look()
            except StoreError as error:
                _log.debug("looking for queries: %s", error)
            except Exception:  # what one question brings about must not leave all later ones unanswered
                _log.exception("looking for queries")
            await asyncio.sleep(REST_SECONDS)
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with what it waits for.
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._stirred.wait()

    async def _look(self) -> None:
        queries = self._history.queries
        for question in await asyncio.to_thread(queries.pending):
            if self._serves(question.needs) and await asyncio.to_thread(queries.claim, question.id):
                said = await self._answer(question)
                await asyncio.to_thread(queries.answer, question.id, said.decode())

    async def _answer(self, question: Question) -> bytes:
        try:
            events = await self._history.events(question.stream)
            said = answer(self._services, events, question.name, decode(question.arguments.encode()))
            return b'{"value":%b}' % said.data
        except InvalidError as error:
            return canonical_json({"problems": [list(problem) for problem in error.problems]})
        except StoreError:
            raise
        except RefoldError as error:
            return canonical_json({"problems": [["", str(error), ""]]})
