"""What `deploy/compose.yaml` needs beside the images."""
