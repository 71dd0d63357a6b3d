"""Parts of `phyt2v batch`: the options that it alone has, and the run of a set on the command line."""
