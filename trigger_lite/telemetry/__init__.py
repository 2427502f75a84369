"""What runs say of themselves, and what the server says of itself."""
