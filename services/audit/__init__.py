"""The audit process, and the application's reviewer views and retention policies."""
