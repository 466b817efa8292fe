"""A strict object store on loopback: buckets that take POST policies, written from the rules its vendors publish.

It shares no code with the node. A form must come with its length, hold its fields before the file and the file last;
every field must be covered by a condition of the policy, every condition must hold, the policy must not have run out,
and the signature must be the owner's: AWS signature version 4, or RSA for Google's store. What was stored can be read
by everybody.
"""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

__all__ = ["ACCESS_KEY", "SECRET_KEY", "Bucket", "RefusalError", "sign_s3", "strict_bucket"]

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"
_UNCHECKED = {"policy", "x-amz-signature", "signature", "GoogleAccessId", "file"}
_S3_FIELDS = {"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"}


class RefusalError(Exception):
    """The store does not take a form."""


def sign_s3(secret: str, day: str, region: str, policy: str) -> str:
    """The vendor's chain of keys, spelled out."""
    date_key = hmac.new(("AWS4" + secret).encode(), day.encode(), hashlib.sha256).digest()
    region_key = hmac.new(date_key, region.encode(), hashlib.sha256).digest()
    service_key = hmac.new(region_key, b"s3", hashlib.sha256).digest()
    signing_key = hmac.new(service_key, b"aws4_request", hashlib.sha256).digest()
    return hmac.new(signing_key, policy.encode(), hashlib.sha256).hexdigest()


@dataclass
class Bucket:
    """One bucket, its owner's credentials and what is in it. ``google_key`` makes it one of Google's."""

    name: str
    google_key: rsa.RSAPrivateKey | None = None
    url: str = ""
    """URL of the bucket, its name as the path."""
    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    """Bytes and content type by key."""
    refusals: list[str] = field(default_factory=list)
    orders: list[tuple[str, ...]] = field(default_factory=list)
    """Names of the fields of every form, in the order in which they came."""
    scripted: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    """Answers (status, headers, body) to give to the next posts instead of taking them."""
    email: str = "orchestrator@project.iam.gserviceaccount.com"

    @property
    def key_file(self) -> str:
        """The JSON of the service account that owns a Google bucket."""
        assert self.google_key is not None
        pem = self.google_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return json.dumps({"type": "service_account", "client_email": self.email, "private_key": pem.decode()})

    def lend(self, prefix: str, *, expires: str = "2999-01-01T00:00:00.000Z") -> dict[str, str]:
        """What a gateway that owns the bucket says in an OSInfo: the fields of ``S3OSInfo`` by name."""
        day = datetime.now(UTC).strftime("%Y%m%d")
        credential = f"{ACCESS_KEY}/{day}/{REGION}/s3/aws4_request"
        amz_date = f"{day}T000000Z"
        conditions: list[object] = [
            {"bucket": self.name},
            {"acl": "public-read"},
            ["starts-with", "$Content-Type", ""],
            ["starts-with", "$key", prefix],
        ]
        if self.google_key is None:
            conditions += [
                {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
                {"x-amz-credential": credential},
                {"x-amz-date": amz_date},
            ]
        document = json.dumps({"expiration": expires, "conditions": conditions})
        policy = base64.b64encode(document.encode()).decode()
        lent = {"host": self.url, "key": prefix, "policy": policy}
        if self.google_key is None:
            signature = sign_s3(SECRET_KEY, day, REGION, policy)
            return {**lent, "signature": signature, "credential": credential, "xAmzDate": amz_date}
        signed = self.google_key.sign(policy.encode(), padding.PKCS1v15(), hashes.SHA256())
        return {**lent, "signature": base64.b64encode(signed).decode(), "credential": self.email}

    def take(self, path: str, content_type: str, body: bytes) -> None:
        """Store what a form holds, or raise ``RefusalError``."""
        if path.strip("/") != self.name:
            message = "NoSuchBucket"
            raise RefusalError(message)
        fields, file_name, content = _read_form(content_type, body)
        self.orders.append((*fields, "file"))
        self._check_signature(fields)
        key = fields["key"].replace("${filename}", file_name)
        _check_policy(self.name, fields, key=key, size=len(content))
        self.objects[key] = (content, fields["Content-Type"])

    def _check_signature(self, fields: dict[str, str]) -> None:
        message = "SignatureDoesNotMatch"
        if self.google_key is not None:
            _require(set(fields) >= {"GoogleAccessId", "signature", "policy", "key"}, "MissingFields")
            _require(fields["GoogleAccessId"] == self.email and not _S3_FIELDS & set(fields), "InvalidAccessKeyId")
            try:
                self.google_key.public_key().verify(
                    base64.b64decode(fields["signature"]),
                    fields["policy"].encode(),
                    padding.PKCS1v15(),
                    hashes.SHA256(),
                )
            except InvalidSignature:
                raise RefusalError(message) from None
            return
        _require(set(fields) >= {*_S3_FIELDS, "policy", "key"}, "MissingFields")
        access_key, day, region, *rest = fields["x-amz-credential"].split("/")
        _require(access_key == ACCESS_KEY, "InvalidAccessKeyId")
        _require((region, rest) == (REGION, ["s3", "aws4_request"]), "AuthorizationHeaderMalformed")
        _require(fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256", "InvalidAlgorithm")
        _require(fields["x-amz-date"].startswith(day + "T"), "InvalidDate")
        _require(fields["x-amz-signature"] == sign_s3(SECRET_KEY, day, region, fields["policy"]), message)


def _require(fact: bool, message: str) -> None:  # noqa: FBT001 -- reads as the sentence it is
    if not fact:
        raise RefusalError(message)


def _check_policy(bucket: str, fields: dict[str, str], *, key: str, size: int) -> None:
    document = json.loads(base64.b64decode(fields["policy"], validate=True))
    _require(set(document) == {"expiration", "conditions"}, "InvalidPolicyDocument")
    expires = datetime.strptime(document["expiration"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    _require(expires > datetime.now(UTC), "AccessDenied: Policy expired")
    values = {**fields, "bucket": bucket, "key": key}
    covered = {"bucket"}
    for condition in document["conditions"]:
        if isinstance(condition, dict):
            ((name, wanted),) = condition.items()
            _require(values.get(name) == wanted, f"AccessDenied: condition failed: eq {name}")
        elif condition[0] == "content-length-range":
            _require(condition[1] <= size <= condition[2], "EntityTooLarge")
            continue
        else:
            operator, name, wanted = condition
            name = name.removeprefix("$")
            _require(operator == "starts-with", "InvalidPolicyDocument")
            _require(values.get(name, "").startswith(wanted), f"AccessDenied: condition failed: starts-with {name}")
        covered.add(name)
    extra = set(fields) - covered - _UNCHECKED
    _require(not extra, f"AccessDenied: extra input fields: {sorted(extra)}")


def _read_form(content_type: str, body: bytes) -> tuple[dict[str, str], str, bytes]:
    """Fields in order, file name and file of a form; the file must be its last part."""
    kind, _, boundary = content_type.partition("; boundary=")
    _require(kind == "multipart/form-data" and 0 < len(boundary) <= 70, "MalformedPOSTRequest: no boundary")
    mark = b"--" + boundary.encode()
    _require(body.startswith(mark + b"\r\n") and body.endswith(b"\r\n" + mark + b"--\r\n"), "MalformedPOSTRequest")
    fields: dict[str, str] = {}
    parts = body.removesuffix(mark + b"--\r\n").split(mark + b"\r\n")[1:]
    for number, part in enumerate(parts):
        head, gap, content = part.partition(b"\r\n\r\n")
        _require(bool(gap) and content.endswith(b"\r\n"), "MalformedPOSTRequest: part")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        disposition = dict(
            item.split("=", 1) for item in headers["Content-Disposition"].removeprefix("form-data; ").split("; ")
        )
        name = disposition["name"].strip('"')
        if name == "file":
            _require(number == len(parts) - 1, "InvalidArgument: file must be the last field")
            return fields, disposition["filename"].strip('"'), content.removesuffix(b"\r\n")
        _require(name not in fields, "InvalidArgument: field twice")
        fields[name] = content.removesuffix(b"\r\n").decode()
    message = "InvalidArgument: no file"
    raise RefusalError(message)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_POST(self) -> None:
        bucket = self.server.bucket
        length = self.headers.get("Content-Length")
        if length is None:
            self._answer(411, {"Connection": "close"}, b"MissingContentLength")
            return
        body = self.rfile.read(int(length))
        with self.server.lock:
            if bucket.scripted:
                self._answer(*bucket.scripted.pop(0))
                return
            try:
                bucket.take(self.path, self.headers.get("Content-Type", ""), body)
            except RefusalError as refusal:
                bucket.refusals.append(str(refusal))
                self._answer(403, {}, f"<Error><Code>{refusal}</Code></Error>".encode())
                return
        self._answer(204, {}, b"")

    def do_GET(self) -> None:
        bucket = self.server.bucket
        head = f"/{bucket.name}/"
        found = bucket.objects.get(unquote(self.path.removeprefix(head))) if self.path.startswith(head) else None
        if found is None:
            self._answer(404, {}, b"NoSuchKey")
            return
        self._answer(200, {"Content-Type": found[1]}, found[0])

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header, value)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bucket = bucket
        self.lock = threading.Lock()


@contextmanager
def strict_bucket(name: str = "renditions", *, google_key: rsa.RSAPrivateKey | None = None) -> Iterator[Bucket]:
    """A bucket that serves while the context lasts."""
    bucket = Bucket(name, google_key)
    server = _Server(bucket)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    bucket.url = f"http://127.0.0.1:{server.server_port}/{name}"
    try:
        yield bucket
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
