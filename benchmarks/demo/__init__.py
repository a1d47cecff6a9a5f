"""`make demo`: from a Kaggle folder to a trained network and one figure."""
