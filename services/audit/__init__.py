"""The audit process, and what a reviewer asks the log."""
