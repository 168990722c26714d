"""Work that outlasts a request: jobs, each with a log of its own."""
