"""A Redis server as tables of LuaJIT: the data, the commands that the systems use, and the shipped scripts."""
