"""Erasure of a person's key, with a signed receipt."""
