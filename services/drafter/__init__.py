"""The drafter: writes the answer from the findings, on Bedrock, or on OpenAI when Bedrock is late."""
