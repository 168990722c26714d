"""The log: codec, chain, group commit, and the memory, SQLite and PostgreSQL stores behind one contract."""
