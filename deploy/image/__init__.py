"""What the image of all services is made from."""
