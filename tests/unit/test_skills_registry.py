"""The skills that an engine knows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from refold.core.errors import CallError, Failure
from refold.core.retry import Retry
from refold.core.runtime.registry import SkillRegistry
from refold.core.runtime.skill import skill

READY = [
    "approval",
    "echo",
    "file_write",
    "hash",
    "http_call",
    "random",
    "run_workflow",
    "sleep",
    "transform",
    "wait_signal",
]


@skill
def double(n: int) -> int:
    """Twice as much.

    And more text.
    """
    return 2 * n


def test_a_new_registry_holds_the_ready_library() -> None:
    assert SkillRegistry().names() == READY
    assert SkillRegistry(ready=False).names() == []


def test_a_skill_is_found_by_name() -> None:
    registry = SkillRegistry()
    assert registry.register(double) is double
    assert "double" in registry and registry.get("double") is double


def test_a_function_is_registered_under_its_own_name_once() -> None:
    def triple(n: int) -> int:
        return 3 * n

    registry = SkillRegistry()
    first = registry.register(triple)
    assert registry.register(triple) is first
    assert registry.get("triple")(n=2) == 6


def test_the_registrys_decorator_declares_and_registers() -> None:
    registry = SkillRegistry()

    @registry.skill
    def bare(n: int) -> int:
        return n

    @registry.skill("other", deterministic=True, version="2")
    def named(n: int) -> int:
        return n

    assert registry.get("bare") is bare and bare(1) == 1
    assert registry.get("other") is named and named.deterministic and named.version == "2"


def test_registries_share_nothing() -> None:
    first, second = SkillRegistry(), SkillRegistry()
    first.register(double)
    assert "double" not in second and "double" not in SkillRegistry()


def test_an_unknown_skill_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(Failure, match="no skill named 'ecoh' is registered; did you mean 'echo'") as caught:
        SkillRegistry().get("ecoh")
    assert caught.value.step_code == "SKILL_UNKNOWN"
    with pytest.raises(Failure) as caught:
        SkillRegistry().get("zzzzzz")
    assert "did you mean" not in str(caught.value)


def test_a_name_is_given_once() -> None:
    registry = SkillRegistry()

    def echo() -> None: ...

    with pytest.raises(CallError, match=r"'echo' is taken by refold\.core\.skills\.basic\.echo"):
        registry.register(echo)
    assert SkillRegistry(ready=False).register(echo).skill_id == "echo"


def test_an_annotation_that_json_cannot_fill_is_refused_at_once() -> None:
    registry = SkillRegistry(ready=False)

    def look(view: memoryview) -> None: ...

    with pytest.raises(CallError, match="nothing that JSON can fill"):
        registry.register(look)
    assert registry.names() == []


MODULE = """
from __future__ import annotations
from pydantic import BaseModel
from refold.core.runtime.skill import skill

class Order(BaseModel):
    sku: str

@skill("ship", version="3")
def ship(order: Order) -> str:
    return order.sku

alias = ship

@skill
async def pack(n: int) -> int:
    return n

def helper(): ...
"""


def test_the_skills_of_a_file_are_registered(tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    file.write_text(MODULE)
    registry = SkillRegistry(ready=False)
    registry.load_module(str(file))
    assert registry.names() == ["pack", "ship"]
    ship = registry.get("ship")
    assert ship(**ship.bind(b'{"order":{"sku":"tea"}}', None)) == "tea"
    registry.load_module(str(file))
    assert registry.get("ship") is ship, "the same file gives the same skills"


def test_the_skills_of_a_module_are_registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "shop_for_registry_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "skills.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    registry = SkillRegistry()
    registry.load_module("shop_for_registry_test.skills")
    assert registry.names() == sorted([*READY, "pack", "ship"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1", "holds no skill and no workflow"),
        ("def broken(:", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("1 / 0", "ZeroDivisionError"),
        (MODULE.replace('"ship", version', '"pack", version'), "holds two skills named 'pack'"),
        (MODULE.replace('"ship", version', '"echo", version'), "'echo' is taken"),
        (MODULE.replace('version="3"', 'version=""'), "version ''"),
    ],
)
def test_a_module_is_registered_whole_or_not_at_all(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "bad.py"
    file.write_text(text)
    registry = SkillRegistry()
    with pytest.raises(CallError) as caught:
        registry.load_module(str(file))
    assert reason in str(caught.value)
    assert registry.names() == READY


@pytest.mark.parametrize("name", ["no_such_module_anywhere", "nowhere/at/all.py", ""])
def test_what_cannot_be_imported_is_named(name: str) -> None:
    with pytest.raises(CallError, match="cannot be imported"):
        SkillRegistry().load_module(name)


def test_a_file_that_fails_can_be_mended_and_loaded(tmp_path: Path) -> None:
    file = tmp_path / "mended.py"
    file.write_text("1 / 0")
    registry = SkillRegistry(ready=False)
    with pytest.raises(CallError):
        registry.load_module(str(file))
    assert not [name for name in sys.modules if "mended" in name]
    file.write_text("# now it is longer\n" + MODULE)
    assert len(registry.load_module(str(file))) == 2


def test_a_description_is_json_and_says_what_a_skill_takes() -> None:
    registry = SkillRegistry(ready=False)
    registry.register(double)

    @registry.skill("pay", side_effect=True, cost_cents=3, retry=Retry(max_attempts=2))
    async def pay(amount: int, note: str | None = None, **rest: int) -> None: ...

    described = registry.describe()
    assert json.loads(json.dumps(described)) == described
    first, second = described
    assert (first["skill_id"], first["summary"], first["other_inputs"]) == ("double", "Twice as much.", None)
    assert first["inputs"] == [{"name": "n", "type": "int", "required": True}]
    assert second["inputs"][1] == {"name": "note", "type": "str | None", "required": False}
    assert (second["other_inputs"], second["side_effect"], second["is_async"]) == ("int", True, True)
    assert (second["cost_cents"], second["retry"]["max_attempts"]) == (3, 2)
