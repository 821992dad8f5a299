"""What acts: carries intents out through the ports. Knows no web framework, dialect or concrete store."""
