"""Cameras through a bad uplink: network namespaces, a link that delays, loses and reorders, and what arrives."""
