"""What every store does with the tables of projections."""

from __future__ import annotations

from typing import Any

import pytest

from refold.eventstore.store import Store
from refold.eventstore.tables import (
    Batch,
    Between,
    Generation,
    Parked,
    Per,
    Table,
    TableStore,
    check_table,
    hash_of,
    sums,
)
from refold.tests.support.units import Writer

RUNS = Table(
    "things",
    {"tenant": "text", "run_id": "text", "n": "int", "cost": "float", "flag": "bool", "body": "json", "note": "text"},
    indexes=[("tenant", "n")],
)
NAMES = Table("names", {"tenant": "text", "run_id": "text", "name": "text", "value": "json"}, key=3)
ME, YOU = "me", "you"


@pytest.fixture
def tables(store: Store) -> TableStore:
    return store.tables


def created(tables: TableStore, name: str = "test") -> Generation:
    number = tables.create(name, 1, [RUNS, NAMES])
    assert tables.claim(name, number, ME, 30)
    return generation(tables, name, number)


def generation(tables: TableStore, name: str = "test", number: int = 1) -> Generation:
    return next(each for each in tables.generations(name) if each.generation == number)


def row(run_id: str, n: int | None = 1, **other: Any) -> tuple[Any, ...]:
    values = {"cost": 0.5, "flag": True, "body": '{"a":1}', "note": None, **other}
    return ("default", run_id, n, *values.values())


def put(tables: TableStore, *rows: Any, names: Any = (), owner: str = ME, runs: Any = None, **given: Any) -> bool:
    of = generation(tables)
    touched = sorted({each[:2] for each in (*rows, *names)}) if runs is None else runs
    batch = Batch(of.position, of.position + 1, 77, touched, {"things": rows, "names": names}, **given)
    return tables.write("test", 1, owner, 30, batch)


def test_a_new_generation_stands_at_the_beginning(tables: TableStore) -> None:
    assert tables.create("test", 3, [RUNS, NAMES]) == 1
    of = generation(tables)
    assert (of.active, of.position, of.version, of.owner, of.paused, of.error) == (True, 0, 3, None, False, None)
    assert of.tables == (RUNS._replace(indexes=(("tenant", "n"),)), NAMES) or of.tables == (RUNS, NAMES)


def test_only_the_first_generation_is_active_of_itself(tables: TableStore) -> None:
    created(tables)
    assert tables.create("test", 1, [RUNS, NAMES]) == 2
    assert [each.active for each in tables.generations("test")] == [True, False]


def test_rows_come_back_as_they_were_put(tables: TableStore) -> None:
    of = created(tables)
    rows = [
        row("a", -(2**53), cost=1e-7, note="é\U0001f600 ' \" \\ % ? {rows}"),
        row("b", 2**62, cost=0.1 + 0.2, flag=False, body='{"x":"\\u0000"}'),
        row("c", 0, cost=None, flag=None, body=None),
    ]
    assert put(tables, *rows)
    assert tables.rows(of, "things", {}, 10) == rows


def test_a_row_replaces_the_one_of_its_run(tables: TableStore) -> None:
    of = created(tables)
    put(tables, row("a", 1), row("b", 1))
    put(tables, row("a", 2))
    assert tables.rows(of, "things", {}, 10) == [row("a", 2), row("b", 1)]


def test_the_rows_of_a_run_are_replaced_as_a_whole(tables: TableStore) -> None:
    of = created(tables)
    put(tables, names=[("default", "a", "x", "1"), ("default", "a", "y", "2"), ("default", "b", "x", "3")])
    put(tables, names=[("default", "a", "y", "4"), ("default", "a", "z", "5")])
    found = [("default", "a", "y", "4"), ("default", "a", "z", "5"), ("default", "b", "x", "3")]
    assert tables.rows(of, "names", {}, 10) == found


def test_rows_take_the_place_of_their_key_alone_where_no_run_is_replaced(tables: TableStore) -> None:
    of = created(tables)
    put(tables, runs=[], names=[("default", "a", "x", "1"), ("default", "a", "y", "2"), ("default", "b", "x", "3")])
    put(tables, runs=[], names=[("default", "a", "y", "4"), ("default", "a", "z", "5")])
    found = [
        ("default", "a", "x", "1"),
        ("default", "a", "y", "4"),
        ("default", "a", "z", "5"),
        ("default", "b", "x", "3"),
    ]
    assert tables.rows(of, "names", {}, 10) == found


def test_a_row_that_is_all_key_may_be_put_again(tables: TableStore) -> None:
    tables.create("test", 1, [Table("marks", {"tenant": "text", "run_id": "text", "mark": "text"}, key=3)])
    assert tables.claim("test", 1, ME, 30)
    for position in (0, 1):
        batch = Batch(position, position + 1, 1, [], {"marks": [("default", "a", "seen")]})
        assert tables.write("test", 1, ME, 30, batch)
    assert tables.rows(generation(tables), "marks", {}, 10) == [("default", "a", "seen")]


def test_a_run_without_rows_has_none_left(tables: TableStore) -> None:
    of = created(tables)
    put(tables, row("a"), row("b"), names=[("default", "a", "x", "1")])
    put(tables, runs=[("default", "a")])
    assert tables.rows(of, "things", {}, 10) == [row("b")] and tables.rows(of, "names", {}, 10) == []


def test_rows_are_read_page_by_page_in_the_order_of_code_points(tables: TableStore) -> None:
    of = created(tables)
    ids = ["B", "Z", "a", "b", "~", "é", "\U0001f600"]
    put(tables, *[row(run_id) for run_id in reversed(ids)])
    seen: list[str] = []
    after = None
    while page := tables.rows(of, "things", {}, 2, after):
        seen += [each[1] for each in page]
        after = page[-1][:2]
    assert seen == ids


def test_rows_are_filtered_and_ordered_as_asked(tables: TableStore) -> None:
    of = created(tables)
    put(tables, row("a", 3), row("b", 1, flag=False), row("c", 2), row("d", 4, note="n"))
    assert [each[1] for each in tables.rows(of, "things", {"note": None, "flag": True}, 10)] == ["a", "c"]
    latest = tables.rows(of, "things", {"tenant": "default"}, 2, (4,), ["n"], descending=True)
    assert [each[1] for each in latest] == ["a", "c"]
    assert [each[1] for each in tables.rows(of, "things", {"note": "n"}, 10)] == ["d"]


def test_rows_can_be_asked_for_between_two_values(tables: TableStore) -> None:
    of = created(tables)
    put(tables, row("a", 1), row("b", 2), row("c", 3), row("d", 4))
    found = tables.rows(of, "things", {"flag": True}, 10, between=[Between("n", 2, 4)])
    assert [each[1] for each in found] == ["b", "c"]
    latest = tables.rows(of, "things", {}, 1, (4,), ["n"], True, [Between("n", least=2)])
    assert [each[1] for each in latest] == ["c"]
    assert [each[1] for each in tables.rows(of, "things", {}, 10, between=[Between("n", below=2)])] == ["a"]
    assert len(tables.rows(of, "things", {}, 10, between=[Between("n")])) == 4


def test_rows_are_counted_by_columns_in_the_order_of_their_values(tables: TableStore) -> None:
    of = created(tables)
    put(tables, row("a", note="é"), row("b"), row("c", note="Z"), row("d", note="a", flag=False), row("e", flag=None))
    assert tables.counts(of, "things", {}, ["note"]) == [(None, 2), ("Z", 1), ("a", 1), ("é", 1)]
    assert tables.counts(of, "things", {}, ["flag", "tenant"]) == [
        (None, "default", 1),
        (False, "default", 1),
        (True, "default", 3),
    ]
    assert tables.counts(of, "things", {"flag": True}, ["note"]) == [(None, 1), ("Z", 1), ("é", 1)]


def test_counts_without_columns_are_one_number(tables: TableStore) -> None:
    of = created(tables)
    assert tables.counts(of, "things", {}, []) == [(0,)]
    put(tables, row("a", 1), row("b", 2), row("c", 3))
    assert tables.counts(of, "things", {}, []) == [(3,)]
    assert tables.counts(of, "things", {}, [], [Between("n", 2)]) == [(2,)]
    assert tables.counts(of, "things", {"note": "no"}, ["n"]) == []


def test_rows_are_counted_by_multiples_of_a_number(tables: TableStore) -> None:
    of = created(tables)
    put(tables, *[row(f"r{n}", n, flag=n > 5) for n in (-11, -1, 0, 9, 10, 10**15 + 7)], row("none", None))
    found = tables.counts(of, "things", {}, [Per("n", 10)])
    assert found == [(None, 1), (-10, 1), (0, 3), (10, 1), (10**15, 1)]
    assert tables.counts(of, "things", {}, ["flag", Per("n", 100)], [Between("n", 0)]) == [
        (False, 0, 1),
        (True, 0, 2),
        (True, 10**15, 1),
    ]


def test_sums_are_the_same_to_the_last_bit_whatever_the_order_of_rows(tables: TableStore) -> None:
    of = created(tables)
    amounts = [0.1] * 10 + [1e16, 1.0, -1e16, 0.3]
    put(tables, *[row(f"r{n}", n % 2, cost=amount) for n, amount in enumerate(amounts)], row("free", 0, cost=None))
    assert sums(tables, of, "things", {}, [], "cost") == [(15, 2.3)]
    assert sums(tables, of, "things", {"note": None}, ["n"], "cost") == [(0, 8, 0.5), (1, 7, 1.8)]
    assert sums(tables, of, "things", {"note": "no"}, [], "cost") == [(0, 0.0)]
    assert sums(tables, of, "things", {"note": "no"}, ["n"], "cost") == []


def test_position_and_rows_move_together_or_not_at_all(tables: TableStore) -> None:
    of = created(tables)

    class CutError(Exception):
        pass

    def cut() -> None:
        raise CutError

    batch = Batch(0, 9, 1, [("default", "a")], {"things": [row("a")]}, parked=[Parked("default/z", 1, 1, "bad", 1)])
    if hasattr(tables, "_transaction"):
        with pytest.raises(CutError):
            tables.write("test", 1, ME, 30, batch, cut)
        assert generation(tables).position == 0 and tables.rows(of, "things", {}, 10) == []
        assert tables.parked("test", 1) == []
    assert tables.write("test", 1, ME, 30, batch)
    assert (generation(tables).position, generation(tables).position_at) == (9, 1)
    assert tables.rows(of, "things", {}, 10) == [row("a")]


def test_nothing_is_written_from_another_position_than_the_one_there_is(tables: TableStore) -> None:
    of = created(tables)
    assert put(tables, row("a", 1))
    assert not tables.write("test", 1, ME, 30, Batch(0, 5, 1, [("default", "a")], {"things": [row("a", 2)]}))
    assert tables.rows(of, "things", {}, 10) == [row("a", 1)] and generation(tables).position == 1


def test_only_the_owner_writes(tables: TableStore) -> None:
    of = created(tables)
    assert not put(tables, row("a"), owner=YOU)
    assert not tables.claim("test", 1, YOU, 30)
    assert tables.claim("test", 1, YOU, 30, instead_of=ME)
    assert not put(tables, row("a")) and put(tables, row("b"), owner=YOU)
    assert [each[1] for each in tables.rows(of, "things", {}, 10)] == ["b"]


def test_a_lease_can_be_prolonged_run_out_and_be_given_up(tables: TableStore) -> None:
    created(tables)
    assert tables.claim("test", 1, ME, 30) and 25 < generation(tables).seconds_left <= 30
    tables.release("test", 1, YOU)
    assert generation(tables).owner == ME
    tables.release("test", 1, ME)
    assert generation(tables).owner is None and tables.claim("test", 1, YOU, -1)
    assert generation(tables).seconds_left == 0 and tables.claim("test", 1, ME, 30)
    assert not tables.claim("test", 7, ME, 30)


def test_a_paused_projection_does_not_move(tables: TableStore) -> None:
    created(tables)
    tables.pause("test", True)
    assert generation(tables).paused and not put(tables, row("a"))
    tables.pause("test", False)
    assert put(tables, row("a"))


def test_an_error_stands_until_the_next_batch(tables: TableStore) -> None:
    created(tables)
    tables.fail("test", 1, YOU, "not mine")
    assert generation(tables).error is None
    tables.fail("test", 1, ME, "it \0 broke")
    assert (generation(tables).error or "").startswith("it ")
    put(tables)
    assert generation(tables).error is None


def test_the_owner_switches_to_another_generation(tables: TableStore) -> None:
    created(tables)
    tables.create("test", 2, [RUNS])
    assert not tables.switch("test", 2, ME)
    assert tables.claim("test", 2, ME, 30) and tables.switch("test", 2, ME)
    assert [each.active for each in tables.generations("test")] == [False, True]


def test_a_dropped_generation_leaves_nothing_and_its_neighbours_alone(tables: TableStore) -> None:
    of = created(tables)
    put(tables, row("a"), parked=[Parked("default/z", 1, 1, "bad", 1)])
    tables.create("test", 1, [RUNS, NAMES])
    tables.drop("test", 2)
    assert tables.rows(of, "things", {}, 10) == [row("a")]
    tables.drop("test", 1)
    assert tables.generations("test") == [] and tables.parked("test", 1) == []
    tables.create("test", 1, [RUNS, NAMES])
    assert tables.rows(generation(tables), "things", {}, 10) == []


def test_parked_streams_are_kept_replaced_marked_and_taken_away(tables: TableStore) -> None:
    created(tables)
    a, b = Parked("default/a", 3, 10, "odd", 3), Parked("default/b", 1, 11, "odd", 1)
    put(tables, parked=[b, a])
    assert tables.parked("test", 1) == [a, b]
    put(tables, parked=[a._replace(seen=5)])
    assert tables.retry("test", "default/a") == 1 and tables.retry("test", "default/none") == 0
    assert tables.parked("test", 1) == [a._replace(seen=5, retry=True), b]
    put(tables, unparked=["default/a"])
    assert tables.retry("test", None) == 1 and tables.parked("test", 1) == [b._replace(retry=True)]


def test_equal_rows_hash_alike_however_they_came(tables: TableStore) -> None:
    one = created(tables)
    put(tables, row("a", 1), row("b", 1), names=[("default", "a", "x", "1")])
    put(tables, row("a", 2))
    tables.create("test", 1, [RUNS, NAMES])
    tables.claim("test", 2, ME, 30)
    two = generation(tables, number=2)
    batch = Batch(0, 5, 1, [("default", "a"), ("default", "b")], {"things": [row("b", 1), row("a", 2)]})
    assert tables.write("test", 2, ME, 30, batch)
    assert hash_of(tables, one) == hash_of(tables, two)
    put(tables, row("a", 3))
    assert hash_of(tables, one) != hash_of(tables, two)


def test_projections_do_not_touch_one_another(tables: TableStore) -> None:
    created(tables)
    put(tables, row("a"))
    other = Table("others", {"tenant": "text", "run_id": "text"})
    tables.create("other", 1, [other])
    tables.pause("other", True)
    assert [each.name for each in tables.generations()] == ["other", "test"] and not generation(tables).paused


def test_the_time_is_the_databases(tables: TableStore) -> None:
    assert 1_700_000_000_000_000 < tables.now() <= tables.now()


@pytest.mark.parametrize(
    "table",
    [
        Table("x; DROP", {"tenant": "text", "run_id": "text"}),
        Table("x", {"tenant": "text", "run_id": "text", "Bad": "int"}),
        Table("x", {"run_id": "text"}, key=1),
    ],
)
def test_a_table_that_not_every_store_can_keep_is_refused(table: Table) -> None:
    with pytest.raises(ValueError, match=r"names are lower-case|the key begins"):
        check_table(table)


def test_the_start_of_a_stream_is_known_by_its_position(store: Store) -> None:
    writer = Writer()
    store.commit([writer.run("a")], "w")
    store.commit([writer.one("default/a/inbox")], "w")
    store.commit([writer.run("b")], "w")
    first, _, third = store.follow(0, 10)
    assert store.starts(["default/a", "default/b", "default/none"]) == {
        "default/a": first.position,
        "default/b": third.position,
    }
