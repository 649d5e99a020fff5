"""The commands: one file per noun, and under a noun with many verbs one file per verb."""
