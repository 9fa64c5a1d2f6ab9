"""What encoder and decoder share: loading the codec, serving it, its messages. Not for the worker."""
