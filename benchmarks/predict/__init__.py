"""bench-predict: scaling predicted from the rates of one rank."""
