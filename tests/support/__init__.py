"""What several kinds of test need: payloads, a real server, a faulty network."""
