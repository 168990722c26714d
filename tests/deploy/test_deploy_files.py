"""The files to deploy with say what holds: commands that exist, ports that agree, nothing that is open or unpinned."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

from refold.api.routes.service import router
from refold.ops.cli.main import app
from refold.tests.support.root_package import ROOT

DEPLOY = ROOT / "ops/deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
IMAGE = f"refold:{PROJECT['project']['version']}"
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
KUBERNETES = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
OURS = {name: each for name, each in COMPOSE["services"].items() if each["image"] == IMAGE}


def unit_of(path: Path) -> dict[str, dict[str, list[str]]]:
    """The sections of a unit; a directive may stand there several times."""
    sections: dict[str, dict[str, list[str]]] = {}
    current: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            current.setdefault(name, []).append(value)
    return sections


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """The pods' specs with the names of their owners."""
    for each in KUBERNETES:
        if each["kind"] in ("Deployment", "Job"):
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every call of `refold`, and where it stands."""
    for name, service in OURS.items():
        yield f"compose {name}", service["command"]
    for name, pod in pods():
        for container in pod["containers"]:
            yield f"kubernetes {name}", container["args"]
    for path in UNITS:
        program, *words = shlex.split(unit_of(path)["Service"]["ExecStart"][0])
        assert program == "/opt/refold/bin/refold", path.name
        yield path.name, [word.replace("%i", "1") for word in words]
    (default,) = re.findall(r"^CMD (\[.*\])$", CONTAINERFILE, re.M)
    yield "Containerfile", yaml.safe_load(default)


@pytest.mark.parametrize(("place", "words"), [pytest.param(*each, id=each[0]) for each in commands()])
def test_every_command_is_one_of_ours_with_options_that_it_has(place: str, words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    context = command.make_context("refold", list(words))
    while isinstance(command, TyperGroup):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        assert command is not None, f"{place}: there is no command {name}"
        context = command.make_context(name, rest, parent=context)


def port_of(words: list[str]) -> int:
    """Where a process of ours answers: its API, or its metrics."""
    named = dict(pairwise(words))
    return int(named["--metrics"].rpartition(":")[2]) if "--metrics" in named else int(named["--port"])


def test_all_who_name_a_port_of_a_container_name_the_same() -> None:
    exposed = {int(port) for port in re.findall(r"^EXPOSE (.*)$", CONTAINERFILE, re.M)[0].split()}
    for name, pod in pods():
        for container in (each for each in pod["containers"] if "ports" in each):
            (port,) = container["ports"]
            assert port["containerPort"] == port_of(container["args"]) in exposed, name
            probes = [container[kind]["httpGet"] for kind in ("startupProbe", "livenessProbe")]
            assert {probe["port"] for probe in probes} == {port["name"]}, name
    (service,) = (each for each in KUBERNETES if each["kind"] == "Service")
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    for job in PROMETHEUS["scrape_configs"]:
        (found,) = job["dns_sd_configs"]
        (name,) = found["names"]
        assert found["port"] == port_of(OURS[name]["command"]), name
        health = OURS[name].get("environment", {}).get("HEALTH_URL", "http://127.0.0.1:8080/health")
        assert f":{found['port']}/" in health and health.startswith("http://127.0.0.1:"), name


def test_ports_of_one_machine_differ() -> None:
    ports = [port_of(words) for place, words in commands() if place.endswith(".service")]
    assert len(set(ports)) == len(ports)


def test_probes_ask_what_the_server_answers() -> None:
    paths = {getattr(route, "path", "") for route in router.routes}
    (server,) = (pod for name, pod in pods() if name == "refold-server")
    (container,) = server["containers"]
    asked = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    # A server whose database is away must not be restarted, only left alone.
    assert asked == {"startup": "/health", "liveness": "/health", "readiness": "/ready"}
    assert set(asked.values()) <= paths
    for name, pod in pods():
        if name in ("refold-worker", "refold-projector"):
            assert "readinessProbe" not in pod["containers"][0], "nobody sends requests there"


def test_every_image_is_of_one_version() -> None:
    images = {service["image"] for service in COMPOSE["services"].values()}
    for _, pod in pods():
        images |= {each["image"] for each in (*pod["containers"], *pod.get("initContainers", []))}
    images |= set(re.findall(r"^ARG PYTHON=(\S+)$", CONTAINERFILE, re.M))
    assert IMAGE in images
    for image in images:
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-[a-z0-9-]+)*$", image), f"{image} may be another one tomorrow"
    assert set(re.findall(r"^FROM (\S+)", CONTAINERFILE, re.M)) == {"${PYTHON}"}


def test_pods_may_do_nothing_but_their_work() -> None:
    for name, pod in pods():
        about = pod["securityContext"]
        assert about["runAsNonRoot"] and about["runAsUser"] > 10_000 and about["seccompProfile"], name
        assert pod["automountServiceAccountToken"] is False, name
        for container in (*pod["containers"], *pod.get("initContainers", [])):
            shut = container["securityContext"]
            assert shut["readOnlyRootFilesystem"] and not shut["allowPrivilegeEscalation"], name
            assert shut["capabilities"] == {"drop": ["ALL"]}, name
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
            assert "memory" in container["resources"]["limits"], name


def test_pods_are_named_by_those_who_mean_them() -> None:
    named = {each["metadata"]["name"] for each in KUBERNETES if each["kind"] == "Deployment"}
    labels = "app.kubernetes.io/name"
    for each in KUBERNETES:
        spec = each["spec"]
        if each["kind"] in ("Deployment", "PodDisruptionBudget"):
            assert spec["selector"]["matchLabels"][labels] in named, each["metadata"]["name"]
        if each["kind"] == "Deployment":
            assert spec["template"]["metadata"]["labels"][labels] == spec["selector"]["matchLabels"][labels]
        if each["kind"] == "Service":
            assert spec["selector"][labels] in named
        if each["kind"] == "HorizontalPodAutoscaler":
            assert spec["scaleTargetRef"]["name"] in named
    kinds = [each["kind"] for each in KUBERNETES]
    assert kinds.count("PodDisruptionBudget") == 2 and kinds.count("NetworkPolicy") >= 2 and "Job" in kinds
    assert all(each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "refold" for each in KUBERNETES)


def test_no_file_holds_a_secret() -> None:
    for name, pod in pods():
        for container in pod["containers"]:
            for variable in container.get("env", []):
                secret = re.search("URL|PASSWORD|TOKEN|SECRET", variable["name"])
                assert not secret or "secretKeyRef" in variable["valueFrom"], f"{name}: {variable['name']}"
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            assert not re.search(r"://[^/\s:@]+:[^/\s@]+@", path.read_text()), f"{path.name} holds a password"
    assert COMPOSE["services"]["postgres"]["environment"]["POSTGRES_PASSWORD_FILE"].startswith("/run/secrets/")


def test_compose_starts_in_order_and_loses_nothing() -> None:
    for name, service in OURS.items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["depends_on"]["postgres"] == {"condition": "service_healthy"}, name
        assert name == "migrate" or service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    postgres = COMPOSE["services"]["postgres"]
    assert {"-cfsync=on", "-csynchronous_commit=on", "-cfull_page_writes=on"} <= set(postgres["command"])
    assert "healthcheck" in postgres and "ports" not in postgres
    assert (
        OURS["worker"]["deploy"]["replicas"] == 2 and "goldens:/var/lib/refold/goldens" in OURS["projector"]["volumes"]
    )
    known = {"volumes": set(COMPOSE["volumes"]), "secrets": set(COMPOSE["secrets"])}
    for name, service in COMPOSE["services"].items():
        assert set(service.get("secrets", [])) <= known["secrets"], name
        sources = {each.partition(":")[0] for each in service.get("volumes", [])}
        assert {each for each in sources if not each.startswith(".")} <= known["volumes"], name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} is open to everybody"


def test_prometheus_has_the_jobs_that_the_rules_go_by() -> None:
    jobs = {job["job_name"] for job in PROMETHEUS["scrape_configs"]}
    assert jobs == {"refold-server", "refold-worker", "refold-projector"}
    named = yaml.safe_load((ROOT / "ops/alerts/prometheus.yaml").read_text())["scrape_configs"]
    assert jobs <= {job["job_name"] for job in named}
    mounted = [each for service in COMPOSE["services"].values() for each in service.get("volumes", [])]
    for source in (each.partition(":")[0] for each in mounted if each.startswith(".")):
        assert (DEPLOY / source).is_file(), source


def test_the_image_holds_the_package_and_nothing_else() -> None:
    lines = re.findall(r"^COPY (?!--from)(.*)$", CONTAINERFILE, re.M)
    copied = {word for line in lines for word in line.split()[:-1]}
    folders = {name.split(".")[1] for name in PROJECT["tool"]["setuptools"]["packages"] if "." in name}
    assert {each for each in copied if (ROOT / each).is_dir()} == folders
    assert {path.name for path in ROOT.glob("*.py")} <= copied and "constraints.txt" in copied
    assert all((ROOT / each).exists() for each in copied)
    last = CONTAINERFILE[CONTAINERFILE.rindex("\nFROM ") :]
    assert re.search(r"^USER 10001:10001$", last, re.M) and re.search("^HEALTHCHECK ", last, re.M)
    assert "PIP_CONSTRAINT=/source/constraints.txt" in CONTAINERFILE and "ADD " not in CONTAINERFILE


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_is_shut_in_and_stops_in_time(path: Path, tmp_path: Path) -> None:
    service = {name: values[-1] for name, values in unit_of(path)["Service"].items()}
    shut = ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectKernelTunables", "DynamicUser")
    assert all(service[name] == "yes" for name in shut) and service["ProtectSystem"] == "strict"
    assert service["Restart"] == "always" and service["KillSignal"] == "SIGTERM"
    assert service["EnvironmentFile"] == "/etc/refold/refold.env" and service["CapabilityBoundingSet"] == ""
    assert re.fullmatch(r"30|1min|5min", service["TimeoutStopSec"])
    if analyze := shutil.which("systemd-analyze"):
        there = tmp_path / path.name
        there.write_text(path.read_text().replace("/opt/refold/bin/refold", "/bin/true"))
        verified = subprocess.run([analyze, "verify", there], capture_output=True, text=True, timeout=60)
        assert not [line for line in verified.stderr.splitlines() if path.name in line], verified.stderr
        judge = [analyze, "security", "--offline=true", "--threshold=20", "--no-pager", there]
        judged = subprocess.run(judge, capture_output=True, text=True, timeout=60)
        assert judged.returncode == 0, judged.stdout[-300:]


def test_there_is_a_unit_for_every_process() -> None:
    wanted = {"serve", "worker@", "projector", "shadow-monitor"}
    assert {path.name for path in UNITS} == {f"refold-{name}.service" for name in wanted}
