"""Cases make a bundle. The only home of torch, timm and accelerate."""
