"""POST policies: leave to write below one prefix of a bucket for a day, without the bucket's keys (video.md 6.3).

The owner writes the conditions as JSON and signs their base64; whoever holds both may post a form that meets them.
S3 signs with an HMAC chain (AWS signature version 4), Google with RSA PKCS #1 v1.5 over SHA-256. Pure but for reading a
key file.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from baton.config.stores import GoogleAddress, S3Address
from baton.jobs.messages import ObjectStoreKind, ObjectStoreOffer
from baton.kernel.errors import ExitCode, StartError

__all__ = ["ACL", "MAX_OBJECT_BYTES", "POLICY_LIFETIME_S", "GoogleAccount", "S3Account", "StoreAccount", "s3_signature"]

POLICY_LIFETIME_S = 24 * 3600
"""How long a policy is good for."""

MAX_OBJECT_BYTES = 1_000_000_000
"""Largest object a policy allows: as large as a rendition may be (video.md 4.5)."""

ACL = "public-read"
"""Everybody may read what is written: gateways fetch renditions by a plain URL."""

_LARGEST_KEY_FILE_BYTES = 1 << 16


class StoreAccount(Protocol):
    """The owner of a bucket, as far as policies are concerned."""

    @property
    def host(self) -> str:
        """The URL of the bucket."""
        ...

    def offer(self, session_id: str, *, unix_now: float) -> ObjectStoreOffer:
        """Leave to write objects of one session for ``POLICY_LIFETIME_S``. Takes up to milliseconds."""
        ...


@dataclass(frozen=True, slots=True)
class S3Account:
    """An S3 bucket with our own credentials. Satisfies ``StoreAccount``."""

    address: S3Address

    @property
    def host(self) -> str:
        """The URL of the bucket."""
        return self.address.host

    def offer(self, session_id: str, *, unix_now: float) -> ObjectStoreOffer:
        """Leave to write below ``<prefix>/<session>/``."""
        address = self.address
        day = datetime.fromtimestamp(unix_now, UTC).strftime("%Y%m%d")
        credential = f"{address.access_key}/{day}/{address.region}/s3/aws4_request"
        amz_date = f"{day}T000000Z"
        folder = _folder(address.prefix, session_id)
        policy = _policy(
            bucket=address.bucket,
            folder=folder,
            unix_now=unix_now,
            further={"x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-credential": credential, "x-amz-date": amz_date},
        )
        return ObjectStoreOffer(
            kind=ObjectStoreKind.S3,
            host=address.host,
            key_prefix=folder,
            policy=policy,
            signature=s3_signature(address.secret_key, day=day, region=address.region, policy=policy),
            credential=credential,
            amz_date=amz_date,
        )


class GoogleAccount:
    """A bucket of Google's store with a service account's key. Satisfies ``StoreAccount``."""

    def __init__(self, address: GoogleAddress, *, email: str, key: rsa.RSAPrivateKey, host: str = "") -> None:
        """``host`` replaces the bucket's URL, for stores that speak the same and live elsewhere."""
        self._address = address
        self._email = email
        self._key = key
        self._host = host or address.host

    @classmethod
    def load(cls, address: GoogleAddress) -> "GoogleAccount":
        """Read the account's key; blocking.

        Raises:
            StartError: ``ExitCode.CONFIG``; no such file, or not the key of a service account. Says nothing about what
                is in it.
        """
        where = address.key_file or "key in --object-store"
        try:
            text = _read_key_file(Path(address.key_file)) if address.key_file else address.key_json.encode()
            document = json.loads(text)
            email, pem = document["client_email"], document["private_key"]
            key = serialization.load_pem_private_key(pem.encode(), password=None)
        except OSError as error:
            message = f"--object-store: {where}: {error.strerror}"
            raise StartError(message, exit_code=ExitCode.CONFIG) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UnsupportedAlgorithm):
            # Parsers quote what they failed on, so their words and the cause stay here.
            key, email = None, ""
        if not isinstance(key, rsa.RSAPrivateKey) or not isinstance(email, str) or not email:
            message = f"--object-store: {where}: not the JSON key of a service account (client_email, private_key)"
            raise StartError(message, exit_code=ExitCode.CONFIG)
        return cls(address, email=email, key=key)

    @property
    def host(self) -> str:
        """The URL of the bucket."""
        return self._host

    def offer(self, session_id: str, *, unix_now: float) -> ObjectStoreOffer:
        """Leave to write below ``<prefix>/<session>/``."""
        folder = _folder(self._address.prefix, session_id)
        policy = _policy(bucket=self._address.bucket, folder=folder, unix_now=unix_now, further={})
        signature = self._key.sign(policy.encode("ascii"), padding.PKCS1v15(), hashes.SHA256())
        return ObjectStoreOffer(
            kind=ObjectStoreKind.GOOGLE,
            host=self._host,
            key_prefix=folder,
            policy=policy,
            signature=base64.b64encode(signature).decode("ascii"),
            credential=self._email,
        )


def s3_signature(secret_key: str, *, day: str, region: str, policy: str) -> str:
    """Hex signature of a base64 policy; ``day`` is ``yyyymmdd``."""
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return hmac.digest(key, policy.encode("ascii"), hashlib.sha256).hex()


def _folder(prefix: str, session_id: str) -> str:
    return f"{prefix}/{session_id}" if prefix else session_id


def _policy(*, bucket: str, folder: str, unix_now: float, further: dict[str, str]) -> str:
    """Base64 of the conditions. The key's condition holds the whole prefix: the reference leaves ours out."""
    expires = datetime.fromtimestamp(unix_now, UTC) + timedelta(seconds=POLICY_LIFETIME_S)
    conditions: list[Any] = [
        {"bucket": bucket},
        {"acl": ACL},
        ["starts-with", "$Content-Type", ""],
        # With the slash, so that a session whose id begins like another's cannot write there.
        ["starts-with", "$key", f"{folder}/"],
        ["content-length-range", 0, MAX_OBJECT_BYTES],
        *({name: value} for name, value in further.items()),
    ]
    document = {
        "expiration": expires.strftime("%Y-%m-%dT%H:%M:%S.") + f"{expires.microsecond // 1000:03d}Z",
        "conditions": conditions,
    }
    return base64.b64encode(json.dumps(document).encode()).decode("ascii")


def _read_key_file(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_LARGEST_KEY_FILE_BYTES)
