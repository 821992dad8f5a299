"""What the server promises, as tests; the tree mirrors the package."""
