"""The batch source `statestore`: see `provider`."""

from headwater.sources.statestore import provider

__all__ = ["provider"]
