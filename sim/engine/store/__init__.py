"""Simulated Redis server in LuaJIT, with the commands that the systems use, which runs the shipped scripts."""
