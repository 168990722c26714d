"""Fixed runs of every kind do what they did when their goldens were put into the repository."""

from __future__ import annotations

from refold.projections.golden_compare import compare_golden
from refold.tests.support.golden_runs import golden_runs
from refold.tests.support.root_package import ROOT


async def test_fixed_runs_have_the_expected_goldens() -> None:
    expected = {path.name: path.read_bytes() for path in (ROOT / "tests" / "goldens" / "expected").iterdir()}
    actual = await golden_runs()
    assert actual.keys() == expected.keys()
    for name, data in actual.items():
        assert data == expected[name], [each.to_json() for each in compare_golden(data, expected[name])][:3]
