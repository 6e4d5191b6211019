"""The values that the rest of dermoscope passes around. No I/O."""
