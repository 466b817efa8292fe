"""Where a session's renditions go: the store of its first segment, for as long as it lives (video.md 4.5)."""

import asyncio
from dataclasses import replace

from baton.jobs.admission import SegmentRequest
from baton.jobs.messages import AuthToken, ObjectStoreKind, ObjectStoreOffer
from baton.kernel.errors import TranscodeError
from baton.kernel.ids import SessionId
from tests.support import eventually
from tests.unit.jobs.rig import PROFILES, Rig, Store, scenario

LENT = ObjectStoreOffer(kind=ObjectStoreKind.S3, host="https://lent.example")
OTHER = ObjectStoreOffer(kind=ObjectStoreKind.GOOGLE, host="https://other.example")


def ask(rig: Rig, token: AuthToken, *, seq: int, storage: ObjectStoreOffer | None) -> SegmentRequest:
    return rig.request(replace(rig.metadata(token=token, seq=seq), storage=storage))


def names(session: SessionId, *seqs: int) -> set[str]:
    return {f"{session}/{p.name}/{seq}.ts" for p in PROFILES for seq in seqs}


def test_the_first_segment_of_a_session_decides_for_all() -> None:
    async def body() -> None:
        rig = Rig()
        mine, theirs = rig.mint.issue(caller="10.0.0.1"), rig.mint.issue(caller="10.0.0.1")
        for seq, storage in enumerate((LENT, None, OTHER)):
            assert (await rig.send(ask(rig, mine, seq=seq, storage=storage))).error == ""
        await rig.send(replace_manifest(ask(rig, theirs, seq=0, storage=None)))
        await rig.send(replace_manifest(ask(rig, theirs, seq=1, storage=LENT)))
        assert set(rig.lent) == {LENT.host}
        assert set(rig.lent[LENT.host].saved) == names(mine.session_id, 0, 1, 2)
        assert set(rig.store.saved) == names(theirs.session_id, 0, 1)

    scenario(body)


def replace_manifest(request: SegmentRequest) -> SegmentRequest:
    return replace(request, metadata=replace(request.metadata, manifest_id=type(request.metadata.manifest_id)("other")))


def test_a_session_that_ended_and_comes_back_chooses_again() -> None:
    async def body() -> None:
        rig = Rig()
        token = rig.mint.issue(caller="10.0.0.1")
        await rig.send(ask(rig, token, seq=0, storage=LENT))
        await rig.discovery.end_session(token)
        assert rig.store.ended == [token.session_id]
        await rig.send(ask(rig, token, seq=1, storage=OTHER))
        assert set(rig.lent[LENT.host].saved) == names(token.session_id, 0)
        assert set(rig.lent[OTHER.host].saved) == names(token.session_id, 1)

    scenario(body)


def test_the_first_segment_decides_although_it_failed() -> None:
    async def body() -> None:
        rig = Rig()
        token = rig.mint.issue(caller="10.0.0.1")
        rig.engine.error = TranscodeError("TranscoderInvalidVideo")
        assert (await rig.send(ask(rig, token, seq=0, storage=LENT))).error == "TranscoderInvalidVideo"
        rig.engine.error = None
        await rig.send(ask(rig, token, seq=1, storage=None))
        assert set(rig.lent[LENT.host].saved) == names(token.session_id, 1)

    scenario(body)


def test_a_lent_store_that_refuses_one_rendition_fails_the_segment_with_its_words_and_the_work_is_paid() -> None:
    async def body() -> None:
        rig = Rig()
        token = rig.mint.issue(caller="10.0.0.1")
        await rig.send(ask(rig, token, seq=0, storage=LENT))
        rig.lent[LENT.host].fail_after = len(PROFILES) + 1
        result = await rig.send(ask(rig, token, seq=1, storage=LENT))
        assert (result.error, result.renditions, result.signature) == ("Session ended", (), b"")
        assert (len(rig.ledger.settled), rig.ledger.released) == (2, 0), "it may have read all that it refused"

    scenario(body)


def test_who_leaves_while_its_own_store_takes_the_renditions_pays_for_them() -> None:
    async def body() -> None:
        rig = Rig()
        token = rig.mint.issue(caller="10.0.0.1")
        await rig.send(ask(rig, token, seq=0, storage=LENT))
        rig.lent[LENT.host].hang = True
        async with asyncio.TaskGroup() as group:
            task = group.create_task(rig.send(ask(rig, token, seq=1, storage=None)))
            await eventually(lambda: len(rig.ledger.settled) == 2, what="the work is settled")
            task.cancel()
        assert rig.ledger.released == 0

    scenario(body)


class Crowd(Store):
    """Answers nobody before as many are there as there are renditions."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0
        self.everybody = asyncio.Event()

    async def save(self, *, session_id: SessionId, name: str, data: bytes, content_type: str) -> str:
        self.waiting += 1
        if self.waiting == len(PROFILES):
            self.everybody.set()
        await self.everybody.wait()
        return await super().save(session_id=session_id, name=name, data=data, content_type=content_type)


def test_renditions_are_stored_at_once_and_named_in_profile_order() -> None:
    async def body() -> None:
        rig = Rig(store=Crowd())
        result = await rig.send()
        assert [r.url.rpartition("/")[0].rpartition("/")[2] for r in result.renditions] == [p.name for p in PROFILES]

    scenario(body)
