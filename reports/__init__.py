"""What a result means, shown: self-contained pages with figures, made from a result alone."""
