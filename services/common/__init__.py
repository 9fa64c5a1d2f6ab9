"""What the servers share. Nothing here needs torch."""
