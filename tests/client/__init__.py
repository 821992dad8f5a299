"""The client commands, beside real servers and beside those that say whatever a test wants."""
