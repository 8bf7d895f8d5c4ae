"""What is done with trained runs: more evaluations and pictures, repetition, images of others."""
