"""A base backup and the archived WAL bring back an earlier moment, and the published head tells what was lost."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from refold import WorkflowEngine
from refold.tests.support.postgres import PostgresServer, temporary_folder
from refold.tests.support.replicated import made, refold
from refold.tests.support.workflows import spec, step

PATIENCE_SECONDS = 60


async def test_after_a_restore_the_published_head_tells_what_was_lost(tmp_path: Path) -> None:
    with temporary_folder() as folder:
        moment = await lived(folder, tmp_path)
        restored = restored_server(folder, moment)
        try:
            wait(lambda: restored.ask("SELECT pg_is_in_recovery()") == [(False,)])
            found = {json.loads(line)["run_id"] for line in refold(restored.url, "list", "--json").stdout.splitlines()}
            assert found == {"before-the-backup", "after-the-backup"}
            proved = refold(restored.url, "verify", "--all")
            assert proved.returncode == 0, f"what was restored is whole: {proved.stdout}"

            check = audited(restored.url, tmp_path, "check --head published --key log.pub.pem")
            assert check.returncode == 4
            assert "the log has 8 events, the published head has 12" in check.stdout + check.stderr

            await run(restored.url, "later")
            check = audited(restored.url, tmp_path, "check --head published --key log.pub.pem --json")
            told = json.loads(check.stdout)
            assert check.returncode == 4 and told["first"]["leaf"] == 8, "the first that was lost"
            assert told["streams"] == ["default/later"], "what stands in the place of what was lost"
            published = audited(restored.url, tmp_path, "publish --to published")
            assert published.returncode == 4, "the tree must not go on as if nothing had been lost"
            assert "the log has no event at position" in published.stderr
        finally:
            restored.kill()


async def lived(folder: Path, keys: Path) -> str:
    """A server's life, with a base backup, WAL archived to the end, and a head published; a moment before its end."""
    server = archiving_server(folder)
    try:
        await run(server.url, "before-the-backup")
        server.run("pg_basebackup", "-D", folder / "archive" / "base", "-d", server.url, "-c", "fast", "--no-sync")
        await run(server.url, "after-the-backup")
        ((moment,),) = server.ask("SELECT clock_timestamp()::text")
        await run(server.url, "lost")
        assert audited(server.url, keys, "keygen --name a.b/log -o log.pem").returncode == 0
        assert audited(server.url, keys, "publish --to published").returncode == 0
        ((name,),) = server.ask("SELECT pg_walfile_name(pg_switch_wal())")
        wait(lambda: server.ask(f"SELECT last_archived_wal >= '{name}' FROM pg_stat_archiver") == [(True,)])
        return moment
    finally:
        server.kill()


def archiving_server(folder: Path) -> PostgresServer:
    """A running server that archives its WAL."""
    archive = folder / "archive"
    archive.mkdir()
    archive.chmod(0o777)
    command = f"archive_command=test ! -f {archive}/%f && cp %p {archive}/%f"
    server = PostgresServer(made(folder / "first"), ("archive_mode=on", command))
    server.start()
    return server


def restored_server(folder: Path, moment: str) -> PostgresServer:
    """A running server with what there was at that moment."""
    archive = folder / "archive"
    settings = (
        f"restore_command=cp {archive}/%f %p",
        f"recovery_target_time={moment}",
        "recovery_target_action=promote",
    )
    server = PostgresServer(made(folder / "second"), settings, made=False)
    shutil.move(archive / "base", server.data)
    (server.data / "recovery.signal").touch()
    server.start()
    return server


async def run(url: str, run_id: str) -> None:
    """A run of two steps."""
    async with WorkflowEngine(url) as engine:
        await engine.run(spec(step("a", "echo", x=1), step("b", "hash", of="${a.x}")), run_id)


def audited(url: str, folder: Path, words: str) -> CompletedProcess[str]:
    """`refold audit` with the private key."""
    return refold(url, "audit", *words.split(), folder=folder, REFOLD_AUDIT_KEY="log.pem")


def wait(holds: Callable[[], bool]) -> None:
    """Until it holds."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.05)
