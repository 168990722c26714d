"""What can be known of a plan before any of it runs: what policies would say, what it costs, how long it takes."""
