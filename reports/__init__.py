"""Reports: self-contained pages with figures, made from a result alone."""
