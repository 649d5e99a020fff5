"""How fast the console's pages are over a large log."""
