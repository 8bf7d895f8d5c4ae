"""What is computed from the long table: intervals, tests, power, claims, cost, frontier."""
