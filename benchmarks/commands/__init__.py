"""What a site makes of orders: how fast it answers, and what a flood of forged ones costs it."""
