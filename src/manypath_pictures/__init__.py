"""The one reader and writer of picture files, for command line, services and laboratory: same files, same rules.

``reader.read_picture`` takes a file's bytes and gives uint8 [H, W, 3] in sRGB, upright, or an error of ``errors``;
``writer.write_png`` is the way back; ``folder`` finds the files.
"""
