"""Trains torchvision models on shards, on one or several ranks."""
