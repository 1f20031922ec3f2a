"""An organization's own prices: the book with its history, and its use when calls are priced."""
