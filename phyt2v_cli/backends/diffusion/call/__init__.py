"""How a pipeline is called: watched at each step, cut at its autoencoder, prompts measured and remembered."""
