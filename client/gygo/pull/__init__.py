"""A release as a tree of files on disk, in the layout that a public loader reads unchanged.

:mod:`~gygo.pull.layouts` knows what each loader wants, :mod:`~gygo.pull.plan` what there is to do,
:mod:`~gygo.pull.download` fetches archives, :mod:`~gygo.pull.unpack` takes them apart, :mod:`~gygo.pull.tree` is the
folder and what is known of it, and :mod:`~gygo.pull.run` puts them together.
"""
