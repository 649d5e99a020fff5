"""What the audit process does with messages, and its alarms."""
