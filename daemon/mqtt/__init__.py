"""The site on its broker: one connection, the orders that come in, the words that go out."""
