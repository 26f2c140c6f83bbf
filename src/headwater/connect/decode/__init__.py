"""Protocol messages to plan nodes, one file per family."""
