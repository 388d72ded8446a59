"""Web pages, PDFs, Markdown and text files, read as documents of one row each."""
