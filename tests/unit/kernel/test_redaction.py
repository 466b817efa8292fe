"""What must not be seen: secrets by name, credentials in URLs, characters that lie."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.kernel.redaction import is_secret_name, mask_urls, printable, redact_url


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "ethPassword",
        "auth_token",
        "X-Amz-Signature",
        "key",
        "api_key",
        "privateKey",
        "keys",
        "policy",
        "Authorization",
        "x-amz-credential",
        "orchSecret",
        "PASSPHRASE",
        "apiKEY",
        "Set-Cookie",
    ],
)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["keyframes", "keyframe_count", "monkey", "manifest_id", "stokes", "seq", ""])
def test_names_that_are_not(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a/b", "https://a/b"),
        ("https://u:p@a/b?c=d#e", "https://***@a/b?***"),
        ("u:p@a:1", "***@a:1"),
        ("https://u:p@ss@a", "https://***@a"),
        ("https://u:p/x@a", "https://***@a"),
        ("https://u:p?x@a", "https://***@a"),
        ("a,https://u:p@b,https://v:q@c", "a,https://***@c"),
    ],
)
def test_urls(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_urls_inside_text() -> None:
    text = "GET https://u:p@a/b?x=1&X-Amz-Signature=abc&token=t failed, then s3://k:s@r/b; api_key=plain"
    assert mask_urls(text) == (
        "GET https://***@a/b?x=1&X-Amz-Signature=***&token=*** failed, then s3://***@r/b; api_key=plain"
    )
    assert mask_urls("a@b.example and 2=3") == "a@b.example and 2=3"


@pytest.mark.parametrize("text", ["://" * 20_000, "?a" * 30_000, "?" * 60_000, "a://" + "x" * 60_000, "&=" * 30_000])
def test_masking_takes_linear_time(text: str) -> None:
    start = time.process_time()
    mask_urls(text)
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 漢 😀", "plain ü 漢 😀"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\r\nb\t", r"a\r\nb\t"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202eevil", r"\u202eevil"),
        ("\u2028", r"\u2028"),
        ("\udcff", r"\udcff"),
        ("\U000e0001", r"\U000e0001"),
        ("a\u00a0b", r"a\xa0b"),
    ],
)
def test_characters(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lengths_and_lines() -> None:
    assert printable("x" * 10, limit=4) == "xxxx... (6 more)"
    assert printable("a\nb\x00", keep_newlines=True) == "a\nb\\x00"


@given(st.text(alphabet=st.characters(codec=None)))
def test_whatever_comes_is_harmless_and_encodable(text: str) -> None:
    shown = printable(text)
    assert not any(c in shown for c in "\x1b\n\r\x00\u202e\u2028")
    shown.encode("utf-8")
