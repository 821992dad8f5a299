"""What speaks: heads in, intents out; outcomes in, heads out. Pure."""
