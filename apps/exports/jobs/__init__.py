"""Export jobs: asked for, claimed by one worker at a time, worked on, and cleaned up after."""
