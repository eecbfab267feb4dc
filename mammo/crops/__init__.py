"""Parts of images: patches for pretraining, regions around lesions."""
