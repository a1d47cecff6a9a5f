"""Cores, memory and open files that this process may use, also in a container."""
