"""docs/configuration.md tells the truth about every setting."""

import re
from pathlib import Path

from streams.settings import Settings

TEXT = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
ROWS = dict(re.findall(r"^\| `([a-z_]+)` \| (.*?) \|", TEXT.split("## Where")[0], re.MULTILINE))


def test_every_setting_is_documented_and_no_other() -> None:
    assert sorted(ROWS) == sorted(Settings.model_fields)


def test_documented_defaults_are_the_real_ones() -> None:
    words = {"topic_prefix": "coordinator.", "create_topics": "true"}
    for name, told in ROWS.items():
        default = Settings.model_fields[name].default
        if default is None:
            assert told in ("none", "prefix without separator")
            continue
        number = re.match(r"`([^`]*)`", told)
        assert number is not None, name
        expected = words.get(name, str(default))
        same = number[1] == expected or float(number[1]) == float(expected)
        assert same, f"{name}: documented {number[1]}, is {expected}"
