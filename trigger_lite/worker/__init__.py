"""The processes that run user code: find tasks, make attempts, send what they say and how they ended."""
