"""The contracts of acme: what travels between its services."""
