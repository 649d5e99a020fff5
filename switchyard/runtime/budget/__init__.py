"""What models may cost: prices, and the ledger that reserves before a call and settles after it."""
