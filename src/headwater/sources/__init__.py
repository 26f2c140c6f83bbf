"""Sources of streams and batches, one file each, found by format name."""
