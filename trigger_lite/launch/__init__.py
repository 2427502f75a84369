"""Starts and stops worker processes."""
