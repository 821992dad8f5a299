"""What is kept with a request, and with its answer."""

from __future__ import annotations

from aiohttp import web

from tusd_py.core.errors import TusdError
from tusd_py.protocol.heads import RequestHead

HEAD = web.RequestKey("tusd_py.head", RequestHead)
FAILURE = web.RequestKey("tusd_py.failure", TusdError)
"""What was raised, for those who watch."""
REQUEST_ID = web.RequestKey("tusd_py.request_id", str)
ERROR_CODE = web.ResponseKey("tusd_py.error_code", str)
