"""tools/check: verify every byte of a shard directory."""
