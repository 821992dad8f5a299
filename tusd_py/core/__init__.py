"""What decides: the upload, what may be asked of it, and what follows. Pure; standard library only."""
