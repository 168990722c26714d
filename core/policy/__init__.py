"""What steps may do and spend: the documents that say it, and the pure checks that go by them."""
