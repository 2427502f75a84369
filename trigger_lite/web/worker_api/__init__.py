"""The doors that workers come in by."""
