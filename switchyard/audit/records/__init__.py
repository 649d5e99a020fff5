"""Rows of the log: projection, store, reader, partitions, roles of the database."""
