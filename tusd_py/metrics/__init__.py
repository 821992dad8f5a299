"""What the server says of itself to those who watch it. Knows nothing but the core."""
