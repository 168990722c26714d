"""What a client is made of: it needs no web framework, and of the HTTP adapter only an HTTP library."""
