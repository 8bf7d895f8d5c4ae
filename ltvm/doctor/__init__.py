"""What a machine computes rightly, how fast, and how long the protocols would take on it."""
