"""The two commands as typed: refusals in words, secrets unseen, JSON that is JSON."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from baton.selftest import demo, demonstration, probe


def test_probe_refuses_what_is_no_address() -> None:
    result = CliRunner().invoke(probe.command, ["ftp://o.example"])
    assert result.exit_code == 2
    assert "scheme must be http or https" in result.output


def test_probe_refuses_unknown_renditions_and_names_the_known() -> None:
    result = CliRunner().invoke(probe.command, ["https://o.example", "--renditions", "P1p"])
    assert result.exit_code == 2
    assert "P240p30fps16x9" in result.output


@pytest.mark.parametrize("content", ["", "abcd", "zz" * 32, "46" * 33])
def test_probe_refuses_a_key_file_without_showing_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key"
    file.write_text(content)
    result = CliRunner().invoke(probe.command, ["https://o.example", "--key-file", str(file)])
    assert result.exit_code == 2
    assert "does not hold a private key" in result.output
    assert not content or content not in result.output


@pytest.mark.parametrize("json_wanted", [True, False])
def test_probe_of_nobody_exits_1_with_the_reason(json_wanted: bool) -> None:  # noqa: FBT001 -- a parameter of pytest
    arguments = ["https://127.0.0.1:1", *(["--json"] if json_wanted else [])]
    result = CliRunner().invoke(probe.command, arguments)
    assert result.exit_code == 1
    if json_wanted:
        report = json.loads(result.output)
        assert report["ok"] is False
        assert [check["name"] for check in report["checks"]] == ["connection"]
    else:
        assert "no connection to 127.0.0.1:1: Connection refused" in " ".join(result.output.split())


def test_demo_of_a_missing_file_exits_1_with_the_reason(tmp_path: Path) -> None:
    result = CliRunner().invoke(demo.command, ["--video", str(tmp_path / "none.mp4"), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.output)["reason"].startswith("no such file")


def test_the_clip_is_in_the_package() -> None:
    assert 100_000 < demonstration.CLIP.stat().st_size <= 4_000_000
