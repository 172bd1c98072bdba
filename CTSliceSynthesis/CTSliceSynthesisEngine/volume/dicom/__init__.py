"""DICOM: files, headers, pixels, and which of a folder's images form one stack of slices."""
