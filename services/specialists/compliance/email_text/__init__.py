"""Parses an email into what its recipient sees, and lists the obstacles to reading it so."""
