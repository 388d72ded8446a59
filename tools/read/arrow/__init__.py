"""Tables that are columns already: Parquet, Arrow files and streams, data sets saved by `datasets`."""
