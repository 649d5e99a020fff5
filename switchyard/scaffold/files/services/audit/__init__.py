"""How long the cases of acme are kept."""
