"""Jobs, events and files that several servers share. Imported only where DATABASE_URL or DATA_URL is set."""
