"""The log's rows: projection, store, reader, partitions, database roles."""
