"""What the commands that look after a storage understand, for their help and for reading it."""

from __future__ import annotations

from tusd_py.core.model import UploadState
from tusd_py.settings import CommandLine, Option

GONE, CORRUPT = "gone", "corrupt"
"""States that only `ls` knows: the bytes are lost; the record cannot be read."""
STATES = (*(state.value for state in UploadState), GONE, CORRUPT)

_SHARED = """
The storage is the one that the server's flags, variables or TOML file name. None is made where there
is none.
"""
_JSON = Option(name="json", description="Print JSON, for programs.")

_STORAGE = (
    "upload_dir",
    "durability",
    "s3_bucket",
    "s3_object_prefix",
    "s3_endpoint",
    "s3_region",
    "s3_storage_chunk_size",
    "s3_checksums",
)
"""The settings that say where a storage is, and how it is written to."""

GC = CommandLine(
    command="gc",
    introduction=f"""\
Clean up once: remove uploads whose time is over, forget those that are long over, finish what a crash
interrupted, and remove what one left behind. A finished file is removed only if finished-retention was
set when it was finished.

A running server does this by itself; beside it, only --dry-run works.
{_SHARED}""",
    examples="""\
Examples:
  tusd-py gc --dry-run
  tusd-py gc --upload-dir /srv/uploads --json

Exit code: 0 done, 1 something could not be done, 2 a wrong setting.
""",
    options=(
        Option(name="dry_run", description="Change nothing; say what would be done."),
        _JSON,
    ),
    settings=(*_STORAGE, "finished_retention", "remember_expired", "processor"),
)

FSCK = CommandLine(
    command="fsck",
    introduction=f"""\
Examine a storage for what does not fit together: records without data, data without a record, uploads
longer than their length, published files without a record, what interrupted writes left, and uploads
that stopped short of being finished. Beside a running server, what is fresh may be work in progress.
{_SHARED}""",
    examples="""\
Examples:
  tusd-py fsck
  tusd-py fsck --upload-dir /srv/uploads --repair

Exit code: 0 the storage is sound, perhaps after repair; 3 something was found and is left; 1 it could
not be examined, or a repair failed; 2 a wrong setting.
""",
    options=(
        Option(
            name="repair",
            description="Repair what can be without losing a byte that anybody was promised, and look"
            " again. Not beside a running server.",
        ),
        _JSON,
    ),
    settings=(*_STORAGE, "finished_retention", "processor"),
)

LS = CommandLine(
    command="ls",
    introduction=f"""\
List every upload on record, oldest first: a table on a terminal, else a line each with tabs between
the fields and exact bytes.
{_SHARED}""",
    examples="""\
Examples:
  tusd-py ls --state open
  tusd-py ls --json | jq '.[] | select(.offset > 1000000).id'

Exit code: 0 listed, 1 the storage failed, 2 a wrong setting.
""",
    options=(
        Option(
            name="state",
            description="List only uploads in this state. gone: its bytes are lost; corrupt: its record"
            " cannot be read.",
            choices=STATES,
        ),
        _JSON,
    ),
    settings=_STORAGE,
)
