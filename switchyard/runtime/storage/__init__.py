"""Artefacts and objects in S3."""
