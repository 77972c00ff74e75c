"""GyGO server: serves video object segmentation data sets from S3."""

__version__ = "0.1.0"
