"""Signed receipts for retired bodies and erased persons."""
