"""What a recipe may say, for each task: one file a task, plain pydantic, which loads no torch."""
