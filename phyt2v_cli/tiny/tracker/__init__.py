"""Tracker of the embedded world: from pixels to blobs, tracks, paths, motions and scores, in this order."""
