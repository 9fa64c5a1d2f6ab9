"""Rate-distortion evaluation: our codec and its peers on the same pictures, by real bytes.

``rd`` walks pictures, codecs and qualities; ``curve`` holds what comes out; ``bdrate``, ``report`` and
``plot`` turn curves into figures that can be quoted. ``manypath eval rd --help`` shows the command.
"""
