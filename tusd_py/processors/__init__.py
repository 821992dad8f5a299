"""The operator's processors: finding them by name, and calling those that block."""
