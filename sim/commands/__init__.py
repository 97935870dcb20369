"""The commands of `python -m sim`, a file each."""
