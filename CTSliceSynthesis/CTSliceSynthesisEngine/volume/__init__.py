"""What a CT is: voxels in HU on a grid in the patient, the files they come from, and what makes slices thick.

volume, grid       voxels (k, j, i) in HU; where they are in the patient, RAS mm
files, folders     reading and writing; finding scans. `dicom/` and `image_files/` hold the formats
label_files        label maps of a scan, as whole numbers
intensity          HU to unit range and back: the one place that converts them
thinning           a thin scan made thick: the one model of slice profiles
thickness          the slice thickness, estimated from the scan itself
"""
