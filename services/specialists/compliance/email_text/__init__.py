"""Reading an email as its recipient sees it, and saying what stands in the way of that."""
