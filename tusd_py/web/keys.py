"""What is kept with a request."""

from __future__ import annotations

from aiohttp import web

from tusd_py.protocol.heads import RequestHead

HEAD = web.RequestKey("tusd_py.head", RequestHead)
REQUEST_ID = web.RequestKey("tusd_py.request_id", str)
