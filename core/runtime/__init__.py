"""The asyncio shell around the pure core: skills, the run actor, the engine."""
