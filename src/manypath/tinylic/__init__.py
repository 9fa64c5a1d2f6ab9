"""The family `tinylic`: the published network (MPA, arXiv 2409.19660, on TinyLIC, arXiv 2204.11448)."""
