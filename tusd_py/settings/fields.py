"""The settings themselves, with their defaults and what they mean."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any, Self

from pydantic import ByteSize, Field, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tusd_py.core.checksums import ALGORITHMS
from tusd_py.core.errors import TusdError
from tusd_py.settings.kinds import (
    KIB,
    MIB,
    Algorithms,
    Bucket,
    ChunkSize,
    Count,
    Durability,
    Duration,
    Encryption,
    Endpoint,
    Expiration,
    Folder,
    Host,
    Lifespan,
    Limit,
    LogFormat,
    LogLevel,
    Loop,
    Names,
    ObjectPrefix,
    OptionalFile,
    OptionalName,
    PagePath,
    PartSize,
    Patience,
    Pattern,
    Port,
    Receive,
    S3Checksums,
    S3Serve,
    Size,
    Span,
    Switch,
    Target,
    Targets,
    TlsMode,
    UrlPath,
    WholeSeconds,
)
from tusd_py.settings.naming import ENV_PREFIX
from tusd_py.settings.paths import Page, find_conflict
from tusd_py.stores.s3_parts import MAX_PART, MAX_PARTS


class SettingsError(TusdError):
    """A setting is wrong. The text is one line: which one, what is wrong with it, what is accepted."""


def _setting(group: str, default: Any, description: str, *, also: str = "") -> Any:
    extra: dict[str, Any] = {"group": group, "also": also}
    return Field(default=default, description=description, json_schema_extra=extra)


_listening = partial(_setting, "Listening")
_addresses = partial(_setting, "Addresses")
_storage = partial(_setting, "Storage")
_s3 = partial(_setting, "S3 instead of the local disk")
_limits = partial(_setting, "Limits")
_features = partial(_setting, "Features")
_cors = partial(_setting, "Browsers on other sites (CORS)")
_live = partial(_setting, "Live audio")
_cleaning = partial(_setting, "Expiration and cleaning up")
_processing = partial(_setting, "Processing finished uploads")
_times = partial(_setting, "Times")
_metrics = partial(_setting, "Metrics")
_running = partial(_setting, "Running")


class Settings(BaseSettings):
    """What an operator can choose. Constructing one reads `TUSD_PY_` variables for what is not given.

    Raises pydantic's ValidationError; `load_settings` is the way in that speaks to people.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    host: Host = _listening("0.0.0.0", "Address to accept connections on.")  # noqa: S104 - a server's default
    port: Port = _listening(8080, "TCP port. 0 takes a free one and prints it.")
    unix_sock: OptionalFile = _listening(
        None,
        "Accept connections on this Unix socket instead of host and port, behind a proxy on the machine.",
    )
    tls_certificate: OptionalFile = _listening(
        None, "PEM file with the server's certificate and its chain. With the key, it turns HTTPS on."
    )
    tls_key: OptionalFile = _listening(None, "PEM file with the private key of the certificate.")
    tls_mode: TlsMode = _listening(
        "tls12",
        "Which TLS: tls12 is 1.2 and 1.3, tls12-strong is 1.2 with AES-256-GCM only, tls13 is 1.3 only.",
    )

    base_path: UrlPath = _addresses("/files/", "Path under which uploads are created and resumed.")
    public_path: UrlPath = _addresses(
        "/uploads/", "Path under which finished files are served. It has to lie outside the base path."
    )
    form_path: UrlPath = _addresses(
        "/file/", "Path under which uploads by forms are taken. It has to lie outside the two others."
    )
    behind_proxy: Switch = _addresses(
        False,
        "Believe Forwarded and X-Forwarded-* about the public address. Only behind a proxy that sets"
        " them: otherwise any client could.",
    )
    relative_location: Switch = _addresses(
        False, "Name new uploads by path alone, for when the server cannot know its public address."
    )

    upload_dir: Folder = _storage(
        Path("storage"),
        "Folder for running uploads and finished files. The server makes it when it is missing.",
    )
    durability: Durability = _storage(
        "os",
        "What is on the disk before a client hears of it: os leaves it to the operating system (safe when"
        " the server dies, not when the power does), finish syncs a finished file, commit every"
        " acknowledged offset.",
    )
    min_free_space: Size = _storage(
        ByteSize(64 * MIB),
        "How much of the disk stays free: an upload that would use it is refused with 507.",
    )
    local_storage_chunk_size: ChunkSize = _storage(
        ByteSize(8192),
        "Piece in which a stored file is read back where the system cannot send it by itself.",
    )

    s3_bucket: Bucket = _s3(
        None,
        "Keep uploads in this bucket, and nothing on the local disk. Credentials come the way boto3 finds"
        " them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, the machine's role.",
    )
    s3_object_prefix: ObjectPrefix = _s3(
        "", "What all keys begin with: a folder of our own in a bucket that others use too."
    )
    s3_endpoint: Endpoint = _s3(None, "Address of an S3 server other than Amazon's.")
    s3_region: OptionalName = _s3(None, "Region of the bucket, where boto3 is not told otherwise.")
    s3_storage_chunk_size: PartSize = _s3(
        ByteSize(5 * MIB),
        "Size of the parts of an upload, larger where it would need more than 10000 of them. Also"
        " --s3-part-size, as tusd calls it.",
        also="s3_part_size",
    )
    s3_concurrent_part_uploads: Count = _s3(
        8, "How many parts are on their way to S3 at once, of all uploads together."
    )
    s3_memory_budget: Size = _s3(
        ByteSize(256 * MIB),
        "How much memory the bytes on their way to S3 take, of all uploads together. It has to hold two"
        " parts of the largest upload.",
    )
    s3_checksums: S3Checksums = _s3(
        "when_supported",
        "Send a CRC32 with everything that is stored: when_required leaves it out, for servers that refuse"
        " it.",
    )
    s3_storage_class: OptionalName = _s3(
        None, "Storage class of finished files, such as STANDARD_IA; the bucket's own otherwise."
    )
    s3_sse: Encryption = _s3(
        None,
        "Have everything that is stored encrypted by S3: AES256, aws:kms, or aws:kms: with a key's id; as"
        " the bucket says otherwise.",
    )
    s3_serve: S3Serve = _s3(
        "proxy",
        "How finished files are served: proxy sends the bytes through this server, redirect sends clients"
        " to a signed address of S3 that is good for an hour.",
    )

    max_size: Size = _limits(ByteSize(0), "Largest upload of all, whatever the storage. 0 sets no limit.")
    max_local_file_size: Size = _limits(
        ByteSize(50 * MIB),
        "Largest upload to the local disk. The smaller of this and max-size holds. 0 sets no limit.",
    )

    ui: Switch = _features(
        True, "Serve a page for uploading and recording at /, for people with nothing but a browser."
    )
    disable_download: Switch = _features(
        False,
        "Refuse GET: what is uploaded is not served, neither under the base path nor the public path.",
    )
    disable_termination: Switch = _features(
        False, "Refuse DELETE: clients cannot remove uploads, and the extension is not advertised."
    )
    disable_concatenation: Switch = _features(
        False,
        "Refuse Upload-Concat: no upload is made of others, so clients cannot send the parts of a file in"
        " parallel, and the extension is not advertised.",
    )
    use_chunked_local_upload: Switch = _features(
        True, "Take files in chunks by forms: upload-chunk and finalize-chunked-upload under the form path."
    )
    form_tokens: Switch = _features(
        False,
        "Let only who began a file in chunks go on with it: the first chunk's answer has a token, which has"
        " to come with the others.",
    )
    checksum_algorithms: Algorithms = _features(
        tuple(ALGORITHMS),
        "What clients may state the checksum of a chunk in. sha1 has to be among them. An empty list turns"
        " checksums off.",
    )

    disable_live: Switch = _live(
        False, "Refuse WebSocket connections: nothing is uploaded while it is recorded but by PATCH."
    )
    live_path: PagePath = _live("/live", "Path under which WebSocket connections are taken.")
    live_max_frame: ChunkSize = _live(
        ByteSize(MIB), "Largest message that a live connection may bring. A larger one ends it."
    )
    live_chunk_size: ChunkSize = _live(
        ByteSize(4096), "Piece in which a live processor is given what a message brings."
    )
    live_processor: Target = _live(
        None,
        "Code that is given the bytes of live uploads while they arrive, and whose results go back to the"
        " client: package.module:callable.",
    )

    expire_after: Lifespan = _cleaning(
        None,
        "How long an upload may stay unfinished. Then it is refused with 410, and its bytes are removed. A"
        " part of a joined upload lives as long, finished or not. 0 is never.",
    )
    expiration: Expiration = _cleaning(
        "sliding",
        "What expire-after counts from: sliding is from the last request that brought bytes, absolute from"
        " the creation.",
    )
    finished_retention: Lifespan = _cleaning(
        None,
        "DELETES FINISHED FILES this long after they were finished. It is the only setting that does: while"
        " it is 0, as it is unless you say otherwise, no finished file is ever removed. It holds for what"
        " is finished while it is set.",
    )
    remember_expired: Span = _cleaning(
        86400.0,
        "How long an upload that has expired is remembered: its address answers 410 until then, and 404"
        " after.",
    )
    gc_interval: Span = _cleaning(
        600.0,
        "How often the server removes what has expired and what a crash left behind, and finishes what a"
        " crash interrupted. 0 only finishes: then `tusd-py gc` removes, while no server runs.",
    )

    processor: Targets = _processing(
        (),
        "Code that is given every finished upload: package.module:callable, or the name of an entry point"
        " of the group tusd_py.processors. May be given more than once.",
    )
    processor_concurrency: Count = _processing(2, "How many uploads each processor is given at once.")
    processor_chunk_size: ChunkSize = _processing(
        ByteSize(64 * KIB), "Piece in which a processor is given an upload."
    )
    processor_timeout: Lifespan = _processing(
        3600.0,
        "How long a processor may take for one upload before that attempt has failed. 0 is for ever.",
    )
    processor_retry: Duration = _processing(
        1.0, "How long to wait after the first failed attempt. After each further one it is twice as long."
    )
    processor_retry_max: Duration = _processing(600.0, "The longest time to wait between two attempts.")
    processor_attempts: Limit = _processing(
        0, "GIVES UP giving an upload to a processor after so many attempts. 0 tries for ever."
    )
    processor_abandon: Targets = _processing(
        (),
        "GIVES UP whatever uploads still have to be given to the processors of these names: those that are"
        " no longer in use.",
    )

    disable_cors: Switch = _cors(
        False, "Send no CORS headers at all: a proxy does, or no browser comes from another site."
    )
    cors_allow_origin: Pattern = _cors(
        re.compile(".*"),
        "Origins whose pages may use the server, besides its own. It has to match the whole origin.",
    )
    cors_allow_credentials: Switch = _cors(
        False, "Allow those pages to send cookies and authorization. Name the origins exactly then."
    )
    cors_allow_methods: Names = _cors((), "More methods to allow besides those of the protocol.")
    cors_allow_headers: Names = _cors((), "More request headers to allow besides those of the protocol.")
    cors_expose_headers: Names = _cors((), "More response headers to expose besides those of the protocol.")
    cors_max_age: WholeSeconds = _cors(86400, "How long a browser may remember the answer to a preflight.")

    network_timeout: Duration = _times(
        60.0, "How long a client may send nothing before its request ends. The bytes that came are kept."
    )
    acquire_lock_timeout: Patience = _times(
        20.0, "How long a request waits for another one that holds the same upload. Then it is 423."
    )
    holder_silence: Patience = _times(
        1.0,
        "How long a running request must have been silent before a HEAD takes its upload over. Sooner, it"
        " is left alone.",
    )
    shutdown_timeout: Patience = _times(
        10.0,
        "How long running requests may take to end after SIGTERM or SIGINT. A second signal ends at once.",
    )

    expose_metrics: Switch = _metrics(
        True, "Tell Prometheus how the server is doing, on the same port and without a password."
    )
    metrics_path: PagePath = _metrics(
        "/metrics", "Path under which Prometheus finds the metrics. It goes before a base path of /."
    )

    log_format: LogFormat = _running(
        "auto", "text is for people, json for programs; auto is text on a terminal and json elsewhere."
    )
    log_level: LogLevel = _running("info", "Least severe message to log.")
    workers: Count = _running(
        1, "How many processes serve. Of several, one that dies is replaced; SIGHUP renews all, one by one."
    )
    loop: Loop = _running(
        "auto", "Event loop. auto is uvloop where it is installed, and asyncio elsewhere."
    )
    receive: Receive = _running(
        "auto",
        "How bodies are received. auto is the fastest way there is; portable is that of aiohttp alone.",
    )

    @property
    def effective_max_size(self) -> int | None:
        """The limit in force for one upload, in bytes; None if there is none.

        On the local disk the smaller of the two that can be set. In S3 there always is one: an object has
        10,000 parts at most, and two of them have to fit into memory.
        """
        own = self.max_local_file_size if self.s3_bucket is None else self.largest_s3_upload
        return min((limit for limit in (self.max_size, own) if limit), default=None)

    @property
    def largest_s3_upload(self) -> int:
        """What S3 takes as one object, in bytes, as far as the memory for its parts reaches."""
        return MAX_PARTS * min(self.s3_memory_budget // 2 // MIB * MIB, MAX_PART)

    @model_validator(mode="after")
    def _check_memory(self) -> Self:
        if self.s3_memory_budget < 2 * self.s3_storage_chunk_size:
            raise _conflict(
                "s3_memory_budget",
                f"{self.s3_memory_budget} bytes do not hold two parts of s3_storage_chunk_size,"
                f" {2 * self.s3_storage_chunk_size} bytes; give that or more",
            )
        return self

    @model_validator(mode="after")
    def _check_tls_pair(self) -> Self:
        if self.tls_certificate and not self.tls_key:
            raise _conflict(
                "tls_certificate", "needs tls_key as well; give both, or neither for plain HTTP"
            )
        if self.tls_key and not self.tls_certificate:
            raise _conflict(
                "tls_key", "needs tls_certificate as well; give both, or neither for plain HTTP"
            )
        return self

    @model_validator(mode="after")
    def _check_processors_wanted(self) -> Self:
        both = sorted({*self.processor} & {*self.processor_abandon})
        if both:
            raise _conflict("processor_abandon", f"{both[0]!r} is in use as a processor; one or the other")
        return self

    @model_validator(mode="after")
    def _check_paths_apart(self) -> Self:
        served = {"metrics_path": self.expose_metrics, "live_path": not self.disable_live}
        pages = [
            Page(field=name, path=getattr(self, name), usual=type(self).model_fields[name].default)
            for name, is_served in served.items()
            if is_served
        ]
        conflict = find_conflict(self.base_path, self.public_path, self.form_path, pages)
        if conflict:
            raise _conflict(conflict.field, conflict.problem)
        return self


def _conflict(field: str, problem: str) -> PydanticCustomError:
    return PydanticCustomError("conflict", "{problem}", {"field": field, "problem": problem})
