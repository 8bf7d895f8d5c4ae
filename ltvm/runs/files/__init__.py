"""What a results directory holds: the store, leases, what files must be, the index."""
