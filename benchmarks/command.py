"""What every command of the benchmarks is made with."""

# For click.command: any option may come from the environment, --runs as BENCH_RUNS.
FROM_ENVIRONMENT = {"auto_envvar_prefix": "BENCH"}
