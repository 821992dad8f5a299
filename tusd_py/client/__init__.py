"""Talking to tus servers, this one or any other: `probe` looks at one, `uploader` sends files to it."""
