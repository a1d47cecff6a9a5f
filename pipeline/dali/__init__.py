"""The DALI graph: decode, crop, resize, augment."""
