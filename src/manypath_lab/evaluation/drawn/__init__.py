"""Drawn pictures: what no photograph holds, or holds everywhere.

``pictures`` draws them, ``errors`` says what is measured of them, ``rivals`` finds another codec's file of the same
size, ``table`` and ``sheet`` show it.
"""
