"""What the pixels show: the breast, how it hangs, which way round its greys are."""
