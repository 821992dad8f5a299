"""The clients of the field against a server that keeps uploads in S3."""
