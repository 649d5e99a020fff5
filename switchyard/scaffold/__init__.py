"""`switchyard new`: a repository for an application of one's own."""
