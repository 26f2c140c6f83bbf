"""The one storage layer: mounts, listing, reading, atomic creation; data formats live in `formats/`."""
