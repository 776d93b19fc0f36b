"""The pages of the mixer's guide, and what draws their pictures."""
