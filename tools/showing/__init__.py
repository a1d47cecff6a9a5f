"""tools/show: a shard directory in tables and one picture."""
