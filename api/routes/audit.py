"""For auditors: the tree over the log, proofs, bundles, certificates, and what operators decided."""

from __future__ import annotations

import re
from pathlib import Path as File
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from ...core.canonical import canonical_json
from ...core.errors import CallError, Problem, RunNotFoundError
from ...core.hashing import sha256_hex
from ...core.ids import CONTROL, check_run_id, inbox_of, stream_of
from ...projections.golden_faults import GoldenFault
from ...projections.golden_files import GoldenFolder
from ...projections.stored_events import told
from ...replay.bundles import export_run, find_leaves
from ...replay.certificate import MOST_BYTES, check_certificate
from ...replay.inclusion import consistency_of, inclusion_of, inclusion_of_run
from ...replay.signing_keys import VerifierKey
from ...replay.tree_folder import TreeFolder
from ...replay.tree_heads import parse_note
from ..answers import answer
from ..answers.audit import (
    CertificatePage,
    CheckedCertificate,
    Consistency,
    ControlEvents,
    ControlStreams,
    InclusionPage,
    OneInclusion,
    Tree,
)
from ..auditing import head_json, opened, signed
from ..bodies import Body, documented, read
from ..callers import Auditor, ServiceAuditor
from ..etags import tagged
from ..missing import missing
from ..names import RunIdInPath
from ..pages import PageParameters, Parameters, cut
from ..ports import Given, Ports

router = APIRouter(prefix="/v1", tags=["audit"])
"""`/v1/audit/…`, `/v1/runs/{run_id}/inclusion` and `/bundle`, `/v1/control`."""

_CERTIFICATE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.json")
_Name = Annotated[str, Path(description="The name of its file.")]


class ConsistencyParameters(Parameters):
    """From which size of the tree to which."""

    old: Annotated[int, Field(ge=0, lt=2**53, description="Leaves of the older tree.")]
    new: Annotated[int | None, Field(ge=0, lt=2**53, description="Of the newer one; unless given, all.")] = None


class PositionParameters(Parameters):
    """Which event of the log."""

    position: Annotated[int, Field(ge=1, lt=2**53, description="Its position.")]


class VersionParameters(Parameters):
    """Which events of a stream: those after version `after`."""

    after: Annotated[int, Field(ge=0, lt=2**53, description="`next_after` of the page before.")] = 0
    limit: Annotated[int, Field(ge=1, le=500, description="At most so many.")] = 100


class CertificateBody(Body):
    """A certificate, and the public key of who is said to have made it (as `refold audit keygen` writes it in a
    `.vkey` file); without a key nobody knows who did. With `log` this server's log must be the one it is about."""

    certificate: dict[str, Any]
    key: Annotated[str, Field(max_length=2000)] | None = None
    log: bool = True


@router.get("/audit/tree", response_model=Tree, summary="The tree over the log, and its signed head")
async def get_tree(request: Request, ports: Given, _caller: ServiceAuditor) -> Response:
    """As `refold audit update` and `head` have left it."""
    root = ports.places.need_tree()

    def look() -> dict[str, Any]:
        with opened(root) as tree:
            data = tree.checkpoint()
            return {**_size(tree), "head": None if data is None else head_json(parse_note(data))}

    return tagged(request, await ports.ask(look))


@router.get("/audit/consistency", response_model=Consistency, summary="Prove that a tree continues an older one")
async def prove_consistency(
    ports: Given, _caller: ServiceAuditor, wanted: Annotated[ConsistencyParameters, Query()]
) -> Response:
    """An auditor who has an older head checks that nothing before it was changed."""
    root = ports.places.need_tree()

    def proved() -> dict[str, Any]:
        with opened(root) as tree:
            new = tree.size if wanted.new is None else wanted.new
            if not wanted.old <= new <= tree.size:
                reason = f"the tree has {tree.size} leaves: no proof from {wanted.old} to {new}"
                raise CallError(Problem("", reason, "give sizes that it had, the older first"))
            return consistency_of(tree, wanted.old, new)

    return answer(await ports.ask(proved))


@router.get("/audit/inclusion", response_model=OneInclusion, summary="Prove that an event is in the tree")
async def prove_event(
    ports: Given, _caller: ServiceAuditor, wanted: Annotated[PositionParameters, Query()]
) -> Response:
    """By its position in the log, under the signed head."""
    root = ports.places.need_tree()

    def proved() -> dict[str, Any]:
        found = ports.store.follow(wanted.position - 1, 1)
        if not found or found[0].position != wanted.position:
            raise missing("event at position", str(wanted.position))
        record = found[0].record
        with signed(root, ports.store, record.stream) as (tree, note):
            size = note.head.size
            (leaf,) = find_leaves(ports.store, tree, size, [record])
            return {"head": head_json(note), "proof": inclusion_of(tree, leaf, size, record)}

    return answer(await ports.ask(proved))


@router.get("/runs/{run_id}/inclusion", response_model=InclusionPage, summary="Prove that a run is in the tree")
async def prove_run(
    run_id: RunIdInPath, ports: Given, caller: Auditor, wanted: Annotated[VersionParameters, Query()]
) -> Response:
    """Each under the signed head, so that nobody can have changed them since that was published."""
    root = ports.places.need_tree()

    def proved() -> dict[str, Any]:
        streams = _streams(ports, run_id, caller.tenant)
        with signed(root, ports.store, *streams) as (tree, note):
            size = note.head.size
            found = inclusion_of_run(ports.store, tree, size, run_id, caller.tenant, wanted.after, wanted.limit)
        last = found[-1]["version"] if len(found) == wanted.limit else None
        return {"head": head_json(note), "proofs": found, "next_after": last}

    return answer(await ports.ask(proved))


_BUNDLE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bundle.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get(
    "/runs/{run_id}/bundle", responses=_BUNDLE, response_class=Response, summary="A run to be verified without us"
)
async def get_bundle(request: Request, run_id: RunIdInPath, ports: Given, caller: Auditor) -> Response:
    """A zip with its events, their proofs under the signed head, and its golden if there is one. `refold audit verify`
    proves it without database or server, and so does the program that `refold audit verifier` writes."""
    root = ports.places.need_tree()

    def exported() -> bytes:
        streams = _streams(ports, run_id, caller.tenant)
        golden = _golden(ports.places.goldens, caller.tenant, run_id)
        with signed(root, ports.store, *streams) as (tree, note):
            return export_run(ports.store, tree, note, run_id, caller.tenant, golden)

    data = await ports.ask(exported)
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", run_id)
    return tagged(request, data, "application/zip", content_disposition=f'attachment; filename="{safe}.bundle.zip"')


@router.get("/audit/certificates", response_model=CertificatePage, summary="List certificates")
async def list_certificates(
    ports: Given, _caller: ServiceAuditor, wanted: Annotated[PageParameters, Query()]
) -> Response:
    """What `refold replay --all --certificate` has put into the server's folder."""
    root = ports.places.need_certificates()

    def listed() -> dict[str, Any]:
        names = sorted(each.name for each in root.glob("*.json") if _CERTIFICATE.fullmatch(each.name))
        shown, cursor = cut(names, wanted, str)
        rows: list[dict[str, Any]] = []
        for name in shown:
            data = _certificate(root, name)
            rows.append({"name": name, "size": len(data), "sha256": sha256_hex(data)})
        return {"certificates": rows, "next_cursor": cursor}

    return answer(await ports.ask(listed))


@router.get("/audit/certificates/{name}", summary="One certificate", response_model=dict[str, Any])
async def get_certificate(request: Request, name: _Name, ports: Given, _caller: ServiceAuditor) -> Response:
    """Byte for byte as it was signed."""
    return tagged(request, await ports.ask(_certificate, ports.places.need_certificates(), name))


@router.post(
    "/audit/certificates:verify",
    response_model=CheckedCertificate,
    openapi_extra=documented(CertificateBody),
    summary="Whether a certificate can be believed",
)
async def verify_certificate(request: Request, ports: Given, _caller: ServiceAuditor) -> Response:
    """By its signature, by itself, and by this server's log."""
    body = await read(request, CertificateBody)

    def checked() -> dict[str, Any]:
        try:
            key = None if body.key is None else VerifierKey.parse(body.key)
        except CallError as error:
            raise CallError([Problem("/key", each.reason, each.fix) for each in error.problems]) from None
        data = canonical_json(body.certificate) + b"\n"
        return check_certificate(data, key, ports.store if body.log else None).to_json()

    return answer(await ports.ask(checked))


@router.get("/control", response_model=ControlStreams, summary="List control streams")
async def list_control_streams(
    ports: Given, _caller: ServiceAuditor, wanted: Annotated[PageParameters, Query()]
) -> Response:
    """What operators decided: stops, keys, budgets, policies, specs, webhooks, erasures."""

    def look() -> dict[str, Any]:
        heads = ports.store.heads(sorted(ports.store.streams(CONTROL)))
        shown, cursor = cut(sorted(heads), wanted, str)  # A folder of streams, such as that of jobs, is none itself.
        rows = [{"name": each.removeprefix(f"{CONTROL}/"), "events": heads[each].version} for each in shown]
        return {"streams": rows, "next_cursor": cursor}

    return answer(await ports.ask(look))


@router.get("/control/{name:path}/events", response_model=ControlEvents, summary="The events of a control stream")
async def get_control_events(
    name: Annotated[str, Path(description="Its name, such as `emergency` or `specs/default`.")],
    ports: Given,
    _caller: ServiceAuditor,
    wanted: Annotated[VersionParameters, Query()],
) -> Response:
    """As stored, with what it takes to check the chain. Secrets never stand in them."""

    def page() -> dict[str, Any]:
        stream = f"{CONTROL}/{name}"
        if not re.fullmatch(r"[\x21-\x7e]{1,300}", name) or not ports.store.heads([stream]):
            raise missing("control stream", name)
        found = [told(record) for record in ports.store.read(stream, wanted.after, wanted.limit + 1)]
        shown = found[: wanted.limit]
        for event in shown:
            event["at"] = event.pop("time")
        last = shown[-1]["version"] if len(found) > wanted.limit else None
        return {"name": name, "events": shown, "next_after": last}

    return answer(await ports.ask(page))


def _size(tree: TreeFolder) -> dict[str, Any]:
    return {"size": tree.size, "root": tree.head_root.hex(), "position": tree.position}


def _streams(ports: Ports, run_id: str, tenant: str) -> tuple[str, str]:
    """The run's stream and its inbox. Raises RunNotFoundError."""
    stream = stream_of(tenant, check_run_id(run_id))
    if not ports.store.heads([stream]):
        raise RunNotFoundError(f"no run {run_id!r} of tenant {tenant!r}")
    return stream, inbox_of(stream)


def _certificate(root: File, name: str) -> bytes:
    if not _CERTIFICATE.fullmatch(name):
        raise missing("certificate", name)
    try:
        with open(root / name, "rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError:
        raise missing("certificate", name) from None


def _golden(root: File | None, tenant: str, run_id: str) -> tuple[bytes, bytes | None] | None:
    if root is None:
        return None
    try:
        stored = GoldenFolder(root).read(tenant, run_id)
    except GoldenFault:
        return None
    return stored.data, stored.signature
