"""What a row of the audit log costs, from the queue to the commit, next to the least it could cost."""
