"""Words shared by the server, the SDK and the commands. No I/O, no server library."""
