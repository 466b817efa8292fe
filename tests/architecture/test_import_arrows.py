"""Who may import whom. A new arrow is a decision: change the table here together with an ADR."""

import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from tests.architecture.source import ROOT, Module, modules

EVERYTHING = ("baton",)

ALLOWED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # Foundation.
        "kernel": (),
        "config": ("baton.kernel",),
        "node": ("baton.kernel",),
        # Below the domains: processes with codecs, devices.
        "media": ("baton.kernel",),
        "devices": ("baton.kernel",),
        # Domains, strangers to one another. What an engine is asked and answers is a plain value of media.
        "payments": ("baton.kernel", "baton.config.model"),
        "video": ("baton.kernel", "baton.config.model", "baton.media.job"),
        "ai": ("baton.kernel", "baton.config.model", "baton.media.job"),
        "live": ("baton.kernel", "baton.config.model"),
        # Use cases: the only place where domains meet.
        "jobs": ("baton.kernel", "baton.payments", "baton.video", "baton.ai", "baton.live", "baton.media.job"),
        # Adapters: ports and frozen types of those they serve.
        "chain": (
            "baton.kernel",
            "baton.config",
            "baton.payments.ports",
            "baton.payments.ticket",
            "baton.payments.facevalue",
        ),
        "storage": (
            "baton.kernel",
            "baton.config",
            "baton.jobs.ports",
            "baton.jobs.messages",
            "baton.jobs.tokens",
            "baton.payments.ports",
            "baton.payments.ticket",
            "baton.media.job",
            "baton.video.job",
        ),
        "fleet": ("baton.kernel", "baton.media.job", "baton.video.job"),
        # Outer edge.
        "wire": ("baton.kernel", "baton.jobs", "baton.media.job", "baton.video.job"),
        "ops": ("baton.kernel", "baton.config", "baton.node", "baton.app", "baton.selftest", "baton.devnet"),
        # Talks to a node from outside. It shares only the words of the wire with it.
        "selftest": (
            "baton.kernel",
            "baton.wire.codec",
            "baton.wire.pb",
            "baton.jobs.messages",
            "baton.media.job",
        ),
        "devnet": ("baton.kernel",),
        # The composition root, and the door to the command line.
        "app": EVERYTHING,
        "__main__": ("baton.ops",),
        "__init__": (),
    }
)
"""For each room the modules, with all below them, that it may import beside its own."""


def room_of(module_name: str) -> str:
    """The first part below the package."""
    return module_name.split(".")[1] if "." in module_name else "__init__"


def is_below(target: str, allowed: str) -> bool:
    return target == allowed or target.startswith(allowed + ".")


def broken_arrows(module: Module) -> list[str]:
    """Imports of the module that the table does not allow."""
    room = room_of(module.name)
    allowed = (*ALLOWED[room], f"baton.{room}", "baton.__version__")
    return [
        f"{module.where}:{arrow.line} {room} imports {arrow.target}"
        for arrow in module.imports
        if is_below(arrow.target, "baton") and not any(is_below(arrow.target, item) for item in allowed)
    ]


def test_every_room_has_a_row() -> None:
    assert {room_of(module.name) for module in modules("src/baton")} - set(ALLOWED) == set()


def test_no_arrow_beside_the_table() -> None:
    broken = [line for module in modules("src/baton") for line in broken_arrows(module)]
    assert not broken, "\n".join(broken)


def test_the_peer_of_the_tests_knows_nothing_of_baton() -> None:
    found = [
        f"{module.where}:{arrow.line}"
        for module in modules("tests/peer")
        for arrow in module.imports
        if is_below(arrow.target, "baton")
        or (is_below(arrow.target, "tests") and not is_below(arrow.target, "tests.peer"))
    ]
    assert modules("tests/peer")
    assert not found, "a client that shares code with the node is wrong together with it: " + ", ".join(found)


def test_codecs_are_imported_by_child_processes_only() -> None:
    found = [
        f"{module.where}:{arrow.line}"
        for module in modules("src/baton")
        for arrow in module.imports
        if is_below(arrow.target, "av")
        and not is_below(module.name, "baton.media.engine")
        and not (is_below(module.name, "baton.selftest") and arrow.deferred)
    ]
    assert not found, found


def test_engine_code_is_reached_over_its_pipe_only() -> None:
    found = [
        f"{module.where}:{arrow.line}"
        for module in modules("src/baton")
        for arrow in module.imports
        if is_below(arrow.target, "baton.media.engine") and not is_below(module.name, "baton.media.engine")
    ]
    assert not found, found


def test_the_library_that_lifts_the_recursion_limit_is_loaded_where_it_is_put_back() -> None:
    found = [
        f"{module.where}:{arrow.line}"
        for module in modules("src/baton")
        for arrow in module.imports
        if arrow.target.partition(".")[0] in {"eth_account", "eth_keys", "eth_keyfile", "py_ecc"}
        and module.name != "baton.chain.signer"
    ]
    assert not found, found


def test_importing_the_whole_node_loads_no_codec_and_lifts_no_guard() -> None:
    names = [
        module.name
        for module in modules("src/baton")
        if not is_below(module.name, "baton.media.engine")
        and module.name != "baton.__main__"
        and not module.name.endswith("_child")
    ]
    # With a lifted recursion limit, nested JSON of a stranger is a segmentation fault instead of an exception.
    code = (
        "import importlib, sys\n"
        "limit = sys.getrecursionlimit()\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "assert 'av' not in sys.modules\n"
        "assert sys.getrecursionlimit() == limit\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("room", ["payments", "video", "ai", "live"])
def test_table_keeps_domains_strangers(room: str) -> None:
    others = {"payments", "video", "ai", "live"} - {room}
    assert not any(is_below(item, f"baton.{other}") for item in ALLOWED[room] for other in others)


def test_a_new_arrow_would_be_found() -> None:
    # The test above must be able to fail: kernel importing anything is the plainest wrong arrow.
    module = next(module for module in modules("src/baton") if module.name == "baton.jobs.ports")
    as_kernel = Module(
        path=module.path, name="baton.kernel.x", tree=module.tree, lines=module.lines, imports=module.imports
    )
    assert any("kernel imports baton.jobs" in line for line in broken_arrows(as_kernel))
