import unicodedata
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.storage.names import MAX_PART_BYTES, MAX_PARTS, object_url, safe_object_name, safe_session_name


@pytest.mark.parametrize(
    "name",
    [
        "P720p30fps16x9/12.ts",
        "7.tempfile",
        "a b/1.mp4",
        "...",
        "%2e%2e/1.ts",
        "日本/1.ts",
        "a" * 255 + "/" + "b" * 255,
        "P720/1.ts.phash",
    ],
)
def test_names_an_honest_gateway_may_choose_pass_unchanged(name: str) -> None:
    assert safe_object_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "/etc/passwd",
        "..",
        ".",
        "../1.ts",
        "a/..",
        "a/.",
        "a//1.ts",
        "a/",
        "a/b/c",
        "a\\b",
        "..\\1.ts",
        "a\x00b",
        "a\nb",
        "a\x7fb",
        "a\x85b",
        "a\u2028b",
        "\udcff/1.ts",
        "a" * 256,
        "ü" * 128,
        "a" * 10_000,
    ],
)
def test_names_that_could_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="object name") as refused:
        safe_object_name(name)
    assert len(str(refused.value)) < 100


@pytest.mark.parametrize("session", ["", "..", "a/b", "a\\b", "a\x00", "s" * 129])
def test_session_names_are_one_short_part(session: str) -> None:
    with pytest.raises(ValueError, match="object name"):
        safe_session_name(session)


@given(
    st.text(alphabet=st.characters(), max_size=40)
    | st.lists(st.sampled_from(["..", ".", "", "a", "/", "\\"])).map("".join)
)
def test_whatever_passes_stays_below_its_folder(name: str) -> None:
    try:
        safe = safe_object_name(name)
    except ValueError:
        return
    parts = safe.split("/")
    assert safe == name
    assert 1 <= len(parts) <= MAX_PARTS
    assert all(part not in {"", ".", ".."} and len(part.encode()) <= MAX_PART_BYTES for part in parts)
    assert not any(c == "\\" or unicodedata.category(c) in {"Cc", "Cs"} for c in safe)


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=MAX_PARTS).map("/".join))
def test_a_reader_finds_the_name_again_in_the_path_of_the_url(name: str) -> None:
    try:
        safe_object_name(name)
    except ValueError:
        return
    url = urlsplit(object_url("https://node.example:8935", "c0ffee", name))
    assert url.query == url.fragment == ""
    assert all(" " < c < "\x7f" for c in url.path)
    assert unquote(url.path) == f"/stream/c0ffee/{name}"


def test_url_without_a_base_is_a_path() -> None:
    assert object_url("", "c0ffee", "P720 ä/1.ts") == "/stream/c0ffee/P720%20%C3%A4/1.ts"
