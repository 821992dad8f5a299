"""What is kept with a request."""

HEAD = "tusd_py.head"
REQUEST_ID = "tusd_py.request_id"
