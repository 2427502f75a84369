"""The commands, one module each: parse arguments, make one call, print. Server rooms are imported late."""
