"""The field routing specialist: who visits which well, in which order, for the most money kept from being lost."""
