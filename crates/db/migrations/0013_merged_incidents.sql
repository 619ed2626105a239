-- Two incidents that turned out to be one attack: the later one points to the earlier one, which has everything of both.
ALTER TABLE incidents ADD COLUMN merged_into INTEGER;
