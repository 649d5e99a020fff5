"""A simulated internal HTTP API of the operator's: work orders and technicians, for the user in the token."""
