"""The checker: plain SQL and the mail provider's outbox. It imports no code of the product: import-linter proves it."""
