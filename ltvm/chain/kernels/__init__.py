"""One step of a chain: one file per kernel, one contract (``ltvm.chain.kernels.base``)."""
