"""The repository as strangers meet it: nothing of one machine, links that lead somewhere, fresh generated files."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, tracked_files

# Put together here, so that this file does not contain what it looks for.
MACHINE_WORDS = ("/" + "work/", "/" + "root/", "/" + "tmp/baton", "pypi" + ".org", "python" + "hosted")
TEXT_SUFFIXES = frozenset({".py", ".pyi", ".md", ".toml", ".lock", ".sh", ".proto", ".yml", ".yaml", ".json", ""})
FRAGMENT = re.compile(r"[a-z0-9-]+\.(added|changed|fixed|removed|security|operator)\.md")
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-node.lock", "requirements-build.lock")


def texts() -> list[tuple[Path, str]]:
    return [
        (path, path.read_text(encoding="utf-8", errors="replace"))
        for path in tracked_files()
        if path.suffix in TEXT_SUFFIXES
    ]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_no_file_speaks_of_one_machine_or_one_package_index() -> None:
    found = [f"{path.relative_to(ROOT)}: {word}" for path, text in texts() for word in MACHINE_WORDS if word in text]
    assert not found, found


@pytest.mark.parametrize("name", LOCKS)
def test_lock_pins_every_package_with_hashes_and_names_no_index(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert "index" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    assert entries
    assert all(re.match(r"[A-Za-z0-9._-]+==\S+", entry) and "--hash=sha256:" in entry for entry in entries)


def test_locks_agree_with_one_another() -> None:
    pins: dict[tuple[str, str], set[str]] = {}
    for name in LOCKS:
        for package, version, marker in re.findall(r"^(\S+?)==(\S+)(.*)\\$", (ROOT / name).read_text(), re.MULTILINE):
            pins.setdefault((package, marker.strip()), set()).add(version)
    assert {package: versions for package, versions in pins.items() if len(versions) > 1} == {}


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path, text in texts()
        if path.suffix == ".md"
        for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text)
        if "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists()
    ]
    assert not broken, broken


def test_every_document_is_reachable_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    seen: set[Path] = set()
    waiting = [index, ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in seen or path.suffix != ".md":
            continue
        seen.add(path)
        links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", path.read_text(encoding="utf-8"))
        waiting += [
            target for link in links if "://" not in link and (target := (path.parent / link).resolve()).exists()
        ]
    documents = {path for path in tracked_files() if path.suffix == ".md" and (ROOT / "docs") in path.parents}
    assert documents - seen == set()


def test_change_fragments_are_named_by_topic_and_kind() -> None:
    names = [path.name for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md"]
    assert all(FRAGMENT.fullmatch(name) for name in names), names


def test_scripts_can_be_run() -> None:
    scripts = [path for path in tracked_files() if path.parent in {ROOT / "scripts", ROOT / ".ci"}]
    not_executable = [
        path.name for path in scripts if path.read_bytes()[:2] == b"#!" and not path.stat().st_mode & 0o100
    ]
    assert scripts
    assert not not_executable
    for path in scripts:
        if path.read_bytes().startswith(b"#!/usr/bin/env bash"):
            done = run("bash", "-n", str(path))
            assert done.returncode == 0, done.stderr


def test_generated_message_classes_are_fresh(tmp_path: Path) -> None:
    options = [f"-I{ROOT / 'proto' / 'net'}", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", "lp_rpc.proto"]
    done = run(sys.executable, "-m", "grpc_tools.protoc", *options)
    assert done.returncode == 0, done.stderr
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made
    for folder in (ROOT / "src" / "baton" / "wire" / "pb", ROOT / "tests" / "peer" / "pb"):
        kept = {path.name: path.read_text() for path in folder.glob("lp_rpc_pb2.py*")}
        assert kept == made, f"run scripts/proto: {folder} is stale"


@pytest.mark.parametrize("script", ["docs.py", "licences.py"])
def test_generated_documents_are_fresh(script: str) -> None:
    done = run(sys.executable, f"scripts/{script}", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_troubleshooting_quotes_log_events_that_exist() -> None:
    text = (ROOT / "docs" / "guide" / "troubleshooting.md").read_text(encoding="utf-8")
    passages = re.findall(r"[Ll]og (?:line )?((?:`[^`]+`(?:,\s+| and )?)+)", text)
    quoted = {" ".join(event.split()) for passage in passages for event in re.findall(r"`([^`]+)`", passage)}
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "baton").rglob("*.py"))
    assert quoted
    assert {event for event in quoted if f'"{event}"' not in source} == set()


def test_map_names_every_room_and_only_files_that_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "baton"
    rooms = {path.name for path in package.iterdir() if (path / "__init__.py").is_file()}
    mapped = set(re.findall(r"^  ([a-z_]+)/ ", text, re.MULTILINE))
    assert mapped == rooms
    named = set(re.findall(r"`([a-z_]+(?:/[a-z0-9_]+)+\.py)`", text))
    assert named
    assert {name for name in named if not (package / name).is_file() and not (ROOT / name).is_file()} == set()
