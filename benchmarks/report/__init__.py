"""bench-report: one page of results and training runs."""
