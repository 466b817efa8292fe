"""The transcoding engine: one segment in, renditions out. Runs in an engine child, where codecs may be."""
