"""The vision library: a wall photo in; holds, colours and problems out. It imports no web framework."""
