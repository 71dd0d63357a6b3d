"""Files and folders: written whole or not at all, locked, read without trust, and videos.

Must not know any config, run or model.
"""
