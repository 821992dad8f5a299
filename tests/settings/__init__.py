"""Settings: where they come from, what is accepted, and how a wrong one is told."""
