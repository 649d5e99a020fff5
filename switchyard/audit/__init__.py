"""Audit: every transition written once, kept as received, and provable afterwards."""
