"""``coordinator verify`` that is interrupted, and goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from streams.audit import helpers, verify
from streams.audit.verify import Verification
from streams.cli.main import app
from streams.errors import BrokerUnreachable, ConfigurationError
from tests.golden.corpus import logs

LIFE = str(next(path for path in logs() if path.name == "life"))


def ran(*words: str) -> Result:
    return CliRunner().invoke(app, ["verify", "--archive", LIFE, "--json", *words])


def report_of(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    del found["rate"]
    return found


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verify, "KEEP_EVERY", 0.0)


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Kafka goes away after so many batches."""
    tell, told = Verification._tell, 0

    def telling(self: Verification) -> None:
        nonlocal told
        told += 1
        if told > after:
            raise BrokerUnreachable("Kafka is gone")
        tell(self)

    monkeypatch.setattr(Verification, "_tell", telling)


def test_what_was_interrupted_goes_on_and_comes_to_the_same_report(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = report_of(ran())
    with monkeypatch.context() as patch:
        interrupt(patch, 6)
        broken = ran()
    assert isinstance(broken.exception, BrokerUnreachable)
    assert "go on with --resume" in broken.stderr
    elsewhere = ran("--resume", "--to", "2099-01-01T00:00Z")
    assert isinstance(elsewhere.exception, ConfigurationError), "of another part nothing is kept"
    resumed = ran("--resume")
    assert "going on behind the first" in resumed.stderr
    assert report_of(resumed) == whole
    again = ran("--resume")
    assert isinstance(again.exception, ConfigurationError)
    assert "no interrupted verification of that is kept" in str(again.exception)


def test_with_other_processes_it_comes_to_the_same_report(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = report_of(ran())
    assert report_of(ran("--jobs", "2")) == whole
    with monkeypatch.context() as patch:
        interrupt(patch, 6)
        ran("-j", "9")
    assert report_of(ran("--jobs", "2", "--resume")) == whole


def test_a_process_that_ends_unasked_ends_it_and_nothing_is_said_of_the_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = helpers._Helper.start

    async def starting(source: helpers.Source) -> helpers._Helper:
        helper = await started(source)
        helper._process.kill()
        return helper

    monkeypatch.setattr(helpers._Helper, "start", starting)
    broken = ran("--jobs", "2")
    assert isinstance(broken.exception, helpers.HelperFailed)
    assert broken.exception.exit_status == 3
    assert "has ended, with status -9" in str(broken.exception)


def test_what_a_process_meets_is_told_as_if_it_had_been_met_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened = helpers.Helpers.__init__

    def elsewhere(self: helpers.Helpers, source: helpers.Source, count: int) -> None:
        opened(self, helpers.Directory(str(tmp_path / "nowhere")), count)

    monkeypatch.setattr(helpers.Helpers, "__init__", elsewhere)
    broken = ran("--jobs", "2")
    assert isinstance(broken.exception, helpers.HelperFailed)
    assert "is no archive" in str(broken.exception)


def test_what_was_kept_and_is_damaged_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, 6)
        ran()
    (file,) = Path().rglob("*.verification")
    file.write_bytes(file.read_bytes()[:-9])
    refused = ran("--resume")
    assert isinstance(refused.exception, ConfigurationError)
    assert "it was altered; begin anew" in str(refused.exception)


def test_where_nothing_can_be_written_it_verifies_all_the_same(tmp_path: Path) -> None:
    (tmp_path / ".coordinator").write_text("in the way")
    found = ran()
    assert found.exit_code == 0
    assert "cannot be kept" in found.stderr


def test_a_damaged_archive_proves_nothing_and_accuses_nobody(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(LIFE, copy)
    file = copy / "directives" / "0.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    found = CliRunner().invoke(app, ["verify", "--archive", str(copy)])
    assert found.exit_code == 3
    assert "was altered" in found.stderr


def test_following_begins_at_the_beginning() -> None:
    refused = CliRunner().invoke(app, ["verify", "--follow", "--resume"])
    assert isinstance(refused.exception, ConfigurationError)
