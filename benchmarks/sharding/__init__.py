"""Comparison of tools/shard with other writers and with the bare codec."""
