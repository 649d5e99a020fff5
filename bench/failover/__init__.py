"""Latency failover against its alternatives: `make bench-failover`."""
