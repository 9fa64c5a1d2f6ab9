"""Where frames come from: streams of cameras, snapshot addresses, files, folders."""
