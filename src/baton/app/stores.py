"""The store of a node by its settings: memory, a directory or a bucket."""

from pathlib import Path

from baton.config.model import Settings, StorageSettings
from baton.config.stores import S3Address, read_store
from baton.jobs.ports import ObjectPoster
from baton.kernel.clock import Clock
from baton.kernel.metrics import Metrics
from baton.storage.bucket import BucketMediaStore
from baton.storage.directory import DirectoryMediaStore
from baton.storage.memory import MemoryMediaStore
from baton.storage.policy import GoogleAccount, S3Account, StoreAccount
from baton.storage.shelf import ShelfLimits

__all__ = ["Store", "bucket_account", "media_store", "store_kind"]

Store = MemoryMediaStore | DirectoryMediaStore | BucketMediaStore
"""Every store a node can have of its own."""


def media_store(
    settings: Settings, *, account: StoreAccount | None, poster: ObjectPoster, clock: Clock, metrics: Metrics
) -> Store:
    """The store that ``settings`` name; ``account`` owns its bucket when it is one."""
    storage = settings.storage
    if account is not None:
        return BucketMediaStore(account=account, poster=poster, clock=clock, metrics=metrics)
    limits = ShelfLimits(total_bytes=storage.memory_limit_bytes, grace_s=storage.grace_s)
    base_uri = settings.port.service_uri
    if not storage.object_store:
        return MemoryMediaStore(base_uri=base_uri, limits=limits, clock=clock, metrics=metrics)
    return DirectoryMediaStore(
        directory=Path(storage.object_store), base_uri=base_uri, limits=limits, clock=clock, metrics=metrics
    )


def bucket_account(storage: StorageSettings) -> StoreAccount | None:
    """The owner of the bucket that renditions go to; None for memory and directories."""
    if "://" not in storage.object_store:
        return None
    _, address = read_store(storage.object_store)
    return S3Account(address) if isinstance(address, S3Address) else GoogleAccount.load(address)


def store_kind(store: Store) -> str:
    """The store's name in the status answer."""
    if isinstance(store, BucketMediaStore):
        return "bucket"
    return "directory" if isinstance(store, DirectoryMediaStore) else "memory"
