"""What the server says and does, byte by byte, seen from a socket."""
