"""What the servers share. Only ``codec_ready`` needs the codec; the worker never imports it."""
