"""Simulators of model vendors, SES and Snowflake."""
