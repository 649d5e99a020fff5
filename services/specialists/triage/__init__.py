"""Triage: chooses the specialist for a free-text question."""
