"""Where uploads are kept. Every store passes `tusd_py.testing.check_store`."""
