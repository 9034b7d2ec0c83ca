"""What a round, its pages and tables cost as the records grow, with an oracle that answers at once."""
