"""What a task file imports. Standard library and msgspec only; nothing heavy at import."""
