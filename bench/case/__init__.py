"""What an answered case costs: our processes, LangGraph with and without its saver, and the bare agents."""
