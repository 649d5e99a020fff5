"""The Text-to-SQL specialist: a question becomes one guarded query over the warehouse, as the asking user."""
