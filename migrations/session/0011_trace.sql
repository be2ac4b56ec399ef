-- The span that submitted the prompt, as a `traceparent`: work for its turns is of the same trace.
ALTER TABLE prompts ADD COLUMN traceparent TEXT;
