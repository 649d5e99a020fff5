"""The producers' outboxes compared with the log."""
