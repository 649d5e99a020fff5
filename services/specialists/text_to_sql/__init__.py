"""The Text-to-SQL specialist: a question becomes one guarded query over the operator's warehouse, as the asking user."""
