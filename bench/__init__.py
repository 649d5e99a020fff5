"""Measurements, each in a locked environment of its own."""
