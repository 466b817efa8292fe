"""Use cases: the story of one request, top to bottom. The only room where domains meet; knows no bytes on the wire."""
