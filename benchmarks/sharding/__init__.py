"""tools/shard beside other writers and beside the codec alone."""
