"""Tables and layouts of published data sets."""
