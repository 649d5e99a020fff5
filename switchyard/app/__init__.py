"""The application registry: agent cards, event catalogue, and what is computed from them."""
