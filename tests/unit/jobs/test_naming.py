"""Names of renditions: readable for honest profiles, harmless for the others, never shared."""

from hypothesis import given
from hypothesis import strategies as st

from baton.jobs.naming import rendition_names
from baton.kernel.profiles import OutputFormat, VideoProfile
from baton.storage.names import safe_object_name


def profile(name: str, *, container: OutputFormat = OutputFormat.MPEGTS) -> VideoProfile:
    return VideoProfile(name=name, width=256, height=144, bitrate_bps=400_000, format=container)


def test_an_honest_name_stays_as_it_is() -> None:
    profiles = (profile("P144p30fps16x9"), profile("custom_640x360_800000", container=OutputFormat.MP4))
    assert rendition_names(profiles, seq=7) == ("P144p30fps16x9/7.ts", "custom_640x360_800000/7.mp4")


def test_twins_get_names_of_their_own() -> None:
    first, second = rendition_names((profile("same"), profile("same")), seq=1)
    assert first != second


def test_a_name_that_would_leave_its_folder_does_not() -> None:
    (name,) = rendition_names((profile("../../etc/passwd"),), seq=-1)
    assert name.count("/") == 1
    assert ".." not in name.split("/")


@given(st.lists(st.text(max_size=300), min_size=1, max_size=10), st.integers(-(2**63), 2**63 - 1))
def test_whatever_the_wire_brings_every_store_takes_and_no_two_share(names: list[str], seq: int) -> None:
    made = rendition_names(tuple(profile(n) for n in names), seq=seq)
    assert len(set(made)) == len(names)
    for name in made:
        assert safe_object_name(name) == name
