"""The control cycle: read, decide, order, once a second and at once when an order arrives."""
