"""DICOM: files, headers, pixels, and grouping of a folder's images into stacks of slices."""
