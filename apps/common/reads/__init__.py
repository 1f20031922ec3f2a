"""What every read shares: kept answers, conditions, fields, pages of a list."""
