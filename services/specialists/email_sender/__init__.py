"""The email sender: sends a reviewed email at most once and reports the outcome."""
