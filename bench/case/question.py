"""What every contender is asked: a question with a triage, a Text-to-SQL agent with tools, a query and a draft."""

QUESTION = "How many wells are there in each basin?"
USER, TENANT, ROLE = "chen.li", "northfork", "FIELD_ALL"
