"""Webhooks: what is noted in the outbox is signed and sent, to addresses that were checked."""
