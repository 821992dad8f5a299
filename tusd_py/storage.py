"""Where uploads are kept, as the settings say: the one place that makes a store of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tusd_py.core.errors import StoreError
from tusd_py.protocol.representation import choose_content_type, choose_file_name, format_disposition
from tusd_py.settings import Settings, SettingsError
from tusd_py.stores.local import LocalStore
from tusd_py.stores.s3_layout import Layout
from tusd_py.stores.s3_parts import MAX_PARTS, plan_part_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from tusd_py.core.model import Upload
    from tusd_py.core.ports import Store

READ_SIZE = 256 * 1024
"""Bytes of the pieces in which objects are read back from S3."""


def make_store(settings: Settings, *, observe: Callable[[str, float], None] | None = None) -> Store:
    """The store that the settings name. `observe` hears of each call to S3, and its seconds.

    Raises SettingsError when it cannot be used. Of S3 nothing is asked yet: it may be down when we start.
    """
    if settings.s3_bucket is None:
        return _local(settings)
    return _s3(settings, settings.s3_bucket, observe)


def place_of(settings: Settings) -> str:
    """Where uploads are kept, for people."""
    if settings.s3_bucket is None:
        return f"{settings.upload_dir} (durability: {settings.durability})"
    prefix = Layout(settings.s3_object_prefix).prefix
    where = f" at {settings.s3_endpoint}" if settings.s3_endpoint else ""
    return f"s3://{settings.s3_bucket}/{prefix}{where}"


def deferred_room(settings: Settings) -> int | None:
    """What an upload of deferred length may grow to, in bytes; None where nothing limits it.

    In S3 the parts of an upload have one size, fixed at its creation: what max-size asks for, else the
    usual one.
    """
    if settings.s3_bucket is None:
        return None
    size = plan_part_size(None, preferred=settings.s3_storage_chunk_size, room=settings.max_size)
    return MAX_PARTS * size


def _local(settings: Settings) -> Store:
    try:
        return LocalStore(
            str(settings.upload_dir),
            durability=settings.durability,
            chunk_size=settings.local_storage_chunk_size,
        )
    except StoreError as error:
        raise SettingsError(
            f"--upload-dir: {settings.upload_dir} cannot be used: {error};"
            " a folder on one device that can be written to"
        ) from error


def _s3(settings: Settings, bucket: str, observe: Callable[[str, float], None] | None) -> Store:
    # boto3 takes a third of a second to import: who stores locally does not wait for it.
    from tusd_py.stores.s3 import S3Store  # noqa: PLC0415
    from tusd_py.stores.s3_calls import Bucket  # noqa: PLC0415
    from tusd_py.stores.s3_client import make_client  # noqa: PLC0415

    try:
        client = make_client(
            endpoint=settings.s3_endpoint,
            region=settings.s3_region,
            checksums=settings.s3_checksums,
            concurrency=settings.s3_concurrent_part_uploads,
        )
    except StoreError as error:
        raise SettingsError(f"--s3-bucket: {error}; see --s3-bucket in `tusd-py serve --help`") from error
    return S3Store(
        Bucket(
            client,
            bucket,
            checksums=settings.s3_checksums == "when_supported",
            extra={"StorageClass": settings.s3_storage_class} if settings.s3_storage_class else {},
            sealing=_sealing(settings),
            observe=observe,
        ),
        prefix=settings.s3_object_prefix,
        part_size=settings.s3_storage_chunk_size,
        room=settings.max_size or None,
        concurrency=settings.s3_concurrent_part_uploads,
        memory_budget=settings.s3_memory_budget,
        chunk_size=READ_SIZE,
        present=_present,
        redirects=settings.s3_serve == "redirect",
    )


def _sealing(settings: Settings) -> dict[str, str]:
    if not settings.s3_sse:
        return {}
    algorithm, _, key = settings.s3_sse.removeprefix("aws:").partition(":")
    chosen = {"ServerSideEncryption": algorithm if algorithm == "AES256" else f"aws:{algorithm}"}
    return chosen | {"SSEKMSKeyId": key} if key else chosen


def _present(upload: Upload) -> tuple[str, str]:
    """The Content-Type and Content-Disposition that an object is stored with: as we would serve it."""
    content_type = choose_content_type(upload.metadata)
    return content_type, format_disposition(content_type, choose_file_name(upload))
