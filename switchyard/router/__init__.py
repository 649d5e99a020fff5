"""The router: playbooks, routing, decisions, state seal and replay. Pure."""
