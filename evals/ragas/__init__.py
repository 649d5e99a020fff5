"""ragas over the answers of the assistant: faithfulness and answer relevancy, reported and never a gate."""
