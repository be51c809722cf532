"""A verification that was interrupted goes on where it was, and comes to the same end."""

from __future__ import annotations

import asyncio
import random
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from streams.audit import checkpoint, verify
from streams.audit.archive import Archive
from streams.audit.checkpoint import Checkpoint, CheckpointRefused, Saved
from streams.audit.history import History
from streams.audit.verify import Verification
from tests.golden.corpus import logs
from tests.unit.streams.audit.recorded import START, Recorded, lived


@pytest.fixture(scope="module")
def original() -> Recorded:
    return lived()


@pytest.fixture
def recorded(original: Recorded) -> Recorded:
    return deepcopy(original)


@pytest.fixture(autouse=True)
def _at_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "KEEP_EVERY", 0.0)
    monkeypatch.setattr(verify, "_KEPT_SHARE", 0)


def verified(
    history: History, saved: Saved | None = None
) -> tuple[dict[str, Any], dict[str, str], list[Saved]]:
    """The report, the states at the end, and all that was kept on the way."""
    kept: list[Saved] = []
    verification = Verification(history, keep=lambda one: kept.append(deepcopy(one)))
    if saved is not None:
        verification.resume(saved)
    report = asyncio.run(verification.run())
    return report.on_wire(), verification.states, kept


def stored(saved: Saved, directory: Path) -> Saved:
    """Written and read again."""
    Checkpoint(directory, "one").save(saved)
    found = Checkpoint(directory, "one").load()
    assert found is not None
    return found


def alter(recorded: Recorded) -> None:
    """Some of what verifications find: an altered directive, a missing one, an added fact, a planted plan."""
    where = recorded.find("directives", lambda record: b"default-9" in (record.value or b""))
    recorded.alter("directives", where, b'"attempt":1', b'"attempt":7')
    recorded.drop("directives", (where[0], len(recorded.topics["directives", where[0]]) // 2))
    recorded.insert("directives", 0, 3, b'{"type":"assign_task","directive_id":"default.3.9"}')
    plan = recorded.find("fleet", lambda record: b"plan_proposed" in (record.value or b""))
    recorded.alter("fleet", plan, b'"objective":', b'"objective":1')


@pytest.mark.parametrize("altered", [False, True])
def test_from_wherever_it_goes_on_it_comes_to_the_same_end(
    recorded: Recorded, tmp_path: Path, altered: bool
) -> None:
    if altered:
        alter(recorded)
    report, states, kept = verified(recorded)
    assert report["verified"] is not altered
    assert len(kept) > 30
    for saved in random.Random(5).sample(kept, 6):
        again, digests, later = verified(recorded, stored(saved, tmp_path))
        assert again == report
        assert digests == states
        assert len(later) < len(kept)


def test_a_life_with_everything_in_it_can_be_gone_on_with_again_and_again(tmp_path: Path) -> None:
    history = Archive.open(next(path for path in logs() if path.name == "life"))
    report, states, kept = verified(history)
    saved = kept[0]
    times = 0
    while True:
        again, digests, later = verified(history, stored(saved, tmp_path))
        assert (again, digests) == (report, states)
        if len(later) < 9:
            break
        saved, times = later[8], times + 1
    assert times > 1


def test_what_has_grown_meanwhile_is_verified_too(recorded: Recorded) -> None:
    whole, _, _ = verified(recorded)
    part = deepcopy(recorded)
    for place, records in part.topics.items():
        part.topics[place] = [record for record in records if record.timestamp <= START + 20_000]
    _, _, kept = verified(part)
    again, _, _ = verified(recorded, kept[-1])
    assert again == whole


def test_another_history_is_refused(recorded: Recorded) -> None:
    _, _, kept = verified(recorded)
    saved = kept[len(kept) // 2]
    offset = (saved.ingress[0].last or (0, ""))[0]
    place = next(n for n, record in enumerate(recorded.topics["events", 0]) if record.offset == offset)
    other = deepcopy(recorded)
    value = other.topics["events", 0][place].value or b""
    other.alter("events", (0, place), value, value + b" ")
    with pytest.raises(CheckpointRefused, match=f"another record stands at coordinator.events/0@{offset}"):
        verified(other, saved)
    short = deepcopy(recorded)
    short.topics["events", 0] = short.topics["events", 0][:3]
    with pytest.raises(CheckpointRefused, match="ends at 3"):
        verified(short, saved)
    late = deepcopy(recorded)
    late.beginnings["fleet", 0] = saved.fleet[0].position + 1
    with pytest.raises(CheckpointRefused, match="begins at"):
        verified(late, saved)


def test_a_file_that_is_not_the_one_that_was_written_is_refused(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Checkpoint(tmp_path, "one")
    assert file.load() is None
    _, _, kept = verified(recorded)
    file.save(kept[3])
    assert Checkpoint(tmp_path, "another").load() is None
    whole = file.path.read_bytes()
    for place in range(0, len(whole), 997):
        file.path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(CheckpointRefused):
            file.load()
    file.path.write_bytes(whole[:-1])
    with pytest.raises(CheckpointRefused, match="altered"):
        file.load()
    file.path.write_bytes(whole)
    monkeypatch.setattr(checkpoint, "digest_of_code", lambda: "other")
    with pytest.raises(CheckpointRefused, match="other code"):
        file.load()
    file.remove()
    assert file.load() is None
