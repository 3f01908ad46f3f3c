"""What people see in a browser."""

from .serving import serve_pages
from .signing_in import Access

__all__ = ["Access", "serve_pages"]
