"""Our loader beside others, each in a process of its own."""
