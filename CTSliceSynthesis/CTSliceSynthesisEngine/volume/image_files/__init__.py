"""NRRD, MetaImage and NIfTI files, parsed strictly."""
