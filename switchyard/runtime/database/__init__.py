"""PostgreSQL: connections, login, migrations and the circuit breaker."""
