"""Files and folders: atomic writes, locks, reading of untrusted files, and videos.

Must not know any config, run or model.
"""
