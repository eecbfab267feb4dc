"""From the radiology archive to PNG images and meta files; imports neither mmengine nor torch."""
