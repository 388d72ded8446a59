"""What is done to texts one by one: clean, identify, measure, judge, scrub."""
