"""Retention: bodies that leave the log when their time is over."""
