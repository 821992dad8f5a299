"""What is kept with a request, and with its answer."""

from __future__ import annotations

from aiohttp import web

from tusd_py.core.errors import TusdError
from tusd_py.protocol.heads import RequestHead
from tusd_py.web.tally import Tally

HEAD = web.RequestKey("tusd_py.head", RequestHead)
FAILURE = web.RequestKey("tusd_py.failure", TusdError)
"""What was raised, for those who watch."""
REQUEST_ID = web.RequestKey("tusd_py.request_id", str)
TALLY = web.AppKey("tusd_py.tally", Tally)
"""Counts the bytes of all bodies."""
PORTABLE = web.AppKey("tusd_py.portable", bool)
"""Bodies are received by aiohttp alone: see tusd_py.web.bypass."""
ERROR_CODE = web.ResponseKey("tusd_py.error_code", str)
