"""Room 1, what a CT is: voxels in HU on a grid in the patient, the files they come from, what makes slices thick."""
