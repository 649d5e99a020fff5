"""The playbooks of acme."""
