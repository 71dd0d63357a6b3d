"""How the embedded model is made: scenes, renderer, captions, training. Not part of the installed package."""
