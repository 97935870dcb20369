"""What a result means, shown: statistics, plots and self-contained pages, from a result file alone."""
