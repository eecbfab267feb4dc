"""The library beneath the plugin: records, preprocessing, fusion, training, evaluation, inference."""
