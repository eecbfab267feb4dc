"""Every form on disk: how it is read, checked and written."""
