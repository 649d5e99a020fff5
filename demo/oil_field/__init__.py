"""A synthetic oil field: its data, the script that made it, and the Snowflake simulator that serves it."""
