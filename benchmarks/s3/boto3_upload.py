"""Uploads files with boto3 until its standard input ends. Arguments: endpoint, bucket.

A line is [file, count] in JSON: upload it so often at once, then answer "done".
"""

from __future__ import annotations

import json
import sys
import threading
import uuid

import boto3


def main() -> None:
    """Read lines, upload, answer."""
    endpoint, bucket = sys.argv[1:]
    client = boto3.client("s3", endpoint_url=endpoint)
    for line in sys.stdin:
        file, count = json.loads(line)
        threads = [
            threading.Thread(target=client.upload_file, args=(file, bucket, f"boto3/{uuid.uuid4()}"))
            for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print("done", flush=True)


if __name__ == "__main__":
    main()
