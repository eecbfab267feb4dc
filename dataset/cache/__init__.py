"""Maps of a frozen backbone: made once, kept on disk, learned from."""
