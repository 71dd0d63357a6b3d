"""Refinement loop (PhyT2V): order of the rounds, one round, one video, prompts, and choice of the result.

Not called `refine`, because that name is the function `phyt2v_cli.refine`, and a package of the same name
would hide it once imported. Must not know any backend, terminal or thread.
"""
