"""The drafter: writes answers and emails, with Bedrock, or with OpenAI when Bedrock is slow."""
