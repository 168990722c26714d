"""The engine: pure modules here, the asyncio shell around them in `runtime`, ready-made skills in `skills`."""
