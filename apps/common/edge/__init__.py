"""What every request passes: its id and address, its time, its errors."""
