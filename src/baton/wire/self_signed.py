"""The self-signed certificate of a node that has none of its operator's (video.md 1.3).

Peers of the network verify nothing, so the pair only has to exist; keeping it over restarts lets operators pin it.
Fields are the reference's: ECDSA P-256, no subject, one dNSName even for an address, a CA that serves.
"""

import os
import secrets
import stat
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from baton.kernel.errors import ExitCode, StartError

__all__ = ["CERTIFICATE_FILE", "PRIVATE_KEY_FILE", "ensure_pair"]

CERTIFICATE_FILE: Final = "cert.pem"
PRIVATE_KEY_FILE: Final = "key.pem"

_VALIDITY: Final = timedelta(hours=8765)
_RENEW_BEFORE: Final = timedelta(days=30)
_SERIAL_BITS: Final = 128
_OWNER_ONLY: Final = 0o600
_NAMELESS: Final = "localhost"
"""The name for a node without a service address: an empty one is malformed, and some parsers refuse the certificate."""


def ensure_pair(directory: Path, *, host: str, now_s: float) -> bool:
    """See that ``directory`` holds a usable pair for ``host`` at Unix time ``now_s``; whether one had to be made.

    ``host`` is empty on a node without a service address.

    A pair is made anew when it is missing, unreadable, does not belong together, names another host, or has less
    than 30 days left.

    Raises:
        StartError: the directory cannot be written.
    """
    now = datetime.fromtimestamp(now_s, UTC)
    certificate_file, key_file = directory / CERTIFICATE_FILE, directory / PRIVATE_KEY_FILE
    try:
        if _usable(certificate_file, key_file, host=host, now=now):
            if stat.S_IMODE(key_file.stat().st_mode) & ~_OWNER_ONLY:
                key_file.chmod(_OWNER_ONLY)
            return False
        certificate, key = _make_pair(host, now)
        # The key first: a crash in between leaves a pair that does not match, which is made anew.
        _write(key_file, key)
        _write(certificate_file, certificate)
    except OSError as error:
        message = f"cannot keep a certificate in {directory}: {error}"
        raise StartError(message, exit_code=ExitCode.DATA_DIR) from error
    return True


def _usable(certificate_file: Path, key_file: Path, *, host: str, now: datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        belongs = certificate.public_key() == key.public_key()
    except FileNotFoundError:
        return False
    except (ValueError, TypeError, x509.ExtensionNotFound):
        # Damaged, encrypted, or somebody else's: ours is made anew.
        return False
    in_time = certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - _RENEW_BEFORE
    return belongs and in_time and names.get_values_for_type(x509.DNSName) == [_dns_name(host)]


def _make_pair(host: str, now: datetime) -> tuple[bytes, bytes]:
    """Certificate and private key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    nobody = x509.Name([])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(nobody)
        .issuer_name(nobody)
        .serial_number(secrets.randbits(_SERIAL_BITS) or 1)
        .not_valid_before(now)
        .not_valid_after(now + _VALIDITY)
        .public_key(key.public_key())
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        # Without a subject the alternative name is all there is, and must be understood (RFC 5280 4.2.1.6).
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_dns_name(host))]), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        ),
    )


def _dns_name(host: str) -> str:
    """The host as a certificate can carry it: international names in their ASCII form, addresses as they stand."""
    if host.isascii():
        return host or _NAMELESS
    return host.encode("idna").decode("ascii")


def _write(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` whole or not at all, readable by the owner only from the first byte on."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
