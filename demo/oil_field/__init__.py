"""A synthetic oil field, and a stand-in for Snowflake that serves it role by role."""
