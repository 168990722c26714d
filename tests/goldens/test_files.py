"""Goldens on a real file system: names, links, crashes, full disks."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import signal
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event

import pytest

from refold.core.errors import GoldenStoreError
from refold.projections import golden_files
from refold.projections.golden_files import GoldenFolder, Signed
from refold.projections.golden_keys import GoldenKeys
from refold.projections.golden_lines import Golden
from refold.projections.golden_names import GOLDEN, SIGNATURE, is_golden, safe_name
from refold.projections.golden_recorder import GoldenRecorder, GoldenVerdict
from refold.tests.support.goldens import NOW, files_below, golden, goldens, keys, small, write_and_die

_processes = multiprocessing.get_context("forkserver")


def recorder(folder: Path, with_keys: GoldenKeys | None = None) -> GoldenRecorder:
    return GoldenRecorder(folder, with_keys or keys(), lambda: NOW)


@pytest.mark.parametrize("run_id", ["a", "0190b5a2-7c3e-7f00-8000-000000000000", "order.1_x-2", "a" * 100, "com"])
def test_an_ordinary_id_is_its_files_name(run_id: str) -> None:
    assert safe_name(run_id) == run_id


HOSTILE = [
    "", ".", "..", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "A", "Order", "ORDER", "order.", "order ",
    "con", "CON", "nul.txt", "com1", "lpt9.a.b", "aux", "a:b", "a~b", "a@b", "a\0b", "a\nb", "\u202eabc", "\u00e9",
    "e\u0301", " order",
    "x" * 101, "x" * 200, "x" * 199 + "y", "X" * 200, "a.steps.jsonl", "a.steps.jsonl.sig", ".tmp-a", "archive-a.tgz",
    "-rf", "--help", "*", "?", "$(id)", "%2e%2e", "\ud800", "a" * 100_000,
]  # fmt: skip


def test_hostile_ids_have_safe_names_of_their_own() -> None:
    names = {run_id: safe_name(run_id) for run_id in HOSTILE}
    assert len({name.casefold() for name in names.values()}) == len(HOSTILE)
    for run_id, name in names.items():
        assert name.isascii() and name == name.lower() and len(name + SIGNATURE) < 143, run_id
        assert not set(name) & set("/\\:\0\n *?<>|\"'$%") and name[0].isalnum() and name[-1] not in ". ", run_id
        assert name.split(".")[0] not in {"con", "nul", "aux", "com1", "lpt9"}, run_id


def test_what_looks_like_a_safe_name_is_no_other_ids_name() -> None:
    taken = safe_name("Order")
    assert safe_name(taken) != taken
    assert is_golden(taken + GOLDEN) and not is_golden(taken + SIGNATURE) and not is_golden(".tmp-x" + GOLDEN)


def test_hostile_runs_and_tenants_stay_in_the_folder(tmp_path: Path) -> None:
    made = recorder(tmp_path / "in")
    usable = [run_id for run_id in HOSTILE if run_id != "\ud800" and len(run_id) < 1000]
    made.write([small(run_id, tenant) for run_id in usable for tenant in ("..", "Control", "../../x", "a/b")])
    for tenant in ("..", "Control", "../../x", "a/b"):
        assert all(made.verify_golden(run_id, tenant).ok for run_id in usable)
    assert os.listdir(tmp_path) == ["in"] and len(list((tmp_path / "in").iterdir())) == 4
    assert {path.parent.parent for path in files_below(tmp_path)} == {tmp_path / "in"}


def test_the_files_are_called_and_laid_out_as_documented(tmp_path: Path) -> None:
    recorder(tmp_path).write([golden("linear")])
    assert sorted(path.name for path in files_below(tmp_path)) == ["linear.steps.jsonl", "linear.steps.jsonl.sig"]
    assert (tmp_path / "default/linear.steps.jsonl").read_bytes() == golden("linear").data
    assert (tmp_path / "default/linear.steps.jsonl.sig").read_bytes().count(b"\n") == 1
    about = (tmp_path / "default/linear.steps.jsonl").stat()
    assert about.st_mtime_ns == golden("linear").ended_at * 1000


def test_what_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    recorder(tmp_path).write(goldens())
    before = {path: path.stat().st_ino for path in files_below(tmp_path)}
    recorder(tmp_path).write(goldens())
    assert {path: path.stat().st_ino for path in files_below(tmp_path)} == before
    recorder(tmp_path, keys("k2", "k1")).write(goldens())
    again = {path: path.stat().st_ino for path in files_below(tmp_path)}
    assert {path for path in before if again[path] != before[path]} == {
        path for path in before if path.suffix == ".sig"
    }


def with_a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def with_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def with_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def with_a_socket(path: Path) -> None:
    path.unlink()
    socket.socket(socket.AF_UNIX).bind(str(path))


def with_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere/at/all")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("suffix", [GOLDEN, SIGNATURE])
@pytest.mark.parametrize("replace", [with_a_link, with_a_folder, with_a_pipe, with_nowhere, with_a_socket])
def test_what_is_no_file_is_neither_followed_nor_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: Callable[[Path], None], suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    made = recorder(Path("g"))
    made.write([golden("linear")])
    replace(Path("g/default/linear" + suffix))
    assert [fault.kind for fault in made.verify_golden("linear").faults] == ["link"]


def test_a_link_in_place_of_a_golden_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    made = recorder(tmp_path / "g")
    made.write([golden("linear")])
    for suffix in (GOLDEN, SIGNATURE):
        path = tmp_path / "g/default" / ("linear" + suffix)
        path.unlink()
        path.symlink_to(victim)
    made.write([golden("linear")])
    assert made.verify_golden("linear").ok and victim.read_text() == "precious"


def test_a_link_in_place_of_a_tenants_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "g").mkdir()
    (tmp_path / "g/default").symlink_to(tmp_path / "outside")
    made = recorder(tmp_path / "g")
    for call in (lambda: made.write([golden("linear")]), lambda: made.verify_golden("linear")):
        with pytest.raises(GoldenStoreError, match="the goldens of tenant default"):
            call()
    assert not list((tmp_path / "outside").iterdir())


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    made.write([golden("linear")])
    os.truncate(tmp_path / "default/linear.steps.jsonl", 2**33)
    assert [fault.kind for fault in made.verify_golden("linear").faults] == ["unreadable"]


POINTS = ["opened", "half written", "written", "renamed", "goldens durable", "signatures durable"]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("at", [1, 2, 9])
def test_a_process_killed_while_it_writes_leaves_nothing_that_passes_for_whole(
    tmp_path: Path, point: str, at: int
) -> None:
    # The second batch replaces goldens by others of the same runs, as after a change of the format.
    first = [small(f"r{number}") for number in range(6)]
    second = [small(f"r{number}", ended_at=5) for number in range(6)]
    second = [each._replace(data=each.data.replace(b"small#1", b"small#2")) for each in second]
    child = _processes.Process(target=write_and_die, args=(str(tmp_path), [first, second], point, at), daemon=True)
    child.start()
    child.join(60)
    wanted = -signal.SIGKILL if at < 9 or point in ("opened", "half written", "written") else 0
    assert child.exitcode == wanted
    made = recorder(tmp_path)
    for one, other in zip(first, second, strict=True):
        verdict = made.verify_golden(one.run_id)
        kinds = {fault.kind for fault in verdict.faults}
        # Whole and signed, or whole and not signed yet, or not there: never damaged, never wrongly signed.
        assert kinds <= {"missing", "unsigned"}, verdict
        if not kinds & {"missing"}:
            assert made.storage.read("default", one.run_id).data in (one.data, other.data)
    made.write(second)
    assert all(made.verify_golden(each.run_id, expected=each.data).ok for each in second)
    made.storage.sweep("default", now_seconds=0)
    left = [path for path in files_below(tmp_path) if path.name.startswith(".tmp-")]
    assert len(left) <= 16
    made.storage.sweep("default", now_seconds=2**40)
    assert len(list(files_below(tmp_path))) == 12


def in_a_child(work: Callable[[], object]) -> int:
    """Run `work` in a forked process; 0 if it raised GoldenStoreError as wanted, 1 if nothing, 2 if something else."""
    child = os.fork()
    if child == 0:
        code = 2
        try:
            work()
            code = 1
        except GoldenStoreError:
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_full_disk_leaves_the_old_golden_and_says_why(tmp_path: Path) -> None:
    # A limit on the size of files fails a write half-way, as a full disk does: what fits is written, then EFBIG.
    made = recorder(tmp_path)
    made.write([small("a"), golden("linear")])
    big = golden("large")

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        made.write([small("b"), big])

    assert len(big.data) > 10_000 and in_a_child(fill) == 0
    assert made.verify_golden("a").ok and made.verify_golden("linear").ok
    assert {fault.kind for fault in made.verify_golden("large").faults} == {"missing"}
    assert not [path for path in files_below(tmp_path) if path.name.startswith(".tmp-")]
    made.write([small("b"), big])
    assert made.verify_golden("large").ok and made.verify_golden("b").ok


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_folder_that_may_not_be_written_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = recorder(Path("."))
    made.write([small("a")])
    (tmp_path / "default").chmod(0o555)
    tmp_path.chmod(0o555)

    def write() -> None:
        if os.geteuid() == 0:  # to whom no folder is read-only
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
        if not made.verify_golden("a").ok:
            os._exit(3)
        made.write([small("b")])

    try:
        assert in_a_child(write) == 0
    finally:
        tmp_path.chmod(0o755)
        (tmp_path / "default").chmod(0o755)
    assert made.verify_golden("a").ok


@pytest.mark.parametrize("where", ["g", "g/default"])
def test_a_file_in_place_of_a_folder_is_told(tmp_path: Path, where: str) -> None:
    (tmp_path / where).parent.mkdir(exist_ok=True)
    (tmp_path / where).write_text("a file")
    made = recorder(tmp_path / "g")
    for call in (lambda: made.write([small("a")]), lambda: made.verify_golden("a"), lambda: list(made.runs())):
        with pytest.raises(GoldenStoreError, match=r"Not a directory|File exists"):
            call()


def test_a_failed_sync_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(GoldenStoreError, match="Input/output error"):
            recorder(tmp_path).write([small("a")])
    assert [fault.kind for fault in recorder(tmp_path).verify_golden("a").faults] == ["missing"]


def test_goldens_are_synced_before_signatures_and_the_folder_after_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, rename = os.fsync, os.rename

    def noted_sync(descriptor: int) -> None:
        done.append("sync folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "sync file")
        sync(descriptor)

    def noted_rename(old: str, new: str, **folders: int) -> None:
        done.append(f"rename to {new}")
        rename(old, new, **folders)

    (tmp_path / "default").mkdir()
    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "rename", noted_rename)
    recorder(tmp_path).write([small("a")])
    assert done == [
        *("sync file", "rename to a.steps.jsonl", "sync folder"),
        *("sync file", "rename to a.steps.jsonl.sig", "sync folder"),
    ]


def test_an_unsigned_golden_may_be_replaced(tmp_path: Path) -> None:
    folder = GoldenFolder(tmp_path)
    folder.write([Signed(small("a"), None)])
    other: Golden = small("a")._replace(data=b"other\n")
    folder.write([Signed(other, None)])
    assert folder.read("default", "a").data == b"other\n" and folder.names("default") == ["a.steps.jsonl"]
    assert folder.names("nobody") == [] and folder.ended_at("default", "b.steps.jsonl") is None


def test_a_golden_that_is_just_being_signed_is_not_taken_for_unsigned(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as reader:
        verdicts: list[Future[GoldenVerdict]] = []

        def at(point: str) -> None:
            if point == "goldens durable":
                reading = Event()

                def verdict() -> GoldenVerdict:
                    reading.set()
                    return recorder(tmp_path).verify_golden("r")

                verdicts.append(reader.submit(verdict))
                assert reading.wait(10)
                # Long enough for it to find no signature, if it does not wait for one.
                wait(verdicts, 0.2)

        GoldenRecorder(GoldenFolder(tmp_path, at), keys(), lambda: NOW).write([small("r")])
        assert verdicts[0].result(10).ok, verdicts[0].result()


def test_who_is_stopped_while_he_writes_holds_nobody_up_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden_files, "_PATIENCE_SECONDS", 0.05)
    found: list[GoldenVerdict] = []

    def at(point: str) -> None:
        if point == "goldens durable":
            found.append(recorder(tmp_path).verify_golden("r"))

    GoldenRecorder(GoldenFolder(tmp_path, at), keys(), lambda: NOW).write([small("r")])
    assert [fault.kind for fault in found[0].faults] == ["unsigned"]
