"""Given music as a prompt: encode it, constrain what follows, join both in its own file."""
