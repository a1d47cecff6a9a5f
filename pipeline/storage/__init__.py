"""Shard directories: manifest, index, files here or fetched."""
