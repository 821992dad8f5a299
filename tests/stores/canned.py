"""An HTTP server that gives one answer to everything: what stands where S3 should be."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import boto3
from botocore.config import Config

from tusd_py.stores.s3_calls import Bucket


class CannedServer:
    """Answers every request as it was told last, until the context is left. `bucket` talks to it."""

    def __init__(self) -> None:
        self._status, self._body = 500, b""
        canned = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                """Whatever the method."""
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(canned._status)
                self.send_header("Content-Length", str(len(canned._body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(canned._body)

            def log_message(self, *args: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        self.bucket = self._make_bucket()
        return self

    def __exit__(self, *_: object) -> None:
        self.bucket.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def tell(self, status: int, body: bytes) -> Bucket:
        """What it answers from now on; a bucket there, of a client that tries once."""
        self._status, self._body = status, body
        return self.bucket

    def _make_bucket(self) -> Bucket:
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self._server.server_port}",
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            config=Config(
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path", "payload_signing_enabled": False},
            ),
        )
        return Bucket(client, "bucket", checksums=True, extra={})
