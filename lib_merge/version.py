"""The version, in the one place that the wheel, the metadata of merges and `merge-desk --version` read."""

__version__ = "0.2.0"
