"""From files, archives and tables to rows."""
