"""The smallest application: one agent, which calls no model."""
