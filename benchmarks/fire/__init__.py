"""Services under load, faults and attack, each with what is measured and what is wanted."""
