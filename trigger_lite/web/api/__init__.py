"""The management API, compatible with Trigger.dev's: one module per resource."""
