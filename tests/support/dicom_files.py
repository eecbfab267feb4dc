"""Small made mammograms for the tests of the DICOM path.

keyword values -> pydicom Dataset or file
"""

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

NAME, BIRTH, ACCESSION, PLACE = 'Zweifel^Rosalinde', '19511231', 'ACC998877', 'St. Ottilien Clinic'


def breast_image(shape=(256, 160), top=4095):
    """A half ellipse on black, chest wall at the left: uint16 (H, W)."""
    y, x = np.indices(shape)
    inside = (x / (0.75 * shape[1])) ** 2 + ((y - shape[0] / 2) / (0.42 * shape[0])) ** 2 < 1
    texture = 0.35 + 0.3 * np.exp(-((x - shape[1] * 0.3) ** 2 + (y - shape[0] / 2) ** 2) / shape[1] ** 2 * 20)
    return np.where(inside, texture * top, 0).astype(np.uint16)


def mammogram(image=None, bits=12, **tags):
    """A valid For Presentation file; ``tags`` override, None deletes."""
    image = breast_image() if image is None else image
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = '1.2.840.10008.5.1.4.1.1.1.2'
    ds.SOPInstanceUID, ds.StudyDate = generate_uid(), '20200102'
    ds.StudyInstanceUID = f'1.2.3.{sum(map(ord, str(tags.get("PatientID", "P1"))))}'  # one per patient
    ds.PatientID, ds.PatientName, ds.PatientBirthDate = 'P1', NAME, BIRTH
    ds.AccessionNumber, ds.InstitutionName = ACCESSION, PLACE
    ds.Modality, ds.Manufacturer, ds.PresentationIntentType = 'MG', 'GE MEDICAL SYSTEMS', 'FOR PRESENTATION'
    ds.ViewPosition, ds.ImageLaterality = 'CC', 'L'
    ds.PatientOrientation = ['A', 'R' if tags.get('ViewPosition', 'CC') == 'CC' else 'F']
    ds.ImagerPixelSpacing = tags.get('ImagerPixelSpacing', [0.5, 0.5])
    ds.set_pixel_data(image, 'MONOCHROME2', bits, generate_instance_uid=False)
    for keyword, value in tags.items():
        if value is None:
            ds.pop(keyword, None)
        else:
            setattr(ds, keyword, value)
    return ds


def save(ds, path):
    """Write a dataset as a DICOM file -> its path."""
    ds.save_as(path, enforce_file_format=True)
    return path


def lut(data, first=0, bits=12, name='NORMAL'):
    """One item of a VOI LUT sequence."""
    item = Dataset()
    item.LUTDescriptor, item.LUTExplanation = [len(data), first, bits], name
    item.add_new('LUTData', 'US', list(data))
    return item
