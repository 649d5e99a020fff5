"""Runs local processes and restarts them."""
