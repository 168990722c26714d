"""Keys, and tree heads as signed notes: the examples of the specifications, and what must be refused."""

from __future__ import annotations

import base64
import pickle
import stat
from pathlib import Path

import pytest

from refold import CallError
from refold.replay.audit_faults import AuditFault
from refold.replay.merkle import Levels, leaf_hash
from refold.replay.signing_keys import LOG, WITNESS, SigningKey, VerifierKey
from refold.replay.tree_heads import TreeHead, check_follows, cosign, parse_note, sign_head, verify_note

LOG_KEY = SigningKey.generate("example.com/log")
OTHER = SigningKey.generate("example.com/log")
EVE = SigningKey.generate("witness.example/w1")
HEAD = TreeHead("example.com/log", 3, b"r" * 32)

_BY_THE_LOG = "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8="
_BY_THE_WITNESS = (
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA=="
)
EXAMPLE = f"""\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa {_BY_THE_LOG}
— witness.example.com/w1 {_BY_THE_WITNESS}
""".encode()
"""The example of c2sp.org/tlog-cosignature."""

SUM_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
"""A verifier key in public use: its id fits its name and key only if both are hashed as the specification says."""


def signed() -> bytes:
    return sign_head(HEAD, LOG_KEY)


def test_the_example_of_the_specification_is_read() -> None:
    note = parse_note(EXAMPLE)
    assert note.head.origin == "example.com/behind-the-sofa" and note.head.size == 20852163
    assert note.head.text == EXAMPLE.partition(b"\n\n")[0] + b"\n"
    assert [each.name for each in note.signatures] == ["example.com/behind-the-sofa", "witness.example.com/w1"]
    assert int.from_bytes(note.signatures[1].signature[:8], "big") == 1679315147


def test_a_verifier_key_in_public_use_has_its_id_and_text() -> None:
    key = VerifierKey.load(SUM_KEY)
    assert key.key_id().hex() == "033de0ae" and key.text() == SUM_KEY


def test_a_signed_head_verifies_by_its_key_alone() -> None:
    note = parse_note(signed())
    assert note.head == HEAD and verify_note(note, LOG_KEY.verifier) == []
    (line,) = note.signatures
    assert line.key_id == LOG_KEY.key_id(LOG) and LOG_KEY.verify(HEAD.text, line.signature)


def test_witnesses_sign_with_a_time_and_once_each() -> None:
    note = parse_note(cosign(parse_note(cosign(parse_note(signed()), EVE, 5)), EVE, 1_700_000_000))
    (seen,) = verify_note(note, LOG_KEY.verifier, [EVE.verifier])
    assert (seen.name, seen.at) == (EVE.name, 1_700_000_000) and len(note.signatures) == 2
    assert note.signatures[1].key_id == EVE.key_id(WITNESS) != EVE.key_id(LOG)


def faulty(data: bytes, key: SigningKey = LOG_KEY, *witnesses: SigningKey) -> tuple[str, str]:
    with pytest.raises(AuditFault) as caught:
        verify_note(parse_note(data), key.verifier, [each.verifier for each in witnesses])
    return caught.value.layer, caught.value.kind


def test_each_wrong_head_has_a_verdict_of_its_own() -> None:
    assert faulty(signed(), OTHER) == ("head", "unknown_key")
    assert faulty(signed(), EVE) == ("head", "origin")
    assert faulty(signed(), LOG_KEY, EVE) == ("head", "witness")
    assert faulty(signed().replace(b"\n3\n", b"\n4\n")) == ("head", "signature")
    for broken in (b"", b"x", signed()[:-1], signed().replace(b"\n\n", b"\n"), signed() + b"\n", b"\xff" + signed()):
        assert faulty(broken) == ("head", "malformed")
    assert faulty(signed().replace(b"\n3\n", b"\n03\n")) == ("head", "malformed")


def test_no_byte_of_a_cosigned_head_can_change() -> None:
    data = cosign(parse_note(signed()), EVE, 1_700_000_000)
    for at in range(len(data)):
        for flip in (1, 0x20, 0x80):
            mutated = data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]
            layer, _ = faulty(mutated, LOG_KEY, EVE)
            assert layer == "head", f"byte {at}"


def test_heads_follow_one_another_or_it_is_said_why_not() -> None:
    levels = Levels()
    levels.add([leaf_hash(b"a")])
    old = TreeHead("example.com/log", 1, levels.root())
    levels.add([leaf_hash(b"b")])
    new = TreeHead("example.com/log", 2, levels.root())
    check_follows(old, new, [leaf_hash(b"b")])
    check_follows(new, new, None)

    def refused(*given: object) -> str:
        with pytest.raises(AuditFault) as caught:
            check_follows(*given)  # type: ignore[arg-type]
        return caught.value.kind

    assert refused(new, old, None) == "stale"
    assert refused(old, old._replace(root=b"x" * 32), None) == "forked"
    assert refused(old, new, None) == "missing"
    assert refused(old, new, [leaf_hash(b"c")]) == "forked"
    assert refused(old, new._replace(origin="example.com/other"), None) == "origin"


def test_a_key_goes_through_its_files(tmp_path: Path) -> None:
    LOG_KEY.save(tmp_path / "key.pem")
    (tmp_path / "key.pub.pem").write_bytes(LOG_KEY.verifier.pem())
    (tmp_path / "key.vkey").write_text(LOG_KEY.verifier.text() + "\n")
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    assert SigningKey.load(tmp_path / "key.pem").verifier == LOG_KEY.verifier
    for source in (tmp_path / "key.pub.pem", tmp_path / "key.vkey", LOG_KEY.verifier.text(WITNESS)):
        assert VerifierKey.load(source) == LOG_KEY.verifier


def test_a_key_file_that_will_not_do_is_refused_without_showing_it(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    LOG_KEY.save(path)
    secret = path.read_text().splitlines()[2]
    cases: list[tuple[str, bytes, int]] = [
        ("others may read", path.read_bytes(), 0o644),
        ("no private key", path.read_bytes().replace(b"MC4", b"MC5"), 0o600),
        ("no private key", LOG_KEY.verifier.pem(), 0o600),
        ("no name", path.read_bytes().partition(b"\n")[2], 0o600),
        ("cannot be called", path.read_bytes().replace(b"example.com/log", b"a log"), 0o600),
    ]
    for number, (reason, data, mode) in enumerate(cases):
        other = tmp_path / f"other-{number}.pem"
        other.write_bytes(data)
        other.chmod(mode)
        with pytest.raises(CallError, match=reason) as caught:
            SigningKey.load(other)
        assert secret not in str(caught.value)
    with pytest.raises(CallError, match="cannot be read"):
        SigningKey.load(tmp_path / "none.pem")
    with pytest.raises(CallError, match="private key"):
        VerifierKey.load(path)
    with pytest.raises(CallError, match="already"):
        OTHER.save(path)
    assert secret not in repr(LOG_KEY)
    with pytest.raises(TypeError):
        pickle.dumps(LOG_KEY)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b", "x" * 201])
def test_a_name_that_notes_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(CallError, match="cannot be called"):
        SigningKey.generate(name)


def test_a_verifier_key_whose_id_does_not_fit_is_refused() -> None:
    with pytest.raises(CallError, match="does not fit"):
        VerifierKey.load(SUM_KEY.replace("033de0ae", "033de0af"))
    short = base64.b64encode(b"\x01abc").decode()
    with pytest.raises(CallError, match="Ed25519"):
        VerifierKey.load(f"a+00000000+{short}")
