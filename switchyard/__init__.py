"""The engine: runs a team of AI agents as independent, auditable services on SQS and EventBridge."""
