"""Access to Redis: the client, the runner of scripts, durability, facts about the server, and the scripts."""
