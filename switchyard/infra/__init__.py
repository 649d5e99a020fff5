"""Generators of the data that terraform, the Dockerfile and docker compose read."""
