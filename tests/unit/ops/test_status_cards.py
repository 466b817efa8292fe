"""Cards in the status answer and in its table: every number with its unit, words of the driver made harmless."""

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from baton.ops.commands.status import render
from tests.support import run

from .rig import Rig


async def answer_of(rig: Rig) -> dict[str, Any]:
    async with rig.running() as client:
        document: dict[str, Any] = (await client.get("/baton/status")).json()
        return document


def table(answer: dict[str, Any]) -> list[str]:
    text = io.StringIO()
    render(answer, Console(file=text, width=160, highlight=False, markup=False, emoji=False))
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    return lines[lines.index("cards") :] if "cards" in lines else []


def test_cards_are_in_the_answer_with_harmless_words(tmp_path: Path) -> None:
    first, second = run(answer_of(Rig(tmp_path)))["cards"]
    assert first == {
        "device": "nvidia-0",
        "name": "NVIDIA L4",
        "uuid": "GPU-0",
        "state": "ok",
        "reason": "",
        "memory_used_bytes": 1 << 30,
        "memory_bytes": 24 << 30,
        "gpu_percent": 37,
        "encoder_percent": 61,
        "decoder_percent": 12,
        "temperature_c": 54,
        "encoder_sessions": 4,
        "throttled": False,
    }
    assert (second["name"], second["reason"]) == ("evil\\x1b[2J", "GPU is lost\\n")
    assert second["temperature_c"] is second["throttled"] is None


def test_cards_are_a_table_with_units(tmp_path: Path) -> None:
    _, head, first, second, *_ = table(run(answer_of(Rig(tmp_path))))
    assert head.split() == [
        *("device", "name", "state", "memory", "gpu", "encoder", "decoder", "encodes", "heat", "throttled")
    ]
    for word in ("nvidia-0", "NVIDIA L4", "ok", "1.0 GiB of 24.0 GiB", "37%", "61%", "12%", " 4 ", "54 C", "no"):
        assert word in first, word
    assert second.split() == ["nvidia-1", "evil\\x1b[2J", "lost:", "GPU", "is", "lost\\n"]


def test_node_without_cards_has_no_such_table(tmp_path: Path) -> None:
    assert table({**run(answer_of(Rig(tmp_path))), "cards": []}) == []


def test_answer_of_another_version_breaks_no_table() -> None:
    assert table({"cards": [{"device": 7, "memory_bytes": "much", "gpu_percent": None}, "x"]})[2].split() == ["7"]
    assert table({"cards": "none"}) == []
