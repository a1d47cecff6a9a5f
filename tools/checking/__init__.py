"""tools/check: is every byte of a shard directory accounted for?"""
