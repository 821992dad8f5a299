"""TLS as configured."""

from __future__ import annotations

import ssl

_STRONG = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
_INTERMEDIATE = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
MODES = {
    # mode: lowest version, highest version, ciphers below TLS 1.3
    "tls12": (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.MAXIMUM_SUPPORTED, _INTERMEDIATE),
    "tls12-strong": (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, _STRONG),
    "tls13": (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.MAXIMUM_SUPPORTED, None),
}


def server_context(certificate: str, key: str, mode: str) -> ssl.SSLContext:
    """A server's context of one of `MODES`. Raises OSError (ssl.SSLError included) for unusable files."""
    lowest, highest, ciphers = MODES[mode]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version, context.maximum_version = lowest, highest
    if ciphers is not None:
        context.set_ciphers(ciphers)
    context.load_cert_chain(certificate, key)
    return context
