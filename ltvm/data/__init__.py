"""Image sets: one file per source; each has a ``load`` that returns a ``DataSet``."""

from ltvm.data.image_set import DataSet, ImageSet, to_float, to_uint8

__all__ = ["DataSet", "ImageSet", "to_float", "to_uint8"]
