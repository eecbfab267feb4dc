"""Clinical variables and the models that join them with what the images say."""
