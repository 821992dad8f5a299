"""Pieces of HTTP's grammar that several fields are made of, as regular expressions."""

WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""RFC 9110, 5.6.2: a token."""

VALUE = rf'{WORD}|"(?:[ !#-\[\]-~]|\\[ -~])*"'
"""RFC 9110, 5.6.4: a token or a quoted string, of which only what is printable ASCII."""
