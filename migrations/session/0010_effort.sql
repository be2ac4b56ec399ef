-- How much the model is to think about a prompt: low, medium, high, or its usual.
ALTER TABLE prompts ADD COLUMN effort TEXT;
