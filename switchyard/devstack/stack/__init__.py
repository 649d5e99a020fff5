"""The local stack: PostgreSQL, the AWS emulator, the simulators and the services."""
