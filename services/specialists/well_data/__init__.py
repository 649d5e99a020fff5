"""The well-data specialist: code computes from loaded well data as the asking user; a model chooses what."""
