"""Where secrets come from, in which order, and what is refused."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from refold import CallError, Failure
from refold.core.runtime.secret_sources import CommandSecrets, Vault


def value(vault: Vault, name: str = "TOKEN", tenant: str = "default") -> str:
    return vault.values([name], tenant)[name]


def refusal(vault: Vault, name: str = "TOKEN", tenant: str = "default") -> str:
    with pytest.raises(Failure) as failed:
        vault.values([name], tenant)
    return f"{failed.value.step_code}: {failed.value}"


def program(folder: Path, text: str) -> str:
    path = folder / "get-secret"
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{text}\n")
    path.chmod(0o700)
    return str(path)


def test_the_first_source_that_knows_a_secret_gives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "A").write_text("from the folder\n")
    (tmp_path / "B").write_text("from the folder\r\n")
    (tmp_path / "A").chmod(0o444)
    command = program(tmp_path, "print('from the command' if sys.argv[1] == 'C' else '')")
    monkeypatch.setenv("MY_A", "from the environment")
    vault = Vault.parse(f"env:MY_, file:{tmp_path}, command:{command}")
    assert vault.values(["A", "B", "C"], "default") == {
        "A": "from the environment",
        "B": "from the folder",
        "C": "from the command",
    }
    assert refusal(vault, "D") == "SECRET_MISSING: the secret 'D' is nowhere to be had here"


def test_sources_may_differ_by_tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "TOKEN").write_text("acme's")
    monkeypatch.setenv("S_ada_TOKEN", "ada's")
    command = program(tmp_path, "print(' '.join(sys.argv[1:]) if sys.argv[1] == 'eve' else '')")
    vault = Vault.parse(f"env:S_{{tenant}}_,file:{tmp_path}/{{tenant}},command:{command} {{tenant}}")
    assert [value(vault, tenant=name) for name in ("acme", "ada", "eve")] == ["acme's", "ada's", "eve TOKEN"]
    assert refusal(vault, tenant="default").startswith("SECRET_MISSING")


@pytest.mark.parametrize(
    "text", ['{"TOKEN": "one two", "N": 5}', "# mine\nOTHER=x\nTOKEN=one two\n", "export TOKEN='one two'\r\nX=1"]
)
def test_one_file_may_hold_many(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secrets"
    path.write_text(text)
    path.chmod(0o600)
    vault = Vault.parse(f"file:{path}")
    assert value(vault) == "one two"
    assert refusal(vault, "N").startswith("SECRET_MISSING")
    path.chmod(0o640)
    assert refusal(vault) == (
        "SECRET_REFUSED: the secret 'TOKEN' cannot be used: others may use its file (mode 0640): chmod 600"
    )


def test_a_folder_that_others_may_write_to_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "TOKEN").write_text("value")
    (tmp_path / "TOKEN").chmod(0o666)
    assert "others may use its file (mode 0666)" in refusal(Vault.parse(f"file:{tmp_path}"))


def test_no_message_shows_what_a_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.write_text('{"TOKEN": "hunter2hunter2", "TOKEN": "x"}')
    path.chmod(0o600)
    assert refusal(Vault.parse(f"file:{path}")).endswith("its file is no JSON object")
    path.write_bytes(b"TOKEN=\xff\xfe\xff\xfe")
    assert refusal(Vault.parse(f"file:{path}")).endswith("its value is no UTF-8")
    pipe = tmp_path / "PIPE"
    os.mkfifo(pipe, 0o600)
    assert refusal(Vault.parse(f"file:{tmp_path}"), "PIPE").endswith("its file is no regular file")


def test_short_secrets_are_refused() -> None:
    assert refusal(Vault.of({"TOKEN": "abc"})) == "SECRET_REFUSED: the secret 'TOKEN' has fewer than 4 characters"
    assert refusal(Vault.of({"TOKEN": "x" * 65_537})) == "SECRET_REFUSED: the secret 'TOKEN' is too long"


def test_a_command_gets_the_name_alone_and_no_shell(tmp_path: Path) -> None:
    command = program(tmp_path, "print(repr(sys.argv[1:]))")
    assert value(Vault.parse(f"command:{command} '$(id)' \"a b\""), "X") == "['$(id)', 'a b', 'X']"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("print('partial-secret'); sys.exit(3)", "SECRET_UNAVAILABLE: {} its command ended with exit code 3"),
        (
            "sys.stderr.write('partial-secret'); sys.exit(1)",
            "SECRET_UNAVAILABLE: {} its command ended with exit code 1",
        ),
        ("sys.stdout.write('x' * 10_000_000)", "SECRET_REFUSED: {} its command prints too much"),
        ("sys.stdout.buffer.write(bytes([255] * 9))", "SECRET_REFUSED: {} its value is no UTF-8"),
    ],
)
def test_a_command_that_fails_says_nothing_of_the_value(tmp_path: Path, text: str, told: str) -> None:
    message = refusal(Vault.parse(f"command:{program(tmp_path, text)}"))
    verb = "had" if "UNAVAILABLE" in told else "used"
    assert message == told.format(f"the secret 'TOKEN' cannot be {verb}:")


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    text = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.fork() or os.getpid())); time.sleep(3600)"
    vault = Vault([CommandSecrets([program(tmp_path, text)], 1.0)])
    assert refusal(vault).startswith("SECRET_UNAVAILABLE: the secret 'TOKEN' cannot be had: its command took longer")


def test_a_tenant_cannot_reach_into_the_variables_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S_acme_eu_TOKEN", "of the tenant acme_eu")
    monkeypatch.setenv("SacmeTOKEN", "of the tenant acme")
    vault = Vault.parse("env:S_{tenant}_")
    assert refusal(vault, "TOKEN", "acme_eu").startswith("SECRET_REFUSED")
    assert refusal(Vault.parse("env:S{tenant}"), "meTOKEN", "ac").startswith("SECRET_REFUSED")
    assert refusal(vault, "TOKEN", "acme").startswith("SECRET_MISSING")


def test_a_command_that_leaves_a_process_of_its_own_behind_is_not_waited_for(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    text = f"""
if os.fork():
    print("correct-horse", flush=True)
    os._exit(0)
os.setsid()
open({str(pid)!r}, "w").write(str(os.getpid()))
time.sleep(50)
"""
    told = refusal(Vault([CommandSecrets([program(tmp_path, text)], 2.0)]))
    os.kill(int(pid.read_text()), signal.SIGKILL)  # It has not ended: who waited for it comes here too late.
    assert told.startswith("SECRET_UNAVAILABLE: the secret 'TOKEN' cannot be had: its command took longer")


def test_a_command_that_hangs_after_it_has_closed_its_output_is_killed(tmp_path: Path) -> None:
    text = "os.close(1); time.sleep(3600)"
    told = refusal(Vault([CommandSecrets([program(tmp_path, text)], 1.0)]))
    assert "its command took longer" in told


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    told = refusal(Vault.parse(f"command:{tmp_path}/nothing"))
    assert told.endswith("its command cannot be started (FileNotFoundError)")


@pytest.mark.parametrize("text", ["vault:x", "file:", "command:", "command:'", "/run/secrets"])
def test_unknown_sources_are_refused(text: str) -> None:
    with pytest.raises(CallError, match="is no source of secrets"):
        Vault.parse(text)


def test_names_given_by_hand_are_checked() -> None:
    with pytest.raises(CallError, match="is no name of a secret"):
        Vault.of({"a-b": "value"})
