"""Protocol messages to plan nodes: one module per family, each message under its own name in a registry."""
