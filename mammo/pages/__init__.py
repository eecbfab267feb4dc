"""Pages for a browser that need nothing else: no server, no script or style from elsewhere."""
