"""Records copied, merged, shipped with the package, and what nothing needs any more removed."""
