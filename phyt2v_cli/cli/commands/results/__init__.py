"""Commands about what was rendered: looking at it, and handing it on."""
