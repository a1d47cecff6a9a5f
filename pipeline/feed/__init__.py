"""The bytes of each planned sample, with bad samples replaced."""
