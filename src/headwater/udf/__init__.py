"""Users' Python functions: loading them, handing them rows, taking their rows back, and the state they keep."""
