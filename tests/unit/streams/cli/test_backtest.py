"""``coordinator backtest`` on a golden log, as people read it and as scripts do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streams.cli.main import app
from streams.errors import ConfigurationError
from tests.golden.corpus import logs

LIFE = str(next(path for path in logs() if path.name == "life"))


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # where snapshots are kept
    file = tmp_path / "policy.json"
    patch = {"planning": {"objective": {"load": 0, "wrong_zone": 2_000}}, "liveness": {"phi": 9.0}}
    file.write_text(json.dumps(patch))
    return file


def ran(*words: str) -> Result:
    return CliRunner().invoke(app, ["backtest", "--archive", LIFE, *words])


def test_what_would_have_been_decided_is_shown(policy: Path) -> None:
    shown = ran("--policy", str(policy))
    assert shown.exit_code == 0, shown.output
    for words in ("plans, and", "to the same agents", "by the other policy's objective", "waited, p95"):
        assert words in shown.stdout
    assert "liveness: by these events become facts" in shown.stderr
    answer = json.loads(ran("--policy", str(policy), "--json").stdout)
    assert answer["mode"] == "open_loop"
    assert answer["not_followed"] == ["liveness"]
    assert answer["tasks"]["elsewhere"] == len([one for one in answer["differences"] if one["recorded"]]) - 1
    assert answer["at"]["cut"].startswith("memory:")


def test_what_would_have_come_of_it_is_shown(policy: Path) -> None:
    shown = ran("--policy", str(policy), "--closed-loop")
    assert shown.exit_code == 0, shown.output
    for words in ("recorded", "lived again", "with that policy", "took in all, p95", "A simulation"):
        assert words in shown.stdout
    answer = json.loads(ran("--policy", str(policy), "--closed-loop", "--json", "--fleet", "north").stdout)
    assert answer["mode"] == "closed_loop"
    assert answer["recorded"]["submitted"] == answer["other"]["submitted"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("no", "is no JSON"), ("[]", "no JSON object"), ('{"retry": {"bass": 1}}', "bass")],
)
def test_what_is_no_policy_is_refused(policy: Path, content: str, complaint: str) -> None:
    policy.write_text(content)
    refused = ran("--policy", str(policy))
    assert isinstance(refused.exception, ConfigurationError)
    assert complaint in str(refused.exception)
