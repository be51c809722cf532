"""What is shipped and how it is installed: locks, wheel, compose file, Procfile, Makefile."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from streams.kafka import KAFKA_VERSION
from streams.settings import Settings

ROOT = Path(__file__).parents[2]
LOCKS = [
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-java.lock",
    "requirements-installer.lock",
]


def pins(lock: str) -> dict[str, str]:
    """Requirement lines of a lock, without hashes, by package and environment marker."""
    lines = [line.removesuffix(" \\") for line in (ROOT / lock).read_text().splitlines() if line[0] != " "]
    return {re.sub(r"==\S+", "", line): line for line in lines}


def load_yaml(name: str) -> Any:
    return YAML(typ="safe").load(ROOT / name)


def executable(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


# -- Locks


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_every_package_with_a_hash_and_names_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert not re.search(r"://|--(index|extra-index|find-links|trusted)| @ |/opt/|file:", text)
    requirements = re.split(r"\n(?=\S)", text.strip())
    assert len(requirements) >= (1 if "installer" in lock else 20)
    for requirement in requirements:
        assert re.match(r"[a-z0-9-]+==\d\S*", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


@pytest.mark.parametrize("lock", ["requirements-dev.lock", "requirements-java.lock"])
def test_developers_test_the_versions_that_users_get(lock: str) -> None:
    assert pins("requirements.lock").items() <= pins(lock).items()


# -- The wheel


def test_the_wheel_holds_all_packages_with_their_types_and_kafkas_pins(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    for name in ("models", "streams", "coordinator"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(source)], check=True, timeout=100)
    [wheel] = tmp_path.glob("coordinator_agent-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        shipped = set(archive.namelist())
        entry_points = archive.read(next(n for n in shipped if n.endswith("entry_points.txt"))).decode()
    expected = {
        str(path.relative_to(ROOT))
        for package in ("models", "streams", "coordinator")
        for path in (ROOT / package).rglob("*.py")
    }
    assert expected <= shipped
    assert {
        "models/py.typed",
        "streams/py.typed",
        "coordinator/py.typed",
        "streams/kafka/jars.lock",
    } <= shipped
    assert not [name for name in shipped if name.startswith("tests/")]
    assert "coordinator = streams.cli.main:main" in entry_points


# -- Containers and processes


def test_the_compose_file_follows_the_compose_specification() -> None:
    check = [executable("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    result = subprocess.run([*check, str(ROOT / "docker-compose.yml")], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_compose_specification_is_really_applied(tmp_path: Path) -> None:
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text("services:\n  kafka:\n    imagine: apache/kafka\n")
    check = [executable("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    result = subprocess.run([*check, str(wrong)], capture_output=True, text=True)
    assert result.returncode == 1
    assert "imagine" in result.stdout


def test_compose_runs_the_kafka_that_the_tests_run() -> None:
    assert load_yaml("docker-compose.yml")["services"]["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def test_compose_publishes_nothing_beyond_this_machine_and_starts_in_order() -> None:
    services = load_yaml("docker-compose.yml")["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    for name, service in services.items():
        assert set(service.get("depends_on", [])) <= services.keys(), name
    assert services["worker"]["deploy"]["replicas"] == 2


def test_prometheus_scrapes_the_port_that_workers_listen_on() -> None:
    [job] = load_yaml("deploy/prometheus.yml")["scrape_configs"]
    [discovery] = job["dns_sd_configs"]
    assert discovery["names"] == ["worker"]
    assert discovery["port"] == Settings.model_fields["http_port"].default
    assert f"EXPOSE {discovery['port']}" in (ROOT / "Dockerfile").read_text()


def test_containers_are_configured_with_settings_that_exist() -> None:
    known = {f"COORDINATOR_{name.upper()}" for name in Settings.model_fields}
    text = (ROOT / "docker-compose.yml").read_text() + (ROOT / "Dockerfile").read_text()
    used = set(re.findall(r"\bCOORDINATOR_[A-Z_]+", text))
    assert used
    assert used <= known


def test_the_image_does_not_run_as_root_and_checks_its_health() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    last_stage = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM")) :]
    assert "USER coordinator" in last_stage
    assert any("/health/live" in line for line in last_stage)
    copied = {word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]}
    context = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert {name for name in copied if not name.startswith(("--from", "/"))} == context


def test_honcho_accepts_the_procfile() -> None:
    result = subprocess.run([executable("honcho"), "check"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "kafka, worker, fleet" in result.stderr + result.stdout


# -- make


def test_make_help_lists_every_target() -> None:
    result = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    declared = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert declared
    listed = re.findall(r"^  make (\S+)", result.stdout, re.MULTILINE)
    assert sorted(listed) == sorted(declared[1].split())


def test_an_old_python_is_told_what_is_needed(tmp_path: Path) -> None:
    """Without an old Python at hand, the script is asked for one that does not exist yet."""
    (tmp_path / "tools").mkdir()
    script = (ROOT / "tools" / "set_up.py").read_text().replace("MINIMUM = (3, 11)", "MINIMUM = (3, 99)")
    (tmp_path / "tools" / "set_up.py").write_text(script)
    result = subprocess.run(
        [sys.executable, tmp_path / "tools" / "set_up.py"], capture_output=True, text=True
    )
    assert result.returncode == 1
    assert "Python 3.99 or newer is needed" in result.stderr
    assert "make setup PYTHON=" in result.stderr
    assert not (tmp_path / ".venv").exists()
