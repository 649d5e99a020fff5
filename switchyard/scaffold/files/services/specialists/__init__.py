"""The agents of acme, one module or folder each. They never import each other."""
