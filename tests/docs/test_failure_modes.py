"""Every failure mode names the test that provokes it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "failure-modes.md"
LINES = [line for line in PAGE.read_text().splitlines() if re.match(r"\| (?!what goes|---)", line)]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split("|")[1].strip()[:60])
def test_a_failure_mode_says_all_and_names_its_test(line: str) -> None:
    cells = [cell.strip() for cell in line.strip("|").split(" | ")]
    assert len(cells) == 5
    assert all(cells)
    tests = re.findall(r"\]\(([^)]+)\)", cells[4])
    assert tests
    for test in tests:
        assert "def test_" in (PAGE.parent / test).read_text()
