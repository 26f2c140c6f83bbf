"""For all tests: the genuine client is imported as Headwater imports it, also in test processes without a main file."""

import headwater.connect  # noqa: F401
