"""What README and docs/ show is there: links, commands, code."""

import re
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?coordinator ([^\n#]*)", re.MULTILINE)


def commands() -> list[tuple[str, str]]:
    """Every command line in a code block, with the page that it stands on."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL):
            found += [(page.name, words.strip()) for words in COMMAND.findall(block)]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    dead = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not dead


@pytest.mark.parametrize(("page", "words"), commands())
def test_every_command_that_is_shown_exists_with_its_options(page: str, words: str) -> None:
    from streams.cli.main import app

    command = typer.main.get_command(app)
    for word in (parts := words.split()):
        deeper = getattr(command, "commands", {}).get(word)
        if deeper is None:
            break
        command = deeper
    assert command.name != "coordinator", f"{page} shows an unknown command: {parts[0]}"
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    shown = {word.split("=")[0] for word in parts if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word)}
    assert shown <= known | {"--help"}, f"{page} shows unknown options of {command.name}"


def test_the_agent_in_the_readme_is_the_snippet_that_the_tests_run() -> None:
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    assert block[1] == (ROOT / "docs" / "snippets" / "agent.py").read_text()


def test_every_make_target_that_is_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {target for page in PAGES for target in re.findall(r"`(?:\$ )?make ([a-z]+)", page.read_text())}
    assert shown <= targets
