"""The library beneath the plugin: records, preprocessing, fusion, training, evaluation, inference."""

__version__ = '1.0.0'
