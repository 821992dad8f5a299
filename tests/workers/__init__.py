"""Several processes on one address: together, and when one of them goes."""
