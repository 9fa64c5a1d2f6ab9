"""What every server needs: its life, its boundary, its clients; knows neither the codec nor a network."""
