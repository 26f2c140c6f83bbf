"""Commands that answer with messages of their own, one module per family; all others go to `Session.run`."""
