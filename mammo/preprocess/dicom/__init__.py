"""DICOM mammograms: reading, kinds of views, stored values to what a reader would see."""
