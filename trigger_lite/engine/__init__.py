"""What may happen to a run, a queue and a version: functions over a transaction."""
