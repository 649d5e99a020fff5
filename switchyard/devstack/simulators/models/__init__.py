"""A scripted simulator of Amazon Bedrock's Converse API and OpenAI's Chat Completions API.

It runs no model: a YAML script says what is answered, and everything it cannot answer it says so. See README.md.
"""
