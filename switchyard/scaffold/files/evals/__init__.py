"""Labelled cases, run against a model."""
