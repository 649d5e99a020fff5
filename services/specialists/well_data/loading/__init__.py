"""Loads production, headers, downtime, lease meters, surveys and LAS logs from S3, and reports what it refuses."""
