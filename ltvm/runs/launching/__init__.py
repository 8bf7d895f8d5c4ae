"""The runs of an ablation, seed by seed, here or by a launcher, watched until they end."""
