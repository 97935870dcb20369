"""Parts of a queue that people and monitors look at, repair and delete."""
