"""Background jobs for Python: the names a task file imports."""
