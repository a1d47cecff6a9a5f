"""tools/show: what a shard directory holds, in tables and one picture."""
