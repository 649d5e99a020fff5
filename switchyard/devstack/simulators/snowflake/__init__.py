"""A Snowflake simulator over DuckDB (fakesnow)."""
