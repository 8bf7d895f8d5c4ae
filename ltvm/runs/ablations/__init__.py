"""What an ablation is: cells, claims, tuned settings, external rows, manifest, state."""
