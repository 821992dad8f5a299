"""What breaks in the field, done to the real server: no wrong byte, none lost, no false "done"."""
