"""Result files: their types, how they are read, and their checks."""
