"""What the audit log costs as it grows: to write, to index and checkpoint, to verify, and to ask."""
