"""Triage: which specialist fits a free-text question."""
