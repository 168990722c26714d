"""Who asks, by which right: keys, tokens of an issuer, and sessions of the console."""
