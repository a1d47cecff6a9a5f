"""bench-predict: predict scaling from measurements of one rank."""
