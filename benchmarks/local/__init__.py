"""Uploads to the local disk: this server, others, and the least that a server can do."""
