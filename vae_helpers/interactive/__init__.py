"""What a learner moves, guesses and writes in a lesson: sliders, the latent lab, predictions, the report."""
