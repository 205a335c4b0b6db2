"""What README.md and docs/ say is so: examples parse, names exist, links lead somewhere, quoted messages are messages."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from ansible_collections.dataminer.web.plugins.doc_fragments.agent import ModuleDocFragment

ROOT = Path(__file__).resolve().parents[2]
DOCS = ("README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")))

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"\bdataminer_[a-z0-9_]*[a-z0-9]\b")
NAME = re.compile(r"\bdataminer\.web\.([a-z_]+)")
PLAYBOOK = re.compile(r"`(?:playbooks/)?([a-z_]+)\.yml`|ansible-playbook playbooks/([a-z_]+)\.yml")
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
TARGET = re.compile(r"(?:`|^ {4})make ([a-z][a-z-]*)", re.MULTILINE)
OWN_FILES = {"inventory", "vault"}  # of the reader, not of the collection


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def sources(*patterns: str) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for pattern in patterns for path in sorted(ROOT.glob(pattern)))


def examples(said: str) -> list[str]:
    return [body for language, body in FENCE.findall(said) if language in ("yaml", "yml")]


def keys(value: object) -> set[str]:
    """Every key of a YAML document, at any depth."""
    if isinstance(value, dict):
        return {str(key) for key in value} | {key for item in value.values() for key in keys(item)}
    return {key for item in value for key in keys(item)} if isinstance(value, list) else set()


@cache
def settable() -> set[str]:
    """Variables that somebody may set: with a default, with a description, or read by a playbook."""
    return set(VARIABLE.findall(sources("roles/*/defaults/*.yml", "roles/*/meta/argument_specs.yml", "playbooks/*.yml")))


@cache
def known() -> set[str]:
    """And those that roles register, and the name under which AWX keeps the summary."""
    return settable() | set(VARIABLE.findall(sources("roles/*/tasks/*.yml", "plugins/action/cluster_report.py")))


def anchors(said: str) -> set[str]:
    """What GitHub makes of headings."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", said), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def broken_links(name: str, said: str) -> list[str]:
    """Relative links of a document that lead nowhere."""
    found = []
    for link in LINK.findall(FENCE.sub("", said)):
        if re.match(r"[a-z]+:", link):
            continue
        place, _mark, anchor = link.partition("#")
        path = (ROOT / name).parent / place if place else ROOT / name
        if not path.is_file() or (anchor and anchor not in anchors(path.read_text(encoding="utf-8"))):
            found.append(link)
    return found


def quoted_messages(said: str) -> list[str]:
    """Fragments of the messages that tables quote: first cells below a header that says so, without what varies."""
    fragments = []
    quoting = False
    for line in said.splitlines():
        cell = line.strip("|").split("|")[0].strip() if line.startswith("|") else None
        if cell is None or cell in ("message", "verdict", "last sentence", "seen"):
            quoting = cell is not None
        elif quoting:
            for phrase in re.findall(r"`([^`]+)`", cell):
                fragments += [part.strip(" :.()") for part in re.split(r"…|\d+|dma\d|\bbackup:|UNREACHABLE|FAILED|DENY", phrase)]
    return [part for part in fragments if len(part) > 8]


@cache
def spoken() -> str:
    """Everything that the collection says, literals that are broken over lines made whole."""
    return re.sub(r'"\s*\n\s*f?"', "", sources("plugins/**/*.py", "plugins/**/*.ps1", "roles/*/tasks/*.yml"))


NOT_OURS = {  # said by Ansible, its connections, OpenSSH and Kerberos
    "the specified credentials were rejected by the server",
    "Connection refused",
    "certificate verify failed",
    "requires the Python gssapi library",
    "not installed",
    "Could not find a suitable TLS CA certificate bundle, invalid path",
    "ansible.windows.win_powershell was not found",
    "Server not found in Kerberos database",
    "Permission denied (publickey",
    "Host key verification failed",
    "Timeout, server",
    "not responding",
    "Connection closed by",
    "over ssh:",
}


@pytest.mark.parametrize("name", DOCS)
def test_every_example_parses(name):
    for example in examples(text(name)):
        assert isinstance(yaml.safe_load(example), dict | list), example


def test_examples_are_found():
    assert len(examples(text("docs/windows.md"))) >= 5


@pytest.mark.parametrize("name", DOCS)
def test_every_variable_exists(name):
    assert set(VARIABLE.findall(text(name))) <= known()


@pytest.mark.parametrize("name", DOCS)
def test_every_variable_that_an_example_sets_can_be_set(name):
    found = {key for example in examples(text(name)) for key in keys(yaml.safe_load(example))}
    assert {key for key in found if VARIABLE.fullmatch(key)} <= settable()


@pytest.mark.parametrize("name", DOCS)
def test_every_name_of_the_collection_exists(name):
    folders = {path.stem for pattern in ("plugins/modules/*.py", "roles/*", "playbooks/*.yml") for path in ROOT.glob(pattern)}
    folders |= {path.stem for pattern in ("plugins/modules", "plugins/action") for path in (ROOT / pattern).glob("*.py")}
    folders |= set(yaml.safe_load(text("meta/runtime.yml"))["action_groups"])
    assert {found for found in NAME.findall(text(name)) if found not in folders} == set()


@pytest.mark.parametrize("name", DOCS)
def test_every_playbook_exists(name):
    found = {first or second for first, second in PLAYBOOK.findall(text(name))}
    assert found - OWN_FILES <= {path.stem for path in (ROOT / "playbooks").glob("*.yml")}


@pytest.mark.parametrize("name", DOCS)
def test_every_relative_link_resolves(name):
    assert broken_links(name, text(name)) == []


@pytest.mark.parametrize("name", DOCS)
def test_every_make_target_exists(name):
    targets = set(re.findall(r"^([a-z][a-z-]*):", text("Makefile"), re.MULTILINE))
    assert set(TARGET.findall(text(name))) <= targets


@pytest.mark.parametrize("name", DOCS)
def test_every_quoted_message_is_said(name):
    assert [part for part in quoted_messages(text(name)) if part not in spoken() and part not in NOT_OURS] == []


@pytest.mark.parametrize("name", ["ATTRIBUTES", "READ_ONLY"])
def test_modules_that_work_on_an_agent_are_for_windows(name):
    platform = yaml.safe_load(getattr(ModuleDocFragment, name))["attributes"]["platform"]
    assert platform["platforms"] == ["windows", "posix"]
    assert "simulated" in platform["details"]


def test_what_is_wrong_is_seen():
    """The checks themselves."""
    wrong = "[a](gone.md) [b](#nowhere) [c](README.md) [d](https://example.org/x)\n\n| message |\n|---|\n| `It was never said … anywhere` |\n"
    assert broken_links("README.md", wrong) == ["gone.md", "#nowhere"]
    assert quoted_messages(wrong) == ["It was never said"]
    assert "It was never said" not in spoken()
    assert "dataminer_nonsense" not in known()
    assert examples("```yaml\na: 1\n```\n") == ["a: 1\n"]
    assert "dataminer_report_path" in settable()
    assert "dataminer_restore_prepared" in known() - settable()
