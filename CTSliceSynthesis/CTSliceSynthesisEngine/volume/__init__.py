"""CT volumes: voxels in HU on a grid in patient space, file formats, and the simulation of thick slices.

volume, grid       voxels (k, j, i) in HU; their positions in patient space, RAS mm
files, folders     reading, writing and finding scans; the formats are in `dicom/` and `image_files/`
label_files        integer label maps of a scan
intensity          all conversion between HU and unit range
thinning           simulation of thick slices: the only model of slice profiles
thickness          estimation of the slice thickness from the voxels
"""
