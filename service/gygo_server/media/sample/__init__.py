"""A synthetic data set, drawn: products on a table with exact masks, for the demo and the tests.

`write_sample` writes a DAVIS tree. Nothing in it was filmed, so nothing in it has a licence to mind.
"""

from gygo_server.media.sample.tree import write_sample

__all__ = ["write_sample"]
