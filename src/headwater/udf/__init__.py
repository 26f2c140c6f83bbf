"""Python functions of the user."""
