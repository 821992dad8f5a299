"""One holder per upload. Every locker passes `tusd_py.testing.check_locker`."""
