"""The media room: engine children that touch codecs, and the node-side supervision that keeps them harmless."""
