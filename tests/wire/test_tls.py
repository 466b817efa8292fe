"""Certificates: the self-signed pair and its life, the operator's own and its replacement, and what handshakes get."""

import asyncio
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from baton.kernel.clock import ManualClock
from baton.kernel.errors import ConfigError, ExitCode, StartError
from baton.wire.self_signed import ensure_pair
from baton.wire.tls import CertificateSource
from tests.support import eventually, run
from tests.wire.port import HOST, Playground, served, trusting

NOW = 1_700_000_000.0
DAY_S = 86_400.0


def certificate(directory: Path) -> x509.Certificate:
    """The certificate that a directory holds."""
    return x509.load_pem_x509_certificate((directory / "cert.pem").read_bytes())


def write_pair(directory: Path, name: str, *, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    """An operator's pair with a subject of its own, replaced file by file as certificate tools do."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .public_key(key.public_key())
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for path, content in (("key.pem", pem), ("cert.pem", made.public_bytes(serialization.Encoding.PEM))):
        fresh = directory / f"new-{path}"
        fresh.write_bytes(content)
        fresh.replace(directory / path)


def from_files(directory: Path, poll_s: float = 0.02) -> CertificateSource:
    """The source of the pair in ``directory``."""
    return CertificateSource.from_files(directory / "cert.pem", directory / "key.pem", poll_s=poll_s)


async def served_name(port: int) -> str:
    """Whose certificate a new connection gets, asked without naming a server."""
    _, writer = await asyncio.open_connection(HOST, port, ssl=trusting())
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return str(x509.load_der_x509_certificate(der).subject.rfc4514_string())


@pytest.mark.parametrize("host", ["node.example", "203.0.113.7"])
def test_fields_of_the_self_signed_certificate(tmp_path: Path, host: str) -> None:
    assert ensure_pair(tmp_path, host=host, now_s=NOW)
    made = certificate(tmp_path)
    assert list(made.subject) == []
    assert list(made.issuer) == []
    assert 0 < made.serial_number < 1 << 128
    assert made.not_valid_before_utc.timestamp() == NOW
    assert made.not_valid_after_utc - made.not_valid_before_utc == timedelta(hours=8765)
    key = made.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert isinstance(made.signature_hash_algorithm, hashes.SHA256)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName(host)]
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.key_cert_sign
    assert not usage.key_encipherment
    extended = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.SERVER_AUTH]
    constraints = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.value.ca
    made.verify_directly_issued_by(made)


def test_files_are_pem_of_the_reference_and_private(tmp_path: Path) -> None:
    ensure_pair(tmp_path, host="node", now_s=NOW)
    assert (tmp_path / "cert.pem").read_text().startswith("-----BEGIN CERTIFICATE-----\n")
    assert (tmp_path / "key.pem").read_text().startswith("-----BEGIN EC PRIVATE KEY-----\n")
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cert.pem", "key.pem"]


def test_pair_survives_restarts_until_it_is_nearly_over(tmp_path: Path) -> None:
    ensure_pair(tmp_path, host="node", now_s=NOW)
    first = certificate(tmp_path)
    validity_s = timedelta(hours=8765).total_seconds()
    assert not ensure_pair(tmp_path, host="node", now_s=NOW)
    assert not ensure_pair(tmp_path, host="node", now_s=NOW + validity_s - 30 * DAY_S - 1)
    assert certificate(tmp_path) == first
    assert ensure_pair(tmp_path, host="node", now_s=NOW + validity_s - 30 * DAY_S)
    assert certificate(tmp_path).serial_number != first.serial_number


def test_clock_that_went_back_makes_a_new_pair(tmp_path: Path) -> None:
    ensure_pair(tmp_path, host="node", now_s=NOW)
    assert ensure_pair(tmp_path, host="node", now_s=NOW - DAY_S)


def test_other_host_makes_a_new_pair(tmp_path: Path) -> None:
    ensure_pair(tmp_path, host="old.example", now_s=NOW)
    assert ensure_pair(tmp_path, host="new.example", now_s=NOW)


def damage_nothing_left(directory: Path) -> None:
    (directory / "key.pem").unlink()


def damage_garbage(directory: Path) -> None:
    (directory / "cert.pem").write_bytes(b"\x00garbage")


def damage_other_key(directory: Path) -> None:
    other = directory / "other"
    other.mkdir()
    ensure_pair(other, host="node", now_s=NOW)
    (other / "key.pem").replace(directory / "key.pem")


def damage_truncated_key(directory: Path) -> None:
    (directory / "key.pem").write_bytes((directory / "key.pem").read_bytes()[:60])


@pytest.mark.parametrize("damage", [damage_nothing_left, damage_garbage, damage_other_key, damage_truncated_key])
def test_damaged_pair_is_made_anew(tmp_path: Path, damage: object) -> None:
    ensure_pair(tmp_path, host="node", now_s=NOW)
    assert callable(damage)
    damage(tmp_path)
    assert ensure_pair(tmp_path, host="node", now_s=NOW)
    assert not ensure_pair(tmp_path, host="node", now_s=NOW)


def test_key_that_others_can_read_is_closed(tmp_path: Path) -> None:
    ensure_pair(tmp_path, host="node", now_s=NOW)
    (tmp_path / "key.pem").chmod(0o644)
    assert not ensure_pair(tmp_path, host="node", now_s=NOW)
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600


def test_directory_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError) as caught:
        CertificateSource.self_signed(tmp_path / "nowhere", host="node", clock=ManualClock())
    assert caught.value.exit_code is ExitCode.DATA_DIR


def test_context_offers_both_protocols_and_no_old_tls(tmp_path: Path) -> None:
    source = CertificateSource.self_signed(tmp_path, host="node", clock=ManualClock())
    assert source.context.minimum_version == ssl.TLSVersion.TLSv1_2

    async def main() -> None:
        async with served(Playground(), tls=source.context) as port:
            for offered, chosen in (
                (["h2", "http/1.1"], "h2"),
                (["http/1.1", "h2"], "h2"),
                (["http/1.1"], "http/1.1"),
                (["h3"], None),
            ):
                context = trusting()
                context.set_alpn_protocols(offered)
                _, writer = await asyncio.open_connection(HOST, port.port, ssl=context)
                assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == chosen
                writer.close()
                await writer.wait_closed()

    run(main())


def test_self_signed_pair_is_renewed_while_the_node_runs(tmp_path: Path) -> None:
    clock = ManualClock(now=NOW)
    source = CertificateSource.self_signed(tmp_path, host="node", clock=clock)
    first = certificate(tmp_path).serial_number

    async def main() -> None:
        assert not await source.refresh()
        clock.advance(timedelta(hours=8765).total_seconds() - DAY_S)
        assert await source.refresh()

    run(main())
    assert certificate(tmp_path).serial_number != first


def test_new_files_serve_new_connections_and_leave_old_ones_alone(tmp_path: Path) -> None:
    write_pair(tmp_path, "first", key=ec.generate_private_key(ec.SECP256R1()))
    source = from_files(tmp_path)

    async def main() -> None:
        async with served(Playground(), tls=source.context) as port, asyncio.TaskGroup() as group:
            watching = group.create_task(source.run())
            reader, writer = await asyncio.open_connection(HOST, port.port, ssl=trusting())
            assert await served_name(port.port) == "CN=first"
            # Another kind of key, so that nothing of the old context can be left.
            write_pair(tmp_path, "second", key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
            async with asyncio.timeout(5):
                while await served_name(port.port) != "CN=second":
                    pass  # each look is a handshake, which waits by itself
            writer.write(b"GET /hello HTTP/1.1\r\nhost: node\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
            watching.cancel()

    run(main())


def test_broken_new_file_keeps_the_old_one_and_is_logged_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_pair(tmp_path, "good", key=ec.generate_private_key(ec.SECP256R1()))
    source = from_files(tmp_path)

    async def main() -> None:
        async with served(Playground(), tls=source.context) as port:
            (tmp_path / "cert.pem").write_text("not a certificate")
            for _ in range(5):
                assert not await source.refresh()
            assert await served_name(port.port) == "CN=good"
            (tmp_path / "cert.pem").unlink()
            for _ in range(5):
                assert not await source.refresh()
            assert await served_name(port.port) == "CN=good"
            write_pair(tmp_path, "better", key=ec.generate_private_key(ec.SECP256R1()))
            assert await source.refresh()
            assert await served_name(port.port) == "CN=better"

    run(main())
    output = capfd.readouterr()
    assert (output.out + output.err).count("new certificate cannot be used") == 2


def test_watch_is_a_service(tmp_path: Path) -> None:
    write_pair(tmp_path, "first", key=ec.generate_private_key(ec.SECP256R1()))
    source = from_files(tmp_path, poll_s=0.01)

    async def main() -> None:
        watching = asyncio.create_task(source.run())
        before = source._current
        write_pair(tmp_path, "second", key=ec.generate_private_key(ec.SECP256R1()))
        await eventually(lambda: source._current is not before, what="the new certificate")
        watching.cancel()
        await asyncio.wait((watching,))
        assert watching.cancelled()

    run(main())


def test_encrypted_key_is_an_error_and_no_question_on_the_terminal(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    write_pair(tmp_path, "sealed", key=key)
    sealed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"),
    )
    (tmp_path / "key.pem").write_bytes(sealed)
    with pytest.raises(ConfigError, match=r"cert\.pem"):
        from_files(tmp_path)


def test_files_that_do_not_belong_together_are_a_configuration_error(tmp_path: Path) -> None:
    write_pair(tmp_path, "one", key=ec.generate_private_key(ec.SECP256R1()))
    ensure_pair(tmp_path.joinpath("other").absolute().parent, host="node", now_s=NOW)
    key = (tmp_path / "key.pem").read_bytes()
    write_pair(tmp_path, "two", key=ec.generate_private_key(ec.SECP256R1()))
    (tmp_path / "key.pem").write_bytes(key)
    with pytest.raises(ConfigError, match=r"key\.pem"):
        from_files(tmp_path)
    with pytest.raises(ConfigError):
        CertificateSource.from_files(tmp_path / "none.pem", tmp_path / "key.pem")
