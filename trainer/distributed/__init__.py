"""Process group, collective operations, DDP, and exit of the ranks."""
