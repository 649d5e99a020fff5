"""What a row of the audit log costs, from the queue to the commit, next to what else could have been done."""
